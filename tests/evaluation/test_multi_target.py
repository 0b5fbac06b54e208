"""Several targets of a user against scikit-learn, and against lists written out item by item."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from bench.contract import CUTOFFS
from bench.data.dataset import Sequences
from bench.evaluation import multi_target
from bench.evaluation.metrics import Ranks, from_entries, from_scores, per_user, summaries

ITEMS = 40


def drawn(seed: int, users: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores ``[users, items]``, and one to nine targets of each user with their user_rows."""
    random = np.random.default_rng(seed)
    counts = random.integers(1, 10, users)
    targets = np.concatenate([random.permutation(ITEMS)[:count] for count in counts])
    return random.normal(size=(users, ITEMS)), targets, np.repeat(np.arange(users), counts)


@pytest.mark.parametrize("k", CUTOFFS)
def test_ndcg_equals_scikit_learn_and_the_rest_counting(k: int) -> None:
    scores, targets, user_rows = drawn(0)
    ranks = from_scores(scores, targets, rows=user_rows).of(user_rows, targets)
    relevant = np.zeros(scores.shape)
    relevant[user_rows, targets] = 1
    assert ranks.per_user(f"ndcg@{k}").mean() == pytest.approx(ndcg_score(relevant, scores, k=k))
    for name in (f"hit@{k}", f"recall@{k}", f"mrr@{k}"):
        expected = [
            plain(np.argsort(-row).tolist(), set(seen.nonzero()[0]), name)
            for row, seen in zip(scores, relevant, strict=True)
        ]
        assert ranks.per_user(name) == pytest.approx(expected)


def test_by_hand() -> None:
    """Two of three targets at ranks 1 and 4, and a user whose only target is not found."""
    ranks, user_rows = np.array([4.0, math.inf, 1.0, math.inf]), np.array([0, 0, 0, 1])
    gain = 1 + 1 / math.log2(5)
    assert multi_target.per_user(ranks, user_rows, "recall@5").tolist() == [2 / 3, 0]
    assert multi_target.per_user(ranks, user_rows, "recall@3").tolist() == [1 / 3, 0]
    assert multi_target.per_user(ranks, user_rows, "hit@3").tolist() == [1, 0]
    assert multi_target.per_user(ranks, user_rows, "ndcg@5") == pytest.approx([gain / (1 + 1 / math.log2(3) + 0.5), 0])
    assert multi_target.per_user(ranks, user_rows, "ndcg@2") == pytest.approx([1 / (1 + 1 / math.log2(3)), 0])
    assert multi_target.per_user(ranks, user_rows, "mrr").tolist() == [1, 0]
    assert multi_target.per_user(ranks + 2, user_rows, "mrr@20") == pytest.approx([1 / 3, 0])


def test_one_target_each_is_what_it_always_was() -> None:
    """Bit by bit: leave-one-out figures may not move."""
    random = np.random.default_rng(1)
    positions = np.where(random.random(200) < 0.6, random.integers(1, 25, 200), np.inf)
    alone = Ranks(positions, np.where(np.isfinite(positions), positions + 2, 0).astype(int), random.integers(1, 4, 200))
    owned = alone.of(np.arange(200), np.arange(200))
    assert owned.strict.tolist() == alone.strict.tolist()
    for complete in (False, True):
        one, other = summaries(alone, complete), summaries(owned, complete)
        for reading, seen in one.items():
            again = {
                name: value for name, value in other[reading].items() if not name.startswith(("recall", "precision"))
            }
            assert again == pytest.approx(seen, abs=1e-15)
            assert all(other[reading][f"recall@{k}"] == pytest.approx(seen[f"hit@{k}"]) for k in CUTOFFS)
            assert all(other[reading][f"precision@{k}"] == pytest.approx(seen[f"hit@{k}"] / k) for k in CUTOFFS)
    for name in ("hit@5", "recall@5", "precision@5", "ndcg@10", "mrr@20", "mrr"):
        assert owned.per_user(name).tolist() == per_user(alone.strict, name).tolist()


# -- collisions and ties ----------------------------------------------------------------------------------------------


