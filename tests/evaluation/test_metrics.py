"""Metrics against scikit-learn and against versions too plain to be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

from bench.contract import CUTOFFS
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.evaluation import metrics
from bench.evaluation.metrics import Ranks, from_entries, from_scores, hit, ndcg, reciprocal_rank

USERS, ITEMS = 300, 60


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.normal(size=(USERS, ITEMS)), random.integers(0, ITEMS, USERS)


@pytest.mark.parametrize("k", CUTOFFS)
def test_hit_and_ndcg_equal_scikit_learn(scored: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, targets = scored
    ranks = from_scores(scores, targets).strict
    labels = np.arange(ITEMS)
    assert hit(ranks, k).mean() == pytest.approx(top_k_accuracy_score(targets, scores, k=k, labels=labels))
    assert ndcg(ranks, k).mean() == pytest.approx(ndcg_score(np.eye(ITEMS)[targets], scores, k=k))


def test_mrr_equals_scikit_learn(scored: tuple[np.ndarray, np.ndarray]) -> None:
    scores, targets = scored
    ranks = from_scores(scores, targets).strict
    expected = label_ranking_average_precision_score(np.eye(ITEMS)[targets].astype(int), scores)
    assert reciprocal_rank(ranks).mean() == pytest.approx(expected)


def test_values_by_hand() -> None:
    ranks = np.array([1.0, 2.0, 3.0, 11.0, np.inf])
    assert hit(ranks, 2).tolist() == [1, 1, 0, 0, 0]
    assert ndcg(ranks, 10) == pytest.approx([1, 1 / math.log2(3), 0.5, 0, 0])
    assert reciprocal_rank(ranks) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 11, 0])
    assert reciprocal_rank(ranks, 10) == pytest.approx([1, 1 / 2, 1 / 3, 0, 0])


def test_summary_names_mrr_only_for_complete_rankings() -> None:
    ranks = np.array([1.0, 30.0])
    short = metrics.summarize(ranks)
    assert [*short] == [f"{name}@{k}" for name in ("hit", "ndcg") for k in CUTOFFS] + ["mrr@20"]
    assert short["hit@20"] == 0.5
    assert short["mrr@20"] == 0.5
    assert metrics.summarize(ranks, complete=True)["mrr"] == pytest.approx((1 + 1 / 30) / 2)


def test_no_users_is_an_error() -> None:
    with pytest.raises(BenchError, match="at least one evaluated user"):
        metrics.summarize(np.empty(0))


def test_ties_count_against_the_target() -> None:
    assert from_scores(np.zeros((2, 7)), np.array([0, 6])).strict.tolist() == [7, 7]
    assert from_scores(np.array([[3.0, 1.0, 1.0, 0.0]]), np.array([1])).strict.tolist() == [3]


def test_excluded_items_take_no_place() -> None:
    scores = np.array([[4.0, 3.0, 2.0, 1.0]] * 2)
    excluded = np.array([[True, False, True, False], [False, False, False, True]])
    ranks = from_scores(scores, np.array([3, 3]), excluded)
    assert ranks.strict.tolist() == [2, np.inf]


def test_nan_scores_are_an_error_naming_the_row() -> None:
    scores = np.zeros((3, 4))
    scores[1, 2] = np.nan
    with pytest.raises(BenchError, match="1 of 3 users hold it, first in row 1"):
        from_scores(scores, np.zeros(3, int))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_scores_rank_as_a_pessimistic_sort(seed: int, exclude: bool) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 4, (5, 9)).astype(np.float32)
    targets = random.integers(0, 9, 5)
    excluded = random.random((5, 9)) < 0.3 if exclude else None
    for user, found in enumerate(from_scores(scores, targets, excluded).strict):
        allowed = [item for item in range(9) if excluded is None or not excluded[user, item]]
        # Last among equals: the target sorts after every other item of the same score.
        order = sorted(allowed, key=lambda item: (-scores[user, item], item == targets[user]))
        assert found == (order.index(targets[user]) + 1 if targets[user] in order else np.inf)


def entry_oracle(
    items: np.ndarray, valid: np.ndarray, target: int, groups: np.ndarray, seen: frozenset[int] = frozenset()
) -> tuple[float, float, list[list[int]]]:
    """One user: code rank, strict rank and the catalogue items behind each valid entry, but for those seen."""
    entries = [
        [item for item in range(len(groups)) if groups[item] == groups[shown] and item not in seen]
        for shown, ok in zip(items, valid, strict=True)
        if ok
    ]
    entries = [entry for entry in entries if entry]
    before = 0
    for position, members in enumerate(entries, start=1):
        if target in members:
            return position, before + len(members), entries
        before += len(members)
    return math.inf, math.inf, entries


def random_entries(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lists of distinct identifiers, partly invalid (with -1 for the item), over a catalogue with collisions."""
    random = np.random.default_rng(seed)
    groups = np.unique(random.integers(0, 8, 12), return_inverse=True)[1]
    codes = groups.max() + 1
    width = int(random.integers(1, codes + 1))
    chosen = np.stack([random.permutation(codes)[:width] for _ in range(6)])
    items = np.array([[random.choice(np.flatnonzero(groups == code)) for code in row] for row in chosen])
    valid = random.random(items.shape) < 0.8
    return np.where(valid, items, -1), valid, random.integers(0, 12, 6), groups


