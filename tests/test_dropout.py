"""Dropout from 16 random bits an element, against what dropout is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from bench.dropout import Dropout, dropout, kept


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9, 1e-9])
def test_elements_are_dropped_as_often_as_asked_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    count = 1_000_003
    found = dropout(torch.ones(count), p, training=True)
    dropped = int((found == 0).sum())
    rounded = max(round(p * 65536), 1) / 65536
    assert stats.binomtest(dropped, count, rounded).pvalue > 1e-3
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - rounded)])
    assert found.mean().item() == pytest.approx(1, abs=5 * (rounded / (1 - rounded) / count) ** 0.5)


def test_neighbors_are_dropped_independently_of_each_other() -> None:
    torch.manual_seed(1)
    gone = (kept(torch.empty(4_000_000), 0.3) == 0).numpy().astype(float)
    for lag in (1, 2, 3, 4, 5, 8, 64, 624):
        assert abs(np.corrcoef(gone[:-lag], gone[lag:])[0, 1]) < 4.5 / len(gone) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_gradient_takes_the_same_way(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    x = torch.full((33, 5, 7), 3.0, dtype=dtype, requires_grad=True)
    found = dropout(x, 0.4, training=True)
    assert found.dtype == dtype
    found.sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad * 3, found.detach(), rtol=1e-2)
    assert 0 < int((x.grad == 0).sum()) < x.numel()


def test_elements_of_a_transposed_tensor_keep_their_places() -> None:
    torch.manual_seed(3)
    x = torch.arange(1.0, 61).view(12, 5).T
    found = dropout(x, 0.5, training=True)
    assert found.shape == (5, 12)
    assert torch.equal(found[found != 0], 2 * x[found != 0])


def test_the_seed_decides_and_each_call_draws_anew() -> None:
    module, x = Dropout(0.2), torch.ones(1000)
    torch.manual_seed(4)
    first, second = module(x), module(x)
    torch.manual_seed(4)
    assert torch.equal(module(x), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_outside_training_or_at_zero() -> None:
    x = torch.ones(10)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(dropout(torch.empty(0), 0.5, True), torch.empty(0))


def test_all_is_dropped_at_one_as_pytorch_does() -> None:
    assert dropout(torch.ones(100), 1.0, training=True).count_nonzero() == nn.Dropout(1.0)(torch.ones(100)).sum() == 0