def tied_lists(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lists of distinct identifiers with ties, over a catalogue with collisions: items, valid, scores, targets, rows
    of the targets, groups.
    """
    random = np.random.default_rng(seed)
    groups = np.unique(random.integers(0, 6, 11), return_inverse=True)[1]
    codes, users = groups.max() + 1, 4
    width = int(random.integers(1, codes + 1))
    chosen = np.stack([random.permutation(codes)[:width] for _ in range(users)])
    items = np.array([[random.choice(np.flatnonzero(groups == code)) for code in row] for row in chosen])
    scores = -np.sort(random.integers(0, 4, items.shape), axis=1).astype(np.float32)
    valid = random.random(items.shape) < 0.9
    counts = random.integers(1, 6, users)
    targets = np.concatenate([random.permutation(11)[:count] for count in counts])
    return np.where(valid, items, -1), valid, scores, targets, np.repeat(np.arange(users), counts), groups


Entry = list[int]


def entries_of(
    items: np.ndarray, valid: np.ndarray, scores: np.ndarray, wanted: set[int], groups: np.ndarray, had: set[int]
) -> list[Entry]:
    """A user's entries as lists of items; of equal scores those first that are less likely to show a target."""
    seen = [
        (-score, [item for item in range(len(groups)) if groups[item] == groups[shown] and item not in had])
        for shown, ok, score in zip(items, valid, scores, strict=True)
        if ok
    ]
    seen = [pair for pair in seen if pair[1]]
    seen.sort(key=lambda pair: (pair[0], len(wanted & set(pair[1])) / len(pair[1])))
    return [entry for _, entry in seen]


def strict_list(
    items: np.ndarray, valid: np.ndarray, scores: np.ndarray, wanted: set[int], groups: np.ndarray, had: set[int]
) -> Entry:
    """All items of all entries; of one entry, or of entries of one score, the targets last."""
    seen = [
        (-score, item in wanted, item)
        for shown, ok, score in zip(items, valid, scores, strict=True)
        if ok
        for item in range(len(groups))
        if groups[item] == groups[shown] and item not in had
    ]
    return [item for _, _, item in sorted(seen)]


def plain(listed: list[int | None], wanted: set[int], name: str) -> float:
    """A metric of one list, by counting."""
    kind, _, cutoff = name.partition("@")
    k = int(cutoff)
    ranks = [position for position, item in enumerate(listed, start=1) if item in wanted and position <= k]
    if kind == "hit":
        return float(bool(ranks))
    if kind == "recall":
        return len(ranks) / len(wanted)
    if kind == "precision":
        return len(ranks) / k
    if kind == "mrr":
        return 1 / ranks[0] if ranks else 0.0
    ideal = sum(1 / math.log2(position + 1) for position in range(1, min(len(wanted), k) + 1))
    return sum(1 / math.log2(rank + 1) for rank in ranks) / ideal


NAMES = [f"{kind}@{k}" for kind in ("hit", "recall", "precision", "ndcg") for k in CUTOFFS] + ["mrr@20"]


def readings_by_hand(seed: int, excluded: Sequences) -> dict[str, dict[str, float]]:
    items, valid, scores, targets, rows, groups = tied_lists(seed)
    found: dict[str, dict[str, list[float]]] = {
        reading: {name: [] for name in NAMES} for reading in ("strict", "optimistic", "expected")
    }
    for user in range(len(items)):
        wanted = set(targets[rows == user].tolist())
        mine = items[user], valid[user], scores[user], wanted, groups, set(excluded[user].tolist())
        entries = entries_of(*mine)
        lists: dict[str, list[list[int | None]]] = {
            "strict": [list(strict_list(*mine))],
            "optimistic": [[item for entry in entries for item in sorted(wanted & set(entry)) or [None]]],
            "expected": [list(shown) for shown in itertools.product(*entries)],
        }
        for reading, outcomes in lists.items():
            for name in NAMES:
                values = [Fraction(plain(listed, wanted, name)) for listed in outcomes]
                found[reading][name].append(float(sum(values) / len(values)))
    return {reading: {name: float(np.mean(seen)) for name, seen in by.items()} for reading, by in found.items()}


@given(st.integers(0, 100_000), st.integers(0, 7))
@settings(max_examples=90, deadline=None)
def test_readings_equal_lists_written_out(seed: int, had: int) -> None:
    """Strict puts a user's targets last in their entries, optimistic shows all targets of an entry and nothing else,
    expected is the mean over every way in which each entry shows one of its items. Items that a user had are in none.
    """
    items, valid, scores, targets, rows, groups = tied_lists(seed)
    excluded = Sequences.from_rows(np.random.default_rng(seed).integers(0, 11, (4, had)))
    without = excluded if had else None
    ranks = from_entries(items, valid, targets, groups, scores, rows, excluded=without).of(rows, groups[targets])
    found = summaries(ranks, complete=False)
    for reading, expected in readings_by_hand(seed, excluded).items():
        assert found[reading] == pytest.approx(expected), reading
    for name in ("recall@5", "ndcg@10", "mrr@20"):
        assert found["strict"][name] <= found["optimistic"][name] + 1e-12
        assert found["expected"][name] <= found["optimistic"][name] + 1e-12


@given(st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_tied_scores_put_all_targets_last(seed: int) -> None:
    random = np.random.default_rng(seed)
    _, targets, user_rows = drawn(seed, users=3)
    scores = random.integers(0, 4, (3, ITEMS)).astype(np.float32)
    ranks = from_scores(scores, targets, rows=user_rows).of(user_rows, targets)
    for user in range(3):
        mine = targets[user_rows == user]
        order = sorted(range(ITEMS), key=lambda item: (-scores[user, item], item in mine))
        assert sorted(ranks.strict[user_rows == user]) == sorted(order.index(item) + 1 for item in mine)
    found = summaries(ranks, complete=True)
    for name, value in found["strict"].items():
        assert found["optimistic"][name] == pytest.approx(value)
        assert found["expected"][name] == pytest.approx(value)


def test_a_constant_score_never_looks_good() -> None:
    targets, user_rows = np.array([0, 1, 2]), np.zeros(3, int)
    ranks = from_scores(np.zeros((1, ITEMS)), targets, rows=user_rows).of(user_rows, targets)
    assert ranks.strict.tolist() == [38, 39, 40]
    assert summaries(ranks, complete=True)["strict"]["ndcg@20"] == 0


def test_only_candidates_fill_an_entry() -> None:
    """Items 0, 1 and 2 share an entry; where 1 is no candidate, the entry holds two, and 1 is not retrieved."""
    groups, candidates = np.array([0, 0, 0, 1]), np.array([True, False, True, True])
    items, valid, rows = np.array([[0, 3]]), np.ones((1, 2), bool), np.zeros(3, int)
    ranks = from_entries(items, valid, np.array([2, 3, 1]), groups, None, rows, candidates)
    assert ranks.strict.tolist() == [2, 3, math.inf]
    assert ranks.group_size[:2].tolist() == [2, 1]
