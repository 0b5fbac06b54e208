"""Intervals against SciPy's bootstrap and against their own promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation import statistics
from bench.evaluation.metrics import ndcg
from bench.evaluation.statistics import interval, mean_and_sd, over_seeds


def gains(random: np.random.Generator, users: int) -> np.ndarray:
    """NDCG@10 of users of whom about one in six is hit."""
    ranks = np.where(random.random(users) < 0.3, random.integers(1, 20, users), np.inf)
    return ndcg(ranks.astype(float), 10)


def test_equals_scipy_on_small_data() -> None:
    values = gains(np.random.default_rng(5), 80)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = interval(values, resamples=40_000)
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02 * width)


def test_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    truth = gains(random, 2_000_000).mean()
    bounds = [interval(gains(random, 600), resamples=400, seed=trial) for trial in range(600)]
    covered = np.mean([low <= truth <= high for low, high in bounds])
    assert 0.92 < covered < 0.975  # 0.95 within three standard errors of 600 trials


def test_wider_level_and_fewer_users_give_wider_intervals() -> None:
    values = gains(np.random.default_rng(2), 4000)

    def width(values: np.ndarray, level: float) -> float:
        low, high = interval(values, level)
        return high - low

    assert width(values, 0.99) > width(values, 0.95) > width(values, 0.5)
    assert width(values[:500], 0.95) > 2 * width(values, 0.95)


def test_same_seed_same_interval_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = gains(np.random.default_rng(2), 500)
    whole = interval(values, seed=3)
    assert whole != interval(values, seed=4)
    monkeypatch.setattr(statistics, "DRAWS_AT_ONCE", 100)
    assert interval(values, seed=3) == whole


@pytest.mark.parametrize("values", [np.zeros(50), np.array([0.5])])
def test_users_that_agree_give_a_point(values: np.ndarray) -> None:
    low, high = interval(values)
    assert low == high == pytest.approx(values[0])


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        (np.empty(0), 0.95, "at least one user"),
        (np.array([0.1, np.nan]), 0.95, "finite"),
        (np.ones(3), 95, "level 95 is impossible"),
    ],
)
def test_impossible_requests(values: np.ndarray, level: float, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        interval(values, level)


def test_seeds_are_averaged_per_user() -> None:
    assert over_seeds([np.array([0.0, 1.0]), np.array([1.0, 1.0])]).tolist() == [0.5, 1.0]
    with pytest.raises(BenchError, match=r"same users; found \[2, 3\]"):
        over_seeds([np.zeros(2), np.zeros(3)])


def test_mean_and_sample_deviation() -> None:
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_sd([0.25]) == (0.25, None)
    with pytest.raises(BenchError, match="no runs"):
        mean_and_sd([])
