"""The paired test against SciPy's, against all permutations, and against its promises: false findings and power."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.errors import BenchError
from bench.evaluation import paired
from bench.evaluation.metrics import ndcg
from bench.evaluation.paired import effect_size, holm, relative_difference, sign_flip

FEW = st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.0, 0.25, 0.63, 1.0]), min_size=1, max_size=10)


def ranks(random: np.random.Generator, easy: np.ndarray, trials: int) -> np.ndarray:
    """``[users, trials]``: users found with the probability ``easy [users]``, then anywhere in the first 20."""
    shape = (len(easy), trials)
    return np.where(random.random(shape) < easy[:, None], random.integers(1, 21, shape), np.inf)


@given(FEW)
def test_few_users_are_tested_exactly(values: list[float]) -> None:
    sums = [sum(sign * value for sign, value in zip(signs, values, strict=True)) for signs in _signs(len(values))]
    p = np.mean([abs(found) >= abs(sum(values)) - 1e-9 for found in sums])
    assert sign_flip(np.array(values)[:, None])[0] == pytest.approx(p)


def _signs(users: int) -> itertools.product[tuple[int, ...]]:
    return itertools.product((-1, 1), repeat=users)


@pytest.mark.parametrize("users", [6, 11])
def test_equals_scipy_where_both_are_exact(users: int) -> None:
    values = np.random.default_rng(users).normal(0.3, 1, users)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(values[:, None])[0] == pytest.approx(theirs.pvalue)


def test_equals_scipy_where_both_draw() -> None:
    random = np.random.default_rng(3)
    easy = random.random(300) * 0.4
    one, other = (ndcg(ranks(random, easy * ease, 1)[:, 0], 10) for ease in (1.2, 1.0))
    theirs = stats.permutation_test(
        (one, other),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    ours = sign_flip((one - other)[:, None], 20_000)[0]
    assert 0.01 < ours < 0.9
    assert ours == pytest.approx(theirs.pvalue, abs=4 * np.sqrt(0.25 * 2 / 20_000))


def test_type_one_error_is_what_it_says() -> None:
    """2,400 pairs of equally good models; the share of p <= 0.05 has a standard error of 0.45 %."""
    random, found = np.random.default_rng(7), []
    for batch in range(24):
        easy = random.random(200) * 0.6
        null = ndcg(ranks(random, easy, 100), 10) - ndcg(ranks(random, easy, 100), 10)
        found.append(sign_flip(null, 999, seed=batch))
    p = np.concatenate(found)
    assert 0.04 <= np.mean(p <= 0.05) <= 0.06
    assert 0.4 < np.mean(p <= 0.5) < 0.6


def test_a_tenth_more_is_found_in_20_000_users() -> None:
    """NDCG@10 of 0.04 and a tenth more; as two trained models do, they agree on about half of the users."""
    random = np.random.default_rng(13)
    easy = np.repeat(random.beta(0.5, 3.5, 20_000)[:, None], 60, axis=1)
    worse = ranks(random, easy[:, 0], 60)
    better = np.where(random.random(worse.shape) < 0.5, worse, ranks(random, easy[:, 0], 60))
    better = np.where(
        np.isinf(better) & (random.random(worse.shape) < 0.1 * easy / (1 - easy)),
        random.integers(1, 21, worse.shape),
        better,
    )
    better, worse = ndcg(better, 10), ndcg(worse, 10)
    assert np.mean(better) / np.mean(worse) == pytest.approx(1.1, abs=0.01)
    p = sign_flip(better - worse, 999)
    assert np.mean((p <= 0.05) & ((better - worse).mean(axis=0) > 0)) > 0.9


def test_direction_does_not_change_p_and_nothing_is_never_significant() -> None:
    values = np.random.default_rng(2).normal(0.1, 1, (200, 1))
    assert sign_flip(values) == pytest.approx(sign_flip(-values))
    assert sign_flip(np.zeros((50, 1)))[0] == 1


def test_p_is_never_zero_and_beyond_the_draws_holds_for_all_patterns() -> None:
    """Of 2^100 sign patterns of equal differences two have so large a sum; none of 99 draws is one of them."""
    p = sign_flip(np.ones((100, 1)), 99)[0]
    assert 2 / 2.0**100 < p == pytest.approx(2 * np.exp(-50))
    assert 0 < sign_flip(np.ones((20_000, 1)), 99)[0] < 1e-300
    assert sign_flip(np.ones((14, 1)), 99)[0] >= 2 / 2**14


def test_pairs_of_columns_are_tested_as_their_differences() -> None:
    random = np.random.default_rng(8)
    values = ndcg(ranks(random, random.random(150) * 0.5, 5), 10)
    values[:, 4] = values[:, 3]
    values[:5, 4] += 0.25
    pairs = np.array(list(itertools.combinations(range(5), 2)))
    expected = sign_flip(values[:, pairs[:, 0]] - values[:, pairs[:, 1]], 999)
    assert paired.pairwise(values, pairs, 999) == pytest.approx(expected)
    assert paired.pairwise(values, pairs[:, ::-1], 999) == pytest.approx(expected)
    assert paired.pairwise(values, np.array([[3, 4]])) == pytest.approx(2 / 2**5)


def test_the_best_may_be_picked_when_all_pairs_are_corrected_for() -> None:
    """Ten equal models: how often luck alone sets the best of them apart from any other.

    Corrected for the comparisons with the best alone, as if it had not been picked, that is too often.
    """
    pairs = np.array(list(itertools.combinations(range(10), 2)))
    all_pairs, picked = [], []
    for seed in range(200):
        random = np.random.default_rng([9, seed])
        values = random.normal(size=(60, 1)) + random.normal(size=(60, 10))
        p = paired.pairwise(values, pairs, 1999, seed)
        best = (pairs == values.mean(axis=0).argmax()).any(axis=1)
        all_pairs.append((holm(p)[best] <= 0.05).any())
        picked.append((holm(p[best]) <= 0.05).any())
    assert np.mean(all_pairs) <= 0.05
    assert np.mean(picked) > 0.1


def test_a_comparison_does_not_depend_on_its_neighbors_or_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    values = random.normal(0.1, 1, (160, 4)) * (random.random((160, 4)) < 0.5)
    together = sign_flip(values)
    assert [sign_flip(values[:, [at]])[0] for at in range(4)] == pytest.approx(together)
    assert sign_flip(values, seed=1).tolist() != together.tolist()
    monkeypatch.setattr(paired, "FLIPS_AT_ONCE", 160 * 37)
    assert sign_flip(values) == pytest.approx(together)


def test_memory_does_not_grow_with_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few users all permutations are drawn at once; 3,160 pairs of 9,999 sums would be 250 MB, and as much again."""
    values = np.random.default_rng(5).random((100, 80))
    pairs = np.array(list(itertools.combinations(range(80), 2)))
    tracemalloc.start()
    found = paired.pairwise(values, pairs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    monkeypatch.setattr(paired, "DIFFERENCES_AT_ONCE", 1 << 30)
    assert paired.pairwise(values, pairs).tolist() == found.tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_steps_down(p: list[float]) -> None:
    """Walk up from the smallest; each is multiplied by how many are left, and none gets below the one before."""
    expected, before = {}, 0.0
    for left, (value, at) in zip(range(len(p), 0, -1), sorted((value, at) for at, value in enumerate(p)), strict=True):
        before = expected[at] = max(before, min(1.0, value * left))
    assert holm(np.array(p)) == pytest.approx([expected[at] for at in range(len(p))])


def test_holm_keeps_false_findings_rare() -> None:
    p = np.random.default_rng(4).random((4000, 10))
    assert np.mean([holm(row).min() <= 0.05 for row in p]) == pytest.approx(0.05, abs=0.012)


def test_effect_size_is_standardized_and_signed() -> None:
    values = np.array([0.5, -0.5, 1.0, 0.0])
    assert effect_size(values) == pytest.approx(0.25 / np.sqrt(np.sum((values - 0.25) ** 2) / 3))
    assert effect_size(-values) == pytest.approx(-effect_size(values))  # type: ignore[operator]
    assert effect_size(np.zeros(5)) is effect_size(np.array([0.3])) is None
    assert effect_size(np.full(7, 0.1)) is None  # whose deviation is rounding


def test_a_relative_difference_is_a_part_of_the_reference() -> None:
    assert relative_difference(0.11, 0.10) == pytest.approx(0.1)
    assert relative_difference(0.11, 0.0) is None


@pytest.mark.parametrize("values", [np.empty((0, 1)), np.array([[np.nan]])])
def test_impossible_requests(values: np.ndarray) -> None:
    with pytest.raises(BenchError, match="finite values of at least one user"):
        sign_flip(values)
