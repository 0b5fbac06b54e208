"""Intervals against SciPy's bootstrap, against a plain loop, and against their own promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation import statistics
from bench.evaluation.metrics import ndcg
from bench.evaluation.statistics import ends, interval, mean_and_sd, resampled_means, resampled_over_seeds


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


def test_one_seed_is_the_interval_over_users() -> None:
    values = gains(np.random.default_rng(8), 700)
    assert interval(values[None]) == interval(values)


def test_seeds_add_their_own_variance_and_no_more() -> None:
    """The mean over 4 seeds varies by users / 500, by what is peculiar to a user under a seed / 2000, by seeds / 4."""
    random = np.random.default_rng(1)
    users, peculiar, seeds = random.normal(0, 2, (500, 1)), random.normal(0, 1, (500, 4)), np.array([0, 0.4, 0.8, 1.2])
    values = users + peculiar - peculiar.mean(axis=0) + seeds
    found = resampled_over_seeds(resampled_means(values, 20_000), seed=5)
    of_seeds = np.var(seeds, ddof=1) - 1 / 500  # of their means, less what users under a seed do to these
    assert found.var() == pytest.approx(users.var() / 500 + 1 / 2000 + of_seeds / 4, rel=0.05)
    assert found.mean() == pytest.approx(values.mean(), abs=0.01)


def test_seeds_that_differ_by_chance_alone_add_nothing() -> None:
    values = np.random.default_rng(4).normal(0, 1, (2, 900))
    values[1] += values[0].mean() - values[1].mean()
    low, high = interval(values)
    assert (low, high) == pytest.approx(interval(values.mean(axis=0)), abs=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_over_seeds_and_users_covers_the_truth(noise: float) -> None:
    """Five seeds, 400 users of their own difficulty: without and with a difference between seeds."""
    random, covered = np.random.default_rng(21), 0
    for trial in range(300):
        users, seeds = random.random(400) * 0.2, random.normal(0, noise, (5, 1))
        values = (random.random((5, 400)) < np.clip(users + seeds, 0, 1)).astype(float)
        low, high = interval(values, resamples=300, seed=trial)
        covered += low <= 0.1 <= high
    assert 0.91 < covered / 300 < 0.985  # 0.95, three standard errors, and a little less for five seeds


def test_mean_and_sample_deviation() -> None:
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_sd([0.25]) == (0.25, None)
    with pytest.raises(BenchError, match="no runs"):
        mean_and_sd([])
