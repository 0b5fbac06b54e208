"""The residual-quantized auto-encoder: assignments, gradients and moving averages against slow code; reproducible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from semantic_ids.autoencoder import Training, mlp
from semantic_ids.quantizers import Vectors, kmeans, relative_error
from semantic_ids.rqvae import EPSILON, ResidualAutoEncoder, ResidualQuantizer, imbalance, use
from torch import Tensor, nn

from bench.errors import BenchError

PLAN = Training(
    hidden=(16,),
    latent=6,
    epochs=6,
    batch=64,
    rate=3e-3,
    schedule="linear",
    init="xavier",
    optimizer="adam",
    beta=0.25,
    decay=0.9,
    commitment="all",
)


@pytest.fixture
def quantizer() -> ResidualQuantizer:
    """Three codebooks of 8, in double precision for finite differences."""
    random = np.random.default_rng(0)
    return ResidualQuantizer([random.normal(size=(8, 4)).astype(np.float32) for _ in range(3)]).double()


@pytest.fixture
def latent() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(10, 4)))


def nearest(residual: NDArray[np.float64], codebook: NDArray[np.float64]) -> int:
    return int(np.argmin([((residual - code) ** 2).sum() for code in codebook]))


def assign(latent: Tensor, codebooks: Tensor) -> tuple[list[list[int]], list[list[NDArray[np.float64]]]]:
    """Codes ``[vectors][levels]`` and what each level was given, one vector and one code at a time."""
    codes: list[list[int]] = []
    given = []
    for vector in latent.double().numpy():
        residual, found, seen = vector, [], []
        for codebook in codebooks.double().numpy():
            seen.append(residual)
            found.append(nearest(residual, codebook))
            residual = residual - codebook[found[-1]]
        codes.append(found)
        given.append(seen)
    return codes, given


def slopes(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Central differences of a number in every entry of ``at``."""
    found, step = torch.zeros_like(at), 1e-6
    for position in np.ndindex(*at.shape):
        ahead, behind = at.clone(), at.clone()
        ahead[position] += step
        behind[position] -= step
        found[position] = (function(ahead) - function(behind)) / (2 * step)
    return found


def gradient(loss: Tensor, at: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, at)
    return found


def test_residual_assignment_equals_brute_force(quantizer: ResidualQuantizer, latent: Tensor) -> None:
    codes, given = assign(latent, quantizer.codebook)
    levels = list(quantizer.residuals(latent))
    assert torch.stack([code for _, code, _ in levels], 1).tolist() == codes
    for level, (residual, code, vector) in enumerate(levels):
        np.testing.assert_allclose(residual, [seen[level] for seen in given])
        assert torch.equal(vector, quantizer.codebook[level][code])


def test_the_forward_pass_sums_the_vectors_and_means_the_losses(quantizer: ResidualQuantizer, latent: Tensor) -> None:
    codes, given = assign(latent, quantizer.codebook)
    codebooks = quantizer.codebook.numpy()
    quantized, loss, seen = quantizer(latent)
    sums = [sum(codebooks[level][code] for level, code in enumerate(row)) for row in codes]
    np.testing.assert_allclose(quantized, sums)
    gaps = [
        residual - codebooks[level][code]
        for row, residuals in zip(codes, given, strict=True)
        for level, (code, residual) in enumerate(zip(row, residuals, strict=True))
    ]
    assert float(loss) == pytest.approx(np.mean(np.square(gaps)))
    np.testing.assert_allclose(torch.stack([residual for residual, _ in seen], 1), given)
    assert torch.stack([code for _, code in seen], 1).tolist() == codes


def test_straight_through_the_decoder_learns_from_the_codes_and_the_encoder_as_if_it_had_made_them(
    quantizer: ResidualQuantizer, latent: Tensor
) -> None:
    """The gradient at the latent is that of the decoder's loss where the quantized latent is."""
    torch.manual_seed(0)
    decoder, target = mlp([4, 7, 5], "xavier").double(), torch.randn(10, 5, dtype=torch.float64)

    def loss(decoded: Tensor) -> Tensor:
        return (decoder(decoded) - target).square().mean()

    latent.requires_grad_()
    quantized = quantizer(latent)[0]
    found = gradient(loss(quantized), latent)
    with torch.no_grad():
        np.testing.assert_allclose(found, slopes(loss, quantized.detach()), rtol=1e-5, atol=1e-8)
    assert found.abs().max() > 1e-3


