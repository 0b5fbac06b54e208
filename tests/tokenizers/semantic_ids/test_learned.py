"""Codebooks that follow gradients, and those that begin as residual k-means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from semantic_ids.autoencoder import Training
from semantic_ids.learned import LearnedAutoEncoder, LearnedQuantizer, ResidualRefiner
from semantic_ids.quantizers import Vectors, residual_kmeans

PLAN = Training(
    hidden=(16, 8),
    latent=6,
    epochs=8,
    batch=64,
    rate=3e-3,
    schedule="linear",
    init="xavier",
    optimizer="adam",
    beta=0.25,
)


def test_the_codebook_loss_moves_codes_towards_what_they_stand_for_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    quantizer = LearnedQuantizer([random.normal(size=(5, 3)).astype(np.float32) for _ in range(2)]).double()
    latent = torch.from_numpy(random.normal(size=(7, 3))).requires_grad_()
    quantized, commitment, given = quantizer(latent)
    assert torch.autograd.grad(commitment, quantizer.codebook, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(quantized.sum(), quantizer.codebook, allow_unused=True) == (None,)
    loss = quantizer.codebook_loss(given)
    books, total, slope = quantizer.codebook.detach().numpy(), 0.0, np.zeros((2, 5, 3))
    for level, (residuals, codes) in enumerate(given):
        for residual, code in zip(residuals.numpy(), codes.tolist(), strict=True):
            gap = books[level, code] - residual
            total += (gap**2).sum() / (7 * 3 * 2)
            slope[level, code] += 2 * gap / (7 * 3 * 2)
    assert float(loss.detach()) == pytest.approx(total)
    found, none = torch.autograd.grad(loss, (quantizer.codebook, latent), allow_unused=True)
    np.testing.assert_allclose(found, slope)
    assert none is None


def test_codebooks_are_trained_and_stay_where_averages_would_move_them(vectors: Vectors) -> None:
    model = LearnedAutoEncoder(vectors, 3, 16, 7, PLAN)
    before = model.quantizer.codebook.detach().clone()
    errors = list(model.epochs())
    assert errors[-1] < errors[0]
    assert not torch.equal(model.quantizer.codebook, before)
    assert torch.equal(model.quantizer.total, before)


def test_untrained_it_is_residual_k_means(vectors: Vectors) -> None:
    model, plain = ResidualRefiner(vectors, 3, 16, 7, PLAN), residual_kmeans(vectors, 3, 16, 7)
    found = model.quantize(vectors)
    np.testing.assert_array_equal(found.codes, plain.codes)
    np.testing.assert_allclose(found.residual, plain.residual, atol=1e-6)
    assert found.error == pytest.approx(plain.error, rel=1e-4)


def test_training_goes_below_the_error_of_residual_k_means(vectors: Vectors) -> None:
    model = ResidualRefiner(vectors, 3, 16, 7, replace(PLAN, epochs=60, rate=0.01))
    start = model.quantize(vectors).error
    list(model.epochs())
    assert model.quantize(vectors).error < 0.95 * start