@given(st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_entries_equal_the_plain_reading(seed: int) -> None:
    items, valid, targets, groups = random_entries(seed)
    ranks = from_entries(items, valid, targets, groups)
    for user, target in enumerate(targets):
        code_rank, strict, _ = entry_oracle(items[user], valid[user], target, groups)
        assert ranks.optimistic[user] == code_rank
        assert ranks.strict[user] == strict
        assert ranks.group_size[user] == (groups == groups[target]).sum()


@given(st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_entries_without_excluded_items_equal_the_plain_reading(seed: int) -> None:
    items, valid, targets, groups = random_entries(seed)
    random = np.random.default_rng(seed)
    excluded = Sequences.from_rows([random.integers(0, 12, random.integers(0, 9)) for _ in targets])
    ranks = from_entries(items, valid, targets, groups, excluded=excluded)
    for user, target in enumerate(targets):
        seen = frozenset(excluded[user].tolist())
        code_rank, strict, _ = entry_oracle(items[user], valid[user], target, groups, seen)
        assert (ranks.optimistic[user], ranks.strict[user]) == (code_rank, strict)
        others = [item for item in range(12) if groups[item] == groups[target] and item not in seen | {int(target)}]
        assert ranks.group_size[user] == len(others) + 1


def test_a_partner_in_the_entry_brings_no_excluded_target_back() -> None:
    """Items 0 and 1 share an identifier: who has item 0 and is asked for it gets no more than if each had its own."""
    items, valid, seen = np.array([[3, 0, 2]]), np.ones((1, 3), bool), Sequences.from_rows([[0, 6]])
    groups = np.array([0, 0, 1, 2, 3, 4, 5])
    assert from_entries(items, valid, np.array([0]), groups, excluded=seen).strict.tolist() == [np.inf]
    assert from_entries(items, valid, np.array([0]), np.arange(7), excluded=seen).strict.tolist() == [np.inf]
    partner = from_entries(items, valid, np.array([1]), groups, excluded=seen)
    assert (partner.strict.tolist(), partner.group_size.tolist()) == ([2], [1])
    behind = from_entries(items, valid, np.array([2]), groups, excluded=seen)
    assert behind.strict.tolist() == behind.optimistic.tolist() == [3]


def test_expected_metrics_equal_the_mean_over_all_draws() -> None:
    """Every entry shows one of its items: enumerate which one of the target's entry it is."""
    for seed in range(20):
        items, valid, targets, groups = random_entries(seed)
        found = metrics.summaries(from_entries(items, valid, targets, groups), complete=False)["expected"]
        outcomes = []
        for user, target in enumerate(targets):
            code_rank, _, _ = entry_oracle(items[user], valid[user], target, groups)
            members = [item for item in range(len(groups)) if groups[item] == groups[target]]
            outcomes.append([code_rank if shown == target else math.inf for shown in members])
        for k in CUTOFFS:
            gain = [np.mean([1 / math.log2(rank + 1) if rank <= k else 0 for rank in row]) for row in outcomes]
            assert found[f"ndcg@{k}"] == pytest.approx(np.mean(gain))


def test_readings_agree_without_collisions_and_are_ordered_with_them() -> None:
    items, valid = np.array([[2, 0, 1], [3, 1, 0]]), np.ones((2, 3), bool)
    alone = metrics.summaries(from_entries(items, valid, np.array([0, 1]), np.arange(4)), complete=False)
    assert alone["strict"] == alone["optimistic"] == alone["expected"]
    shared = metrics.summaries(from_entries(items, valid, np.array([0, 1]), np.array([0, 1, 2, 0])), complete=False)
    assert shared["strict"]["ndcg@5"] < shared["optimistic"]["ndcg@5"]
    assert shared["expected"]["ndcg@5"] < shared["optimistic"]["ndcg@5"]


def test_join_keeps_users_in_order() -> None:
    parts = [Ranks.of_items(np.array([1.0, np.inf])), Ranks.of_items(np.array([4.0]))]
    joined = Ranks.join(parts)
    assert joined.strict.tolist() == [1, np.inf, 4]
    assert len(joined) == 3


def test_entries_of_one_score_count_against_the_target() -> None:
    """A decoder orders ties somehow, for example by identifier: a scheme must not be able to gain by it."""
    items, valid, scores = np.tile(np.arange(5), (3, 1)), np.ones((3, 5), bool), np.array([[0.0, -1, -1, -1, -2]] * 3)
    ranks = from_entries(items, valid, np.array([0, 1, 4]), np.arange(5), scores)
    assert ranks.code_rank.tolist() == ranks.strict.tolist() == [1, 4, 5]
    constant = from_entries(items, valid, np.array([0, 1, 4]), np.arange(5), np.zeros((3, 5)))
    assert constant.strict.tolist() == from_scores(np.zeros((3, 5)), np.array([0, 1, 4])).strict.tolist() == [5, 5, 5]


def test_tied_entries_bring_all_their_items() -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    items, scores = np.array([[2, 0, 3]]), np.array([[1.0, 0.5, 0.5]])
    ranks = from_entries(items, np.ones((1, 3), bool), np.array([1]), groups, scores)
    assert (ranks.code_rank[0], ranks.strict[0]) == (3, 6)