@pytest.mark.parametrize("commitment", ["all", "first"])
def test_the_commitment_gradient_equals_finite_differences(
    commitment: str, quantizer: ResidualQuantizer, latent: Tensor
) -> None:
    """Defined where no code changes. With ``first``, what other levels add is constant, as in the published code."""
    latent.requires_grad_()
    found = gradient(quantizer(latent, commitment)[1], latent)

    def loss(moved: Tensor) -> Tensor:
        levels = list(quantizer.residuals(moved))[: 3 if commitment == "all" else 1]
        gaps = torch.stack([residual - vector for residual, _, vector in levels])
        return gaps.square().mean((1, 2)).sum() / 3

    with torch.no_grad():
        np.testing.assert_allclose(found, slopes(loss, latent.detach()), rtol=1e-5, atol=1e-8)
    assert found.abs().max() > 1e-3


def test_only_the_gradient_tells_the_two_commitments_apart(quantizer: ResidualQuantizer, latent: Tensor) -> None:
    latent.requires_grad_()
    one, other = quantizer(latent, "all")[1], quantizer(latent, "first")[1]
    assert float(one.detach()) == pytest.approx(float(other.detach()))
    assert not torch.allclose(gradient(one, latent), gradient(other, latent))


def test_codebooks_have_no_gradient(quantizer: ResidualQuantizer) -> None:
    assert not list(quantizer.parameters())


@pytest.mark.parametrize("decay", [0.99, 0.5, 0.0])
def test_moving_averages_equal_a_slow_loop(decay: float, quantizer: ResidualQuantizer) -> None:
    random = np.random.default_rng(2)
    codebooks = quantizer.codebook.numpy().copy()
    counts, totals = np.ones((3, 8)), codebooks.copy()
    for _ in range(4):
        given = [torch.from_numpy(random.normal(size=(30, 4))) for _ in range(3)]
        chosen = [
            [nearest(residual, codebooks[level]) for residual in residuals.numpy()]
            for level, residuals in enumerate(given)
        ]
        quantizer.ema_update(
            [(residuals, torch.tensor(codes)) for residuals, codes in zip(given, chosen, strict=True)], decay
        )
        for level, residuals in enumerate(given):
            for code in range(8):
                own = [
                    residual for residual, other in zip(residuals.numpy(), chosen[level], strict=True) if other == code
                ]
                counts[level, code] = decay * counts[level, code] + (1 - decay) * len(own)
                totals[level, code] = decay * totals[level, code] + (1 - decay) * np.sum([np.zeros(4), *own], axis=0)
            whole = counts[level].sum()
            smooth = (counts[level] + EPSILON) / (whole + 8 * EPSILON) * whole
            codebooks[level] = totals[level] / smooth[:, None]
        np.testing.assert_allclose(quantizer.count, counts)
        np.testing.assert_allclose(quantizer.codebook, codebooks)


def test_a_code_without_a_vector_keeps_its_place(quantizer: ResidualQuantizer) -> None:
    before = quantizer.codebook.clone()
    first = torch.zeros(20, dtype=torch.long)
    quantizer.ema_update([(quantizer.codebook[level, first], first) for level in range(3)], 0.99)
    np.testing.assert_allclose(quantizer.codebook, before, rtol=1e-3)


def test_dead_codes_move_to_vectors_of_the_batch(quantizer: ResidualQuantizer) -> None:
    before = quantizer.codebook.clone()
    quantizer.unused[0, [2, 5]] = 4
    quantizer.unused[2, 7] = 4
    quantizer.unused[1, 0] = 4  # but now it is used
    quantizer.unused[1, 1] = 3
    given = [torch.full((6, 4), 100.0 * (level + 1)) + torch.arange(6.0)[:, None] for level in range(3)]
    chosen = torch.zeros(6, dtype=torch.long)
    quantizer.reset_dead_codes([(residual.double(), chosen) for residual in given], torch.Generator().manual_seed(0), 5)
    moved = (quantizer.codebook != before).any(-1)
    assert moved.nonzero().tolist() == [[0, 2], [0, 5], [2, 7]]
    for level, code in moved.nonzero().tolist():
        assert quantizer.codebook[level, code].tolist() in given[level].tolist()
        assert torch.equal(quantizer.total[level, code], quantizer.codebook[level, code])
        assert quantizer.count[level, code] == 1
    assert quantizer.unused[0].tolist() == [0, 1, 0, 1, 1, 0, 1, 1]
    assert quantizer.unused[1].tolist() == [0, 4, 1, 1, 1, 1, 1, 1]


