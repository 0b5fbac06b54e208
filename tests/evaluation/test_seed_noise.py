"""Intervals and p over users and seeds: whether they hold what they promise, and what the parts are made of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation.metrics import ndcg
from bench.evaluation.seed_noise import (
    ASSUMED,
    NONE,
    UNIT,
    SeedNoise,
    SeedsPart,
    at_least,
    p_with_seeds,
    pooled,
    widened,
)
from bench.evaluation.statistics import ends, resampled_means

USERS, BATCH = 400, 50


def trials(random: np.random.Generator, seeds: int, noise: float, count: int) -> np.ndarray:
    """``[trials, seeds, users]``: NDCG@10 of trainings whose mean varies by ``noise`` of itself, users as they come."""
    easy = random.beta(0.8, 2.4, (count, 1, USERS))
    factor = 1 + noise * random.normal(size=(count, seeds, 1))
    found = random.random((count, seeds, USERS)) < np.clip(easy * factor, 0, 1)
    ranks = np.where(found, random.integers(1, 11, found.shape), np.inf)
    return ndcg(ranks.ravel(), 10).reshape(ranks.shape)


def coverage(seeds: int, noise: float, batches: int, rows: int = 1) -> float:
    """How often the interval of a row holds the truth; ``rows`` of as many seeds share what they know of the noise."""
    random, covered = np.random.default_rng([seeds, rows, round(1000 * noise)]), []
    truth = trials(random, 1, noise, 4000).mean()
    for batch in range(batches):
        values = [trials(random, seeds, noise, BATCH) for _ in range(rows)]
        means = resampled_means(values[0].mean(axis=1).T, 400, seed=batch)
        for at in range(BATCH):
            scores = [held[at].mean(axis=1).tolist() for held in values]
            shared = pooled(scores)
            assert shared is not None
            part = at_least(shared, scores[0]).of_mean(np.mean(scores[0]), seeds)
            low, high = widened(ends(means[:, at]), float(np.mean(scores[0])), part, limits=UNIT)
            assert 0 <= low <= high <= 1
            covered.append(low <= truth <= high)
    return float(np.mean(covered))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_an_interval_covers_the_truth_whether_seeds_vary_much_or_little(seeds: int, noise: float) -> None:
    assert coverage(seeds, noise, batches=12) >= 0.93  # of 600: 0.95 within two standard errors, or more


@pytest.mark.parametrize("seeds", [2, 3])
def test_rows_that_share_what_they_know_are_covered_too(seeds: int) -> None:
    assert coverage(seeds, 0.2, batches=8, rows=6) >= 0.93


def test_where_seeds_decide_the_interval_is_students() -> None:
    """Users without any spread: what is left is the t interval of the seeds' means."""
    scores = [0.021, 0.024, 0.019]
    shared = pooled([scores])
    assert shared is not None
    found = widened((np.mean(scores), np.mean(scores)), np.mean(scores), shared.of_mean(np.mean(scores), 3))
    theirs = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert found == pytest.approx((theirs.low, theirs.high))


def test_where_seeds_say_nothing_the_interval_is_that_of_the_users() -> None:
    assert widened((0.1, 0.4), 0.2, NONE.of_mean(0.2, 1)) == (0.1, 0.4)
    assert widened((0.1, 0.4), 0.2, SeedNoise(0.0, 2).of_mean(0.2, 3)) == (0.1, 0.4)


def test_half_widths_add_in_quadrature_and_each_side_keeps_its_own() -> None:
    part = SeedsPart(0.04**2 / stats.norm.ppf(0.975) ** 2, np.inf)
    assert widened((0.27, 0.35), 0.3, part) == pytest.approx((0.25, 0.3 + np.hypot(0.05, 0.04)))


def test_an_interval_ends_where_its_metric_does() -> None:
    wide = SeedNoise(0.5, 1)
    assert widened((0.001, 0.003), 0.002, wide.of_mean(0.002, 2), limits=UNIT)[0] == 0
    assert widened((0.96, 0.99), 0.98, wide.of_mean(0.98, 2), limits=UNIT) == (0, 1)


def test_the_pool_is_the_deviation_where_rows_are_of_one_height() -> None:
    rows = [[0.9, 1.1], [1.2, 0.8], [1.0, 1.1, 0.9]]
    found = pooled([*rows, [0.7]])
    variances = [np.var(row, ddof=1) for row in rows]
    assert found is not None
    assert found.relative == pytest.approx(np.sqrt((variances[0] + variances[1] + 2 * variances[2]) / 4))
    assert found.degrees == pytest.approx(4)


