"""Residual and product k-means against brute force, and what they refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from semantic_ids import quantizers
from semantic_ids.quantizers import (
    Quantized,
    Vectors,
    kmeans,
    product_kmeans,
    relative_error,
    residual_kmeans,
    rotated,
    sampled,
    squared_distances,
)

from bench import faiss_library
from bench.errors import BenchError

QUANTIZERS = [residual_kmeans, product_kmeans]
Quantizer = Callable[[Vectors, int, int, int], Quantized]


def distances(vectors: Vectors, codebook: Vectors) -> NDArray[np.float64]:
    """Every difference, squared and summed."""
    return np.array([[((one - other) ** 2).sum() for other in codebook.astype(float)] for one in vectors.astype(float)])


def assert_nearest(codes: NDArray[np.int64], vectors: Vectors, codebook: Vectors) -> None:
    """Up to rounding: where two codes are equally near, either will do."""
    found = distances(vectors, codebook)
    np.testing.assert_allclose(found[np.arange(len(codes)), codes], found.min(axis=1), rtol=1e-4, atol=1e-4)


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.floats(0, 100), st.integers(0, 999))
def test_squared_distances_equal_every_difference(rows: int, size: int, d: int, offset: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors, codebook = ((offset + random.normal(size=(count, d))).astype(np.float32) for count in (rows, size))
    found = squared_distances(vectors, codebook)
    np.testing.assert_allclose(found, distances(vectors, codebook), atol=1e-5 * (1 + offset**2) * d)
    assert found.min() >= 0
    assert squared_distances(vectors, vectors).min() >= 0


def test_centroids_are_the_means_of_all_vectors_that_have_their_code() -> None:
    """Faiss would look at a sample of 256 vectors for each centroid."""
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(size=(2000, 3)), 50 + random.normal(size=(2000, 3))]).astype(np.float32)
    codes, codebook = kmeans(vectors, 2, seed=0)
    assert len(set(codes[:2000])) == len(set(codes[2000:])) == 1
    for code in range(2):
        np.testing.assert_allclose(codebook[code], vectors[codes == code].mean(axis=0), rtol=1e-4, atol=1e-4)


def test_the_code_is_the_nearest_centroid(vectors: Vectors) -> None:
    codes, codebook = kmeans(vectors, 16, seed=3)
    assert codebook.shape == (16, 12)
    assert_nearest(codes, vectors, codebook)


def test_residual_codes_equal_brute_force_level_by_level(vectors: Vectors) -> None:
    found = residual_kmeans(vectors, 3, 16, seed=5)
    residual = vectors.astype(np.float64)
    for level in range(3):
        before = residual.astype(np.float32)
        codebook = kmeans(before, 16, 5 + level)[1]
        assert_nearest(found.codes[:, level], before, codebook)
        residual = residual - codebook[found.codes[:, level]]
    np.testing.assert_allclose(found.residual, before, atol=1e-5)
    np.testing.assert_allclose(found.codebook, codebook, atol=1e-5)
    assert found.error == pytest.approx((residual**2).sum() / ((vectors - vectors.mean(axis=0)) ** 2).sum(), rel=1e-4)
    rows = np.array([7, 0, 299])
    np.testing.assert_allclose(found.distances(rows), distances(before[rows], codebook), atol=1e-3)


def test_product_codes_equal_brute_force_block_by_block(vectors: Vectors) -> None:
    vectors = vectors[:, :11]  # blocks of 4, 4 and 3
    found = product_kmeans(vectors, 3, 16, seed=5)
    left = 0.0
    for level, block in enumerate((slice(0, 4), slice(4, 8), slice(8, 11))):
        part = np.ascontiguousarray(vectors[:, block])
        codebook = kmeans(part, 16, 5 + level)[1]
        assert_nearest(found.codes[:, level], part, codebook)
        left += float(((part - codebook[found.codes[:, level]]) ** 2).sum())
    assert np.array_equal(found.residual, part)
    np.testing.assert_allclose(found.codebook, codebook, atol=1e-5)
    assert found.error == pytest.approx(left / ((vectors - vectors.mean(axis=0)) ** 2).sum(), rel=1e-4)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_a_seed_repeats_and_another_gives_other_codes(quantizer: Quantizer, vectors: Vectors) -> None:
    given_vectors = vectors.copy()
    first, again, other = (quantizer(vectors, 3, 16, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.codes, again.codes)
    assert np.array_equal(first.codebook, again.codebook)
    assert not np.array_equal(first.codes, other.codes)
    assert np.array_equal(vectors, given_vectors)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_more_codes_leave_less_error(quantizer: Quantizer, vectors: Vectors) -> None:
    errors = [quantizer(vectors, 3, size, 0).error for size in (2, 8, 32, 128)]
    assert all(less < more for more, less in pairwise([1.0, *errors]))


def test_more_levels_leave_less_error(vectors: Vectors) -> None:
    errors = [residual_kmeans(vectors, levels, 16, 0).error for levels in (1, 2, 3, 4)]
    assert all(less < more for more, less in pairwise([1.0, *errors]))


def test_the_error_of_the_mean_is_one_and_of_equal_vectors_nothing(vectors: Vectors) -> None:
    assert relative_error(vectors, vectors - vectors.mean(axis=0)) == pytest.approx(1, rel=1e-5)
    equal = np.full((50, 2), 0.7, np.float32)  # whose mean is not quite theirs
    assert (equal != equal.mean(axis=0)).any()
    assert relative_error(equal, equal) == 0


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_fewer_vectors_than_codes_are_each_their_own(quantizer: Quantizer, vectors: Vectors) -> None:
    found = quantizer(vectors[:20], 3, 256, 0)
    assert found.size == len(found.codebook) == 20
    assert sorted(found.codes[:, 0].tolist()) == list(range(20))
    assert found.codes.max() < 20
    assert found.error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize(("items", "size"), [(1, 256), (2, 2), (50, 4), (3, 256)])
def test_equal_vectors_share_all_codes(quantizer: Quantizer, items: int, size: int) -> None:
    found = quantizer(np.full((items, 6), 0.7, np.float32), 3, size, 0)
    assert found.codes.shape == (items, 3)
    assert len(np.unique(found.codes, axis=0)) == 1
    assert found.codes.max() < found.size == min(items, size)
    assert found.error == 0
    np.testing.assert_allclose(found.distances(np.arange(items)).min(axis=1), 0, atol=1e-6)


def test_vectors_without_dimensions_are_equal_vectors() -> None:
    """Whitening leaves none where all texts are one; faiss would divide by zero and end the process."""
    found = residual_kmeans(np.zeros((9, 0), np.float32), 2, 4, 0)
    assert len(np.unique(found.codes, axis=0)) == 1
    with pytest.raises(BenchError, match="1 dimensions cannot be cut into 2 blocks"):
        product_kmeans(np.zeros((9, 0), np.float32), 2, 4, 0)


def rotate(vectors: Vectors, levels: int, size: int, seed: int) -> Quantized:
    return product_kmeans(rotated(vectors, levels), levels, size, seed)


@pytest.mark.parametrize("quantizer", [*QUANTIZERS, rotate])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_names_its_item(quantizer: Quantizer, value: float, vectors: Vectors) -> None:
    broken = vectors.copy()
    broken[[37, 40], 5] = value
    with pytest.raises(BenchError, match="the embedding of catalogue item 37 is not finite"):
        quantizer(broken, 3, 16, 0)


@pytest.mark.parametrize("quantizer", [*QUANTIZERS, rotate])
def test_no_items_are_refused(quantizer: Quantizer) -> None:
    with pytest.raises(BenchError, match="there are no items to quantize"):
        quantizer(np.zeros((0, 4), np.float32), 3, 16, 0)


def test_more_blocks_than_dimensions_are_refused(vectors: Vectors) -> None:
    assert product_kmeans(vectors, 12, 4, 0).codes.shape == (300, 12)
    with pytest.raises(BenchError, match="12 dimensions cannot be cut into 13 blocks; use fewer levels"):
        product_kmeans(vectors, 13, 4, 0)


@pytest.fixture(scope="module")
def uneven() -> Vectors:
    """``[300, 12]``, correlated, most of the variance in the first dimensions."""
    random = np.random.default_rng(0)
    found = random.normal(size=(300, 12)) @ random.normal(size=(12, 12)) * np.geomspace(4, 0.1, 12)
    return found.astype(np.float32)


def test_a_rotation_keeps_distances_and_helps_product_quantization(uneven: Vectors) -> None:
    turned = rotated(uneven, 4)
    assert turned.shape == (300, 12)
    before, after = (distances(found[:40], found[:40]) for found in (uneven, turned))
    np.testing.assert_allclose(after, before, atol=1e-4 * before.max())
    assert product_kmeans(turned, 4, 16, 0).error < 0.8 * product_kmeans(uneven, 4, 16, 0).error
    assert np.array_equal(turned, rotated(uneven, 4))


def test_dimensions_that_fit_in_no_block_are_left_out(uneven: Vectors) -> None:
    found = rotated(uneven, 5)
    assert found.shape == (300, 10)
    np.testing.assert_array_equal(found, rotated(np.ascontiguousarray(uneven[:, :10]), 5))


def test_a_rotation_from_few_items_is_silent_and_from_too_few_refused(
    uneven: Vectors, capfd: pytest.CaptureFixture[str]
) -> None:
    rotated(uneven[:256], 2)
    assert capfd.readouterr() == ("", "")
    for vectors, levels in ((uneven[:255], 2), (uneven, 13)):
        with pytest.raises(BenchError, match=r"from 256 or more items with \d+ or more dimensions; .* use semantic/pq"):
            rotated(vectors, levels)


@pytest.mark.long  # that schemes fit alike on one and two threads is shown in tests/tokenizers/test_threads.py
def test_the_number_of_threads_changes_nothing() -> None:
    """In a process of its own each: faiss reads the variable once. Without the limit the rotation differs."""
    program = """