def test_imbalance_equals_the_divergence_from_even_use_by_hand(quantizer: ResidualQuantizer, latent: Tensor) -> None:
    given, books = [latent, 2 * latent], quantizer.codebook[:2]
    expected = []
    for residuals, codebook in zip(given, books.numpy(), strict=True):
        squares = np.array([[((r - c) ** 2).sum() for c in codebook] for r in residuals.numpy()])
        weights = np.exp(-squares / squares.min(1).mean())
        use = (weights / weights.sum(1, keepdims=True)).mean(0)
        expected.append(np.log(8) + (use * np.log(use)).sum())
    assert float(imbalance(given, books)) == pytest.approx(np.mean(expected))


def test_the_encoder_lowers_imbalance(vectors: Vectors) -> None:
    found = []
    for weight in (0.0, 1.0):
        model = trained(vectors, plan=replace(PLAN, epochs=20, rate=0.01, balance=weight))
        shares = [np.bincount(level, minlength=16) / 300 for level in model.quantize(vectors).codes.T]
        found.append(np.mean([-(share[share > 0] * np.log(share[share > 0])).sum() for share in shares]))
    assert found[1] > found[0]


def test_layers_are_xavier_normal_with_relu_between_them() -> None:
    torch.manual_seed(0)
    layers = list(mlp([300, 200, 100], "xavier"))
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear]
    for layer, (above, below) in zip(layers[::2], [(300, 200), (200, 100)], strict=True):
        assert float(layer.weight.detach().std()) == pytest.approx((2 / (above + below)) ** 0.5, rel=0.02)
        assert not layer.bias.any()
    assert [type(layer) for layer in mlp([3, 2], "xavier")] == [nn.Linear]


def test_layers_may_start_as_pytorch_makes_them(vectors: Vectors) -> None:
    torch.manual_seed(0)
    layers = list(mlp([300, 200, 100], "pytorch"))
    torch.manual_seed(0)
    for layer, plain in zip(layers[::2], [nn.Linear(300, 200), nn.Linear(200, 100)], strict=True):
        assert torch.equal(layer.weight, plain.weight)
        assert torch.equal(layer.bias, plain.bias)
    model = ResidualAutoEncoder(vectors, 3, 16, 7, replace(PLAN, init="pytorch"))
    for network in (model.encoder, model.decoder):
        assert all(bool(layer.bias.any()) for layer in network[::2])


def encoded(model: ResidualAutoEncoder, vectors: Vectors) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.encoder(torch.from_numpy(vectors))
    return found


def test_codebooks_start_as_k_means_on_what_the_untrained_encoder_leaves_over(vectors: Vectors) -> None:
    model = ResidualAutoEncoder(vectors, 3, 16, 7, PLAN)
    residual = encoded(model, vectors).numpy()
    for level in range(3):
        code, codebook = kmeans(np.ascontiguousarray(residual), 16, 7 + level)
        np.testing.assert_array_equal(model.quantizer.codebook[level], codebook)
        residual = residual - codebook[code]
    assert torch.equal(model.quantizer.total, model.quantizer.codebook)
    assert bool((model.quantizer.count == 1).all())


def trained(vectors: Vectors, seed: int = 7, size: int = 16, plan: Training = PLAN) -> ResidualAutoEncoder:
    model = ResidualAutoEncoder(vectors, 3, size, seed, plan)
    list(model.epochs())
    return model


def test_codes_equal_brute_force_on_the_encoder(vectors: Vectors) -> None:
    model = trained(vectors[:250])
    found = model.quantize(vectors)  # the last fifty are new to it
    codebooks = model.quantizer.codebook
    codes, given = assign(encoded(model, vectors), codebooks)
    assert found.codes.tolist() == codes
    np.testing.assert_allclose(found.residual, [residuals[-1] for residuals in given], atol=1e-5)
    np.testing.assert_array_equal(found.codebook, codebooks[-1])
    with torch.no_grad():
        sums = torch.stack([codebooks[torch.arange(3), torch.tensor(row)].sum(0) for row in codes])
        left = vectors - model.decoder(sums).numpy()
    assert found.error == pytest.approx(relative_error(vectors, left), rel=1e-4)
    assert found.distances(np.arange(300)).argmin(axis=1).tolist() == found.codes[:, -1].tolist()


