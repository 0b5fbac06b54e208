"""The rank correlation against SciPy's, its interval against how often it holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bench.errors import BenchError
from bench.evaluation.rank_correlation import rank_correlation


@given(st.integers(5, 30), st.integers(0, 9999))
def test_it_is_spearmans(count: int, seed: int) -> None:
    one, other = np.random.default_rng(seed).integers(0, 9, (2, count)).astype(float)
    one[0], other[0] = 10, 11  # so that neither is constant
    found, (low, high) = rank_correlation(one, other)
    assert found == pytest.approx(spearmanr(one, other).statistic)
    assert -1 <= low <= found <= high <= 1


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of normal pairs with correlation 0.6: the rank correlation of the population is 6 / pi * arcsin(0.3)."""
    random, truth = np.random.default_rng(0), 6 / np.pi * np.arcsin(0.3)
    inside = 0
    for _ in range(600):
        one, noise = random.normal(size=(2, 20))
        low, high = rank_correlation(one, 0.6 * one + 0.8 * noise)[1]
        inside += low <= truth <= high
    assert 0.92 <= inside / 600 <= 0.98


def test_the_same_order_is_no_certainty() -> None:
    found, (low, high) = rank_correlation(np.arange(6.0), np.arange(6.0) ** 3)
    assert (found, high) == (1.0, 1.0)
    assert 0.5 < low < 0.99
    assert rank_correlation(np.arange(6.0), -np.arange(6.0))[1] == (-1.0, pytest.approx(-low))


@pytest.mark.parametrize(("one", "other"), [([1, 2, 3, 4], [1, 2, 3, 4]), ([1] * 6, range(6)), (range(6), range(5))])
def test_too_few_or_equal_ones_are_refused(one: list[int], other: list[int]) -> None:
    with pytest.raises(BenchError, match="a rank correlation needs 5 or more pairs that differ"):
        rank_correlation(np.array(one, float), np.array(other, float))
