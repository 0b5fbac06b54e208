"""Of catalogues beyond what k-means learns from, no more than a part is in memory beside the vectors and codes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from semantic_ids import autoencoder, quantizers
from semantic_ids.autoencoder import AutoEncoder, Training
from semantic_ids.fsq import Grid, ScalarAutoEncoder
from semantic_ids.quantizers import Vectors, kmeans, product_kmeans, relative_error
from semantic_ids.rqvae import ResidualAutoEncoder
from torch import Tensor, nn

from bench import faiss_library

PLAN = Training((16,), 2, 64, 3e-3, "linear", "xavier", "adam", latent=6, beta=0.25, decay=0.9)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 300 vectors are a large catalogue."""
    monkeypatch.setattr(quantizers, "SAMPLE", 200)
    monkeypatch.setattr(quantizers, "PER_CODE", 10)
    monkeypatch.setattr(faiss_library, "SHARD", 110)
    monkeypatch.setattr(autoencoder, "SAMPLE", 200)
    monkeypatch.setattr(autoencoder, "AT_ONCE", 70)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors went through a network, each time."""
    seen, plain = list[int](), nn.Sequential.forward

    def counted(self: nn.Sequential, given: Tensor) -> Tensor:
        seen.append(len(given))
        return plain(self, given)

    monkeypatch.setattr(nn.Sequential, "forward", counted)
    return seen


def networks(vectors: Vectors) -> list[AutoEncoder]:
    return [ResidualAutoEncoder(vectors, 3, 16, 7, PLAN), ScalarAutoEncoder(vectors, 2, Grid((4, 3)), 7, PLAN)]


@pytest.mark.parametrize("kind", [0, 1], ids=["residual", "scalar"])
def test_layers_are_computed_in_parts(
    kind: int, vectors: Vectors, batches: list[int], request: pytest.FixtureRequest
) -> None:
    model = networks(vectors)[kind]
    list(model.epochs())
    batches.clear()
    expected = model.quantize(vectors)
    assert batches == [300, 300]  # encoder and decoder
    request.getfixturevalue("small_parts")
    batches.clear()
    found = model.quantize(vectors)
    assert batches == [70] * 8 + [20] * 2
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_allclose(found.residual, expected.residual, atol=1e-5)
    assert found.error == pytest.approx(expected.error, rel=1e-5)


def test_codebooks_begin_at_what_parts_are_encoded_to(
    vectors: Vectors, batches: list[int], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ResidualAutoEncoder(vectors, 3, 16, 7, PLAN).quantizer.codebook
    assert batches == [300]
    request.getfixturevalue("small_parts")
    monkeypatch.setattr(quantizers, "SAMPLE", 300)  # k-means itself learns from all, as before
    found = ResidualAutoEncoder(vectors, 3, 16, 7, PLAN).quantizer.codebook
    assert batches[1:] == [70, 70, 70, 70, 20]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("small_parts")
def test_blocks_are_quantized_one_after_the_other(vectors: Vectors) -> None:
    """What a block leaves over is not kept: at a million items of 768 dimensions it would be 3 GB."""
    found = product_kmeans(vectors, 3, 8, seed=3)  # 12 dimensions
    for level in range(3):
        code, codebook = kmeans(np.ascontiguousarray(vectors[:, 4 * level : 4 * level + 4]), 8, 3 + level)
        assert np.array_equal(found.codes[:, level], code)
        assert np.array_equal(found.codebooks[level], codebook)
    left = vectors - np.concatenate([book[found.codes[:, at]] for at, book in enumerate(found.codebooks)], axis=1)
    assert found.error == pytest.approx(relative_error(vectors, left), rel=1e-5)
    rows = np.array([5, 299])
    differences = vectors[rows, None, 8:] - found.codebook
    np.testing.assert_allclose(found.distances(rows), (differences**2).sum(-1), atol=1e-3)
    assert np.shares_memory(found.residual, vectors)


def test_product_quantization_takes_less_than_a_copy_of_its_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizers, "SAMPLE", 4000)
    monkeypatch.setattr(quantizers, "PER_CODE", 10)
    monkeypatch.setattr(faiss_library, "SHARD", 4000)
    vectors = np.random.default_rng(6).normal(size=(40_000, 64)).astype(np.float32)
    product_kmeans(vectors[:500], 4, 4, seed=3)  # what is loaded when it is first used
    tracemalloc.start()
    try:
        found = product_kmeans(vectors, 4, 4, seed=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - found.codes.nbytes < vectors.nbytes