def test_what_was_quantized_does_not_change_with_further_training(vectors: Vectors) -> None:
    model = ResidualAutoEncoder(vectors, 3, 16, 7, PLAN)
    epochs = model.epochs()
    next(epochs)
    found = model.quantize(vectors)
    codes, codebook, residual = found.codes.copy(), found.codebook.copy(), found.residual.copy()
    assert len(list(epochs)) == PLAN.epochs - 1
    for before, after in ((codes, found.codes), (codebook, found.codebook), (residual, found.residual)):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(model.quantize(vectors).codebook, codebook)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_training_lowers_the_error_and_may_lower_the_learning_rate(
    optimizer: str, schedule: str, vectors: Vectors
) -> None:
    plan = replace(PLAN, optimizer=optimizer, schedule=schedule, epochs=20, rate=0.01)
    model = ResidualAutoEncoder(vectors, 3, 16, 7, plan)
    untrained, rates, errors = model.quantize(vectors).error, [], []
    for error in model.epochs():
        errors.append(error)
        rates.append(model.optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, 0.01 * (1 - 0.9 * np.arange(20) / 20) if schedule == "linear" else [0.01] * 20)
    assert errors[-1] < 0.6 * errors[0]
    assert model.quantize(vectors).error < 0.6 * untrained


@pytest.mark.parametrize("changes", [{}, {"reset_after": 2, "balance": 0.1}], ids=["plain", "reset"])
def test_a_seed_repeats_and_torchs_global_state_is_neither_used_nor_changed(
    changes: dict[str, object], vectors: Vectors
) -> None:
    plan = replace(PLAN, **changes)
    found = []
    for noise, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        model = trained(vectors, seed, plan=plan)
        assert torch.equal(torch.get_rng_state(), before)
        found.append(model.quantize(vectors))
    assert np.array_equal(found[0].codes, found[1].codes)
    assert np.array_equal(found[0].codebook, found[1].codebook)
    assert not np.array_equal(found[0].codes, found[2].codes)


def test_resetting_and_commitment_change_what_is_learnt(vectors: Vectors) -> None:
    plans = [
        PLAN,
        replace(PLAN, reset_after=1, decay=0.3),
        replace(PLAN, decay=0.3),
        replace(PLAN, commitment="first"),
    ]
    weights = [trained(vectors, plan=plan).encoder[0].weight.detach() for plan in plans]
    for one in range(4):
        for other in range(one):
            assert not torch.equal(weights[one], weights[other])


def test_codes_that_nothing_is_near_are_used_again_where_they_are_reset(vectors: Vectors) -> None:
    found = []
    for reset_after in (0, 20):
        model = ResidualAutoEncoder(vectors, 3, 16, 7, replace(PLAN, epochs=12, reset_after=reset_after))
        for far in (model.quantizer.codebook, model.quantizer.total):
            far[1, :4] = 1000
        list(model.epochs())
        found.append(set(model.quantize(vectors).codes[:, 1].tolist()) & {0, 1, 2, 3})
    assert found[0] == set()
    assert len(found[1]) >= 3


def test_use_is_the_share_of_codes_that_some_item_has() -> None:
    assert use(np.array([[0, 3], [0, 1], [0, 3]]), 4) == [0.25, 0.5]


def test_fewer_vectors_than_codes_and_one_alone_are_quantized(vectors: Vectors) -> None:
    found = trained(vectors[:9], size=256).quantize(vectors)
    assert found.size == len(found.codebook) == 9
    assert found.codes.max() < 9
    alone = trained(vectors[:1], size=256).quantize(vectors[:2])
    assert alone.codes.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("dimensions", [12, 0])
def test_equal_vectors_share_all_codes(dimensions: int) -> None:
    equal = np.full((30, dimensions), 0.7, np.float32)
    found = trained(equal).quantize(equal)
    assert len(np.unique(found.codes, axis=0)) == 1
    assert found.error == 0


def test_a_number_that_is_none_names_its_item(vectors: Vectors) -> None:
    broken = vectors.copy()
    broken[41, 0] = np.nan
    with pytest.raises(BenchError, match="catalogue item 41 is not finite"):
        ResidualAutoEncoder(broken, 3, 16, 0, PLAN)
    with pytest.raises(BenchError, match="catalogue item 41 is not finite"):
        trained(vectors).quantize(broken)
    with pytest.raises(BenchError, match="no items"):
        ResidualAutoEncoder(vectors[:0], 3, 16, 0, PLAN)
