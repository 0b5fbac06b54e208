"""Intervals against SciPy's bootstrap, against a plain loop, and against their own promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation import statistics
from bench.evaluation.metrics import ndcg
from bench.evaluation.statistics import ends, mean_and_sd, resampled_means
from tests.evaluation.intervals import interval


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
    truth, covered = gains(random, 2_000_000).mean(), []
    for batch in range(12):
        means = resampled_means(np.stack([gains(random, 600) for _ in range(50)], axis=1), 400, seed=batch)
        covered += [low <= truth <= high for low, high in map(ends, means.T)]
    assert 0.92 < np.mean(covered) < 0.975  # 0.95 within three standard errors of 600 trials


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
    monkeypatch.setattr(statistics, "COUNTS_AT_ONCE", 1100)
    assert interval(values, seed=3) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("values", [np.zeros(50), np.array([0.5]), np.full(999, 1 / np.log2(3))])
def test_users_that_agree_give_a_point(values: np.ndarray) -> None:
    assert interval(values) == (values[0], values[0])


def test_a_resample_draws_the_same_users_for_every_column() -> None:
    random = np.random.default_rng(3)
    columns = np.stack([gains(random, 300), gains(random, 300), np.arange(300.0)], axis=1)
    found = resampled_means(columns, 50, seed=9)
    generator = np.random.default_rng(9)
    for row in found:
        drawn = generator.integers(300, size=300, dtype=np.uint32)
        assert row == pytest.approx([np.mean([columns[user, at] for user in drawn]) for at in range(3)])
    alone = resampled_means(columns[:, 1:2], 50, seed=9)
    assert alone[:, 0] == pytest.approx(found[:, 1], abs=1e-15)


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    random = np.random.default_rng(4)
    easy = random.random(2000) * 0.5
    one, other = (easy + random.normal(0, 0.01, 2000) for _ in range(2))
    means = resampled_means(np.stack([one, other], axis=1))
    low, high = ends(means[:, 0] - means[:, 1])
    assert (low, high) == pytest.approx(interval(one - other), abs=1e-12)
    assert high - low < 0.1 * (interval(one)[1] - interval(one)[0])


def test_impossible_levels() -> None:
    with pytest.raises(BenchError, match=r"such as 0\.95; got 95"):
        ends(np.ones(3), 95)


def test_mean_and_sample_deviation() -> None:
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_sd([0.25]) == (0.25, None)
    with pytest.raises(BenchError, match="at least one finished run"):
        mean_and_sd([])