def test_the_pool_recovers_a_noise_and_how_well_it_is_known() -> None:
    """The estimate's own spread over many pools is that of a variance with as many degrees of freedom."""
    random, heights = np.random.default_rng(3), np.array([0.03, 0.03, 0.02, 0.01, 0.001])[:, None]
    found = [pooled((heights * (1 + 0.05 * random.normal(size=(5, 3)))).tolist()) for _ in range(4000)]
    squares = np.array([held.relative**2 for held in found if held is not None])
    assert np.sqrt(squares.mean()) == pytest.approx(0.05, rel=0.02)
    degrees = np.mean([held.degrees for held in found if held is not None])
    assert 2 * squares.mean() ** 2 / squares.var() == pytest.approx(degrees, rel=0.1)


def test_a_row_with_hardly_a_hit_has_little_say() -> None:
    steady = [[0.030, 0.031], [0.020, 0.0205]]
    alone, beside = pooled(steady), pooled([*steady, [0.0001, 0.0004]])
    assert alone is not None
    assert beside is not None
    assert beside.relative == pytest.approx(alone.relative, rel=0.05)  # a mean of squares would be 0.5


@pytest.mark.parametrize("scores", [[], [[0.2]], [[0.2], [0.3]], [[0.0, 0.0]]])
def test_without_a_second_seed_nothing_is_known(scores: list[list[float]]) -> None:
    assert pooled(scores) is None


def test_an_unruly_row_keeps_its_own_noise_and_a_quiet_one_has_that_of_all() -> None:
    shared = SeedNoise(0.05, 8)
    assert at_least(shared, [0.02, 0.04]) == SeedNoise(pytest.approx(np.sqrt(0.0002) / 0.03), 8)
    assert at_least(shared, [0.0300, 0.0301]) == at_least(shared, [0.03]) == shared


def test_seeds_of_two_runs_are_independent() -> None:
    one, other = SeedNoise(0.1, 4).of_mean(0.5, 5), SeedNoise(0.2, 2).of_mean(0.3, 1)
    assert one + other == SeedsPart(pytest.approx(0.05**2 / 5 + 0.06**2), 2)
    assert one + NONE.of_mean(0.3, 1) == one
    assert (NONE.of_mean(0.2, 1) + NONE.of_mean(0.3, 1)).half_width() == 0


@pytest.mark.parametrize("p", [1e-200, 1e-6, 0.003, 0.2, 1.0])
def test_p_without_noise_is_that_of_the_users(p: float) -> None:
    assert p_with_seeds(np.array([0.1]), np.array([p]), [NONE.of_mean(1.0, 1)])[0] == p


def test_p_with_a_known_noise_is_that_of_a_normal_difference() -> None:
    """Both parts normal and known: one normal test of their sum."""
    differences, users, seeds = np.array([0.004, -0.01, 0.02]), 0.002, 0.003
    p = 2 * stats.norm.sf(np.abs(differences) / users)
    found = p_with_seeds(differences, p, [SeedsPart(seeds**2, np.inf)] * 3)
    assert found == pytest.approx(2 * stats.norm.sf(np.abs(differences) / np.hypot(users, seeds)), rel=1e-6)


def test_p_where_seeds_decide_is_students() -> None:
    one, other = [0.024, 0.025, 0.0262], [0.021, 0.0195, 0.020]
    variance = (np.var(one, ddof=1) + np.var(other, ddof=1)) / 3
    difference = np.mean(one) - np.mean(other)
    found = p_with_seeds(np.array([difference]), np.array([1e-300]), [SeedsPart(float(variance), 4)])
    assert found[0] == pytest.approx(stats.ttest_ind(one, other).pvalue, rel=0.02)  # users have a last word


@pytest.mark.parametrize("degrees", [1, 3, np.inf])
def test_p_and_interval_agree(degrees: float) -> None:
    """p is below 0.05 just where the 95 % interval does not hold 0."""
    users, part = 0.002, SeedsPart(0.001**2, degrees)
    half = widened((-1.96 * users, 1.96 * users), 0.0, part)[1]
    for factor, below in ((0.98, False), (1.02, True)):
        p = 2 * stats.norm.sf(factor * half / users)
        found = p_with_seeds(np.array([factor * half]), np.array([p]), [part])[0]
        assert bool(found < 0.05) is below


def test_no_difference_is_no_finding_and_p_never_falls() -> None:
    part = ASSUMED.of_mean(0.03, 1) + ASSUMED.of_mean(0.03, 1)
    assert p_with_seeds(np.zeros(2), np.array([1.0, 0.9]), [part, part]).tolist() == [1, pytest.approx(1)]
    p = np.array([1e-300, 1e-9, 0.01, 0.5, 0.99])
    assert (p_with_seeds(np.full(5, 0.004), p, [part] * 5) >= p).all()


def test_parts_must_be_as_many_as_differences() -> None:
    with pytest.raises(BenchError, match="got 2, 2 and 1"):
        p_with_seeds(np.zeros(2), np.ones(2), [NONE.of_mean(0.1, 1)])
