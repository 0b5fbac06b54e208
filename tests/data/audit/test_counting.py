"""Counting recommenders, against counters and sorted lists."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data.audit.counting import FAR, Task, cooccurrence, gains, markov, popularity, seen, transitions
from bench.data.dataset import Sequences

ITEMS = 14
ROWS = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=0, max_size=12), min_size=1, max_size=12)


def task_of(rows: list[list[int]]) -> Task:
    return Task.of(Sequences.from_rows(rows), ITEMS)


def trained(rows: list[list[int]]) -> list[list[int]]:
    return [row[:-2] if len(row) >= 3 else row for row in rows]


def counts_of(rows: list[list[int]]) -> Counter[int]:
    return Counter(item for row in trained(rows) for item in row)


def rank_of(score: Callable[[int], tuple[float, ...]], target: int) -> int:
    """How many other items score at least as much: among equals the target is the last."""
    ahead = sum(score(item) >= score(target) for item in range(ITEMS)) - 1
    return ahead if ahead < 10 else int(FAR)


@given(ROWS)
def test_popularity(rows: list[list[int]]) -> None:
    counts = counts_of(rows)
    wanted = [rank_of(lambda item: (counts[item],), row[-1]) for row in rows if len(row) >= 3]
    assert popularity(task_of(rows)).tolist() == wanted


@given(ROWS)
def test_a_markov_chain_backs_off_to_popularity(rows: list[list[int]]) -> None:
    following: dict[int, Counter[int]] = defaultdict(Counter)
    for row in trained(rows):
        for before, after in pairwise(row):
            following[before][after] += 1
    counts, wanted = counts_of(rows), []
    for row in (row for row in rows if len(row) >= 3):
        known = following[row[-2]]
        wanted.append(rank_of(lambda item, known=known: (known[item], counts[item]), row[-1]))  # type: ignore[misc]
    assert markov(task_of(rows)).tolist() == wanted


@given(ROWS)
def test_cooccurrence_sums_cosines_over_the_history(rows: list[list[int]]) -> None:
    users = [{user for user, row in enumerate(trained(rows)) if item in row} for item in range(ITEMS)]
    wanted = []

    def cosine(one: int, other: int) -> float:
        both = len(users[one] & users[other])
        return both / math.sqrt(len(users[one]) * len(users[other])) if both and one != other else 0.0

    for row in (row for row in rows if len(row) >= 3):
        history = set(row[:-1])
        scores = {item: round(sum(cosine(own, item) for own in history), 4) for item in range(ITEMS)}
        best = sorted((item for item in scores if scores[item] > 0 and item not in history), key=lambda i: -scores[i])
        ties = {item: [other for other in best if abs(scores[other] - scores[item]) < 5e-4] for item in best}
        if row[-1] in ties:  # sums of floats may tie or not: order by popularity among those near to one another
            rest = [item for item in best if item not in ties[row[-1]]]
            ahead = sum(scores[item] > scores[row[-1]] for item in rest)
            wanted.append((ahead, ahead + len(ties[row[-1]]) - 1))
        else:
            wanted.append((int(FAR), int(FAR)))
    for found, (least, most) in zip(cooccurrence(task_of(rows)).tolist(), wanted, strict=True):
        assert least <= found <= most or (found == FAR and most >= 10)


def test_ties_in_cooccurrence_are_by_popularity_then_against_the_target() -> None:
    rows = [[0, 1, 9, 9], [0, 2, 9, 9]]  # 1 and 2 each met 0 once
    assert cooccurrence(task_of([*rows, [0, 5, 1], [0, 5, 2]])).tolist()[2:] == [1, 1]


def test_a_sample_of_users_is_asked_where_there_are_many() -> None:
    random = np.random.default_rng(0)
    task = task_of(random.integers(0, ITEMS, (60, 6)).tolist())
    assert len(cooccurrence(task)) == 60
    few = cooccurrence(task, asked=20)
    assert len(few) == 20
    assert few.tolist() == cooccurrence(task, asked=20).tolist()


def test_gains_are_those_of_ndcg_at_10() -> None:
    found = gains(np.array([0, 1, 9, 10, FAR]))
    assert found.tolist() == [1.0, 1 / math.log2(3), 1 / math.log2(11), 0.0, 0.0]


def test_transitions_are_counted_within_users() -> None:
    pairs, counts = transitions(Sequences.from_rows([[0, 1, 0, 1], [2, 0], [], [1]]), ITEMS)
    found = {divmod(pair, ITEMS): count for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)}
    assert found == {(0, 1): 2, (1, 0): 1, (2, 0): 1}
    assert seen(pairs, np.array([0, 1]), np.array([1, 2]), ITEMS).tolist() == [True, False]