import hashlib, numpy as np
from semantic_ids.quantizers import product_kmeans, residual_kmeans, rotated
random = np.random.default_rng(0)
centers = random.normal(size=(60, 48))[random.integers(0, 60, 3000)]
vectors = (centers + random.normal(size=(3000, 48))).astype(np.float32)
for found in (residual_kmeans(vectors, 2, 64, 1), product_kmeans(vectors, 3, 64, 1)):
    print(*(hashlib.sha256(part.tobytes()).hexdigest() for part in (found.codes, found.codebook)))
print(hashlib.sha256(np.ascontiguousarray(rotated(vectors, 3)).tobytes()).hexdigest())
"""
    found = []
    for threads in ("1", "2", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", program]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(set(found)) == 1


# -- catalogues that are too large to learn from as a whole -----------------------------------------------------------


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizers, "SAMPLE", 200)
    monkeypatch.setattr(quantizers, "PER_CODE", 10)
    monkeypatch.setattr(faiss_library, "SHARD", 70)


@pytest.mark.usefixtures("small_sample")
def test_of_a_large_catalogue_a_sample_is_learned_from_and_all_is_assigned() -> None:
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(8, 5))[random.integers(0, 8, 950)] * 9 + random.normal(size=(950, 5))).astype("f4")
    found = residual_kmeans(vectors, 3, 8, seed=5)
    learned = sampled(vectors, 8, 5)
    assert len(learned) == 200
    assert all((row == vectors).all(axis=1).any() for row in learned)
    residual = vectors.copy()
    for level, codebook in enumerate(found.codebooks):
        assert_nearest(found.codes[:, level], residual, codebook)
        before, residual = residual, residual - codebook[found.codes[:, level]]
    rows = np.array([949, 3, 400])
    np.testing.assert_allclose(found.residual[rows], before[rows], atol=1e-5)
    np.testing.assert_allclose(found.distances(rows), distances(before[rows], found.codebook), atol=1e-3)
    assert found.error == pytest.approx((residual**2).sum() / ((vectors - vectors.mean(axis=0)) ** 2).sum(), rel=1e-4)
    assert found.error < 1.3 * whole_error(vectors)
    assert np.array_equal(found.codes, residual_kmeans(vectors, 3, 8, seed=5).codes)


def whole_error(vectors: Vectors) -> float:
    """Of k-means on all vectors."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quantizers, "SAMPLE", 10**9)
        return residual_kmeans(vectors, 3, 8, seed=5).error


