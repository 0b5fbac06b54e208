"""Ranks over data sets against the tables and the example of Demšar (2006)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation.critical_difference import critical_difference


@pytest.mark.parametrize(("schemes", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_equals_the_published_quantiles(schemes: int, quantile: float) -> None:
    scores = np.random.default_rng(1).random((14, schemes))
    found = critical_difference(scores)
    assert found.difference == pytest.approx(quantile * np.sqrt(schemes * (schemes + 1) / (6 * 14)), rel=1e-3)


def test_ranks_and_friedman() -> None:
    scores = np.array([[0.3, 0.2, 0.1], [0.5, 0.5, 0.1], [0.9, 0.1, 0.4], [0.6, 0.3, 0.2], [0.8, 0.7, 0.0]])
    found = critical_difference(scores)
    assert found.average_ranks == pytest.approx((1.1, 2.1, 2.8))
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert found.datasets == 5


def test_cliques_hold_those_that_are_not_told_apart() -> None:
    """Ranks 1, 2, 3, 4 on every data set; with 20 data sets the difference is 1.05."""
    scores = np.tile([0.1, 0.2, 0.3, 0.4], (20, 1))
    assert critical_difference(scores).cliques == ((3, 2), (2, 1), (1, 0))
    assert critical_difference(np.tile(scores, (3, 1))).cliques == ()
    assert critical_difference(scores[:5]).cliques == ((3, 2, 1), (2, 1, 0))


def test_schemes_that_never_differ_are_one_clique() -> None:
    found = critical_difference(np.full((5, 3), 0.2))
    assert (found.p, found.cliques) == (1.0, ((0, 1, 2),))


def test_scores_that_differ_in_their_last_bits_are_tied() -> None:
    """As sums of the same ranks in another order do."""
    scores = np.array([[0.1 + 0.2, 0.3, 0.1]] * 3 + [[0.3, 0.1 + 0.2, 0.1]] * 3)
    found = critical_difference(scores)
    assert found.average_ranks == (1.5, 1.5, 3.0)
    assert found.p == critical_difference(np.round(scores, 6)).p


@pytest.mark.parametrize(("shape", "said"), [((4, 3), "3 on 4"), ((5, 2), "2 on 5")])
def test_too_little_is_refused(shape: tuple[int, int], said: str) -> None:
    with pytest.raises(BenchError, match=f"3 or more schemes on 5 or more data sets; got {said}"):
        critical_difference(np.ones(shape))


def test_gaps_are_refused() -> None:
    with pytest.raises(BenchError, match="got gaps"):
        critical_difference(np.full((5, 3), np.nan))
