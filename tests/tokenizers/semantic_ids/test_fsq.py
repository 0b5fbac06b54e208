"""Finite scalar quantization: the grid of the paper, values against every grid point, gradients that pass."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from semantic_ids.autoencoder import Training
from semantic_ids.fsq import Grid, ScalarAutoEncoder
from semantic_ids.quantizers import Vectors, relative_error

PLAN = Training(hidden=(16,), epochs=10, batch=64, rate=5e-3, schedule="linear", init="xavier", optimizer="adam")
SIDES = st.lists(st.integers(2, 9), min_size=1, max_size=4).map(tuple)


@given(SIDES, st.integers(0, 99))
def test_codes_are_those_of_the_nearest_grid_point(sides: tuple[int, ...], seed: int) -> None:
    grid, raw = Grid(sides), torch.from_numpy(np.random.default_rng(seed).normal(size=(30, len(sides))) * 4)
    bounded = grid.bounded(raw)
    points = np.array(list(product(*(range(-(side // 2), side - side // 2) for side in sides))), float)
    np.testing.assert_array_equal(grid.points(), points)
    assert grid.size == len(points) == np.prod(sides)
    nearest = ((bounded.numpy()[:, None] - points) ** 2).sum(2).argmin(1)
    assert grid.codes(bounded.round()).tolist() == nearest.tolist()


@pytest.mark.parametrize("sides", [(8, 6, 5), (2,), (7, 5, 5, 5, 5)], ids=str)
def test_bounds_reach_every_value_and_no_further(sides: tuple[int, ...]) -> None:
    grid = Grid(sides)
    for extreme, value in ((-50.0, lambda side: -(side // 2)), (50.0, lambda side: (side - 1) // 2)):
        found = grid.bounded(torch.full((1, len(sides)), extreme)).round()[0].tolist()
        assert found == [value(side) for side in sides]
    zero = grid.bounded(torch.zeros(1, len(sides)))
    np.testing.assert_allclose(zero, 0, atol=1e-5)


def test_gradients_pass_the_rounding_as_if_it_were_not_there() -> None:
    grid, raw = Grid((8, 5)), torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(12.0, dtype=torch.float64).view(6, 2)
    (rounded,) = torch.autograd.grad((grid.rounded(grid.bounded(raw)) * weights).sum(), raw)
    (plain,) = torch.autograd.grad((grid.bounded(raw) * weights).sum(), raw)
    assert torch.equal(rounded, plain)
    assert torch.equal(grid.rounded(grid.bounded(raw)), grid.bounded(raw).round())


def test_training_lowers_the_error_and_a_seed_repeats(vectors: Vectors) -> None:
    found = []
    for noise, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(noise)
        model = ScalarAutoEncoder(vectors[:250], 3, Grid((4, 3)), seed, PLAN)
        errors = list(model.epochs())
        assert errors[-1] < errors[0]
        found.append(model.quantize(vectors))
    assert np.array_equal(found[0].codes, found[1].codes)
    assert not np.array_equal(found[0].codes, found[2].codes)
    assert found[0].codes.shape == (300, 3)
    assert found[0].size == 12
    assert found[0].codes.max() < 12


def test_the_last_level_is_nearest_to_its_codes_and_the_error_is_that_of_the_decoder(vectors: Vectors) -> None:
    model = ScalarAutoEncoder(vectors, 2, Grid((4, 3)), 1, PLAN)
    list(model.epochs())
    found = model.quantize(vectors)
    assert found.distances(np.arange(300)).argmin(1).tolist() == found.codes[:, -1].tolist()
    points = torch.from_numpy(model.grid.points())
    with torch.no_grad():
        built = model.decoder(points[torch.from_numpy(found.codes)].flatten(1)).numpy()
    assert found.error == pytest.approx(relative_error(vectors, vectors - built), rel=1e-5)