@pytest.mark.usefixtures("small_sample")
def test_one_level_learned_from_a_sample_has_the_centroids_of_the_sample() -> None:
    vectors = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    codes, codebook = kmeans(vectors, 4, seed=2)
    alone = kmeans(sampled(vectors, 4, 2), 4, seed=2)[1]
    assert np.array_equal(codebook, alone)
    assert_nearest(codes, vectors, codebook)


def test_no_more_than_the_sample_is_learned_from_as_a_whole() -> None:
    """Codes of a catalogue of ordinary size do not move because larger ones are sampled."""
    vectors = np.random.default_rng(3).normal(size=(900, 6)).astype(np.float32)
    assert sampled(vectors, 4, 0) is vectors
    plain = faiss_library.library().Kmeans(
        6, 4, niter=25, seed=7, min_points_per_centroid=1, max_points_per_centroid=10**6
    )
    with faiss_library.one_thread():
        plain.train(vectors)
    assert np.array_equal(kmeans(vectors, 4, 7)[1], plain.centroids)


@pytest.mark.usefixtures("small_sample")
def test_what_is_not_finite_is_named_in_whatever_shard_it_is() -> None:
    vectors = np.zeros((300, 2), np.float32)
    vectors[250, 1] = np.nan
    with pytest.raises(BenchError, match="embedding of catalogue item 250 is not finite"):
        residual_kmeans(vectors, 2, 4, 0)
