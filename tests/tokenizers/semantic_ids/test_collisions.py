"""Collision rules: rows that differ, or a reason; nothing moved that need not move."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from semantic_ids.collisions import (
    RULES,
    SINKHORN_ROUNDS,
    Codes,
    Distances,
    alone,
    collision_rate,
    groups,
    occurrence,
    reassigned,
    resolve,
    sinkhorn,
    spread,
)
from semantic_ids.quantizers import residual_kmeans

from bench.errors import BenchError

Case = tuple[Codes, NDArray[np.float32]]  # codes and the distances of every item to every code of the last level


few = settings(max_examples=40)  # where the oracle is slow


@st.composite
def cases(draw: st.DrawFn, nearest: bool = False) -> Case:
    """Few prefixes, so that items collide; small whole distances, so that there are ties, and crowds of equal items.

    ``nearest``: the last code of every item is the nearest, as quantizers give it.
    """
    items, levels, size = draw(st.integers(1, 24)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    codes = random.integers(0, 2, (items, levels))
    cost = random.integers(0, draw(st.sampled_from([1, 5, 50])), (items, size)).astype(np.float32)
    codes[:, -1] = cost.argmin(axis=1) if nearest else random.integers(0, size, items)
    return codes, cost


def lookup(cost: NDArray[np.float32]) -> Distances:
    return lambda rows: cost[rows]


def solved(case: Case, rule: Any) -> Codes:
    codes, cost = case
    return resolve(codes, cost.shape[1], lookup(cost), rule)


def texts(codes: Codes) -> list[tuple[int, ...]]:
    return [tuple(row) for row in codes.tolist()]


def fits(case: Case) -> bool:
    codes, cost = case
    return max(Counter(texts(codes[:, :-1])).values()) <= cost.shape[1]


@few
@given(cases())
def test_groups_and_their_counts_equal_a_loop(case: Case) -> None:
    rows = texts(case[0])
    found = groups(case[0])
    assert [[a == b for b in found] for a in found] == [[a == b for b in rows] for a in rows]
    assert occurrence(case[0]).tolist() == [rows[:position].count(row) for position, row in enumerate(rows)]
    lone = [rows.count(row) == 1 for row in rows]
    assert alone(case[0]).tolist() == lone
    assert collision_rate(case[0]) == pytest.approx(1 - np.mean(lone))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "none"])
@given(cases())
def test_rows_are_unique_or_the_error_says_why_not(rule: str, case: Case) -> None:
    if rule != "counter" and not fits(case):
        with pytest.raises(BenchError, match=r"items share the codes .* only \d codes .* use collisions=counter"):
            solved(case, rule)
        return
    found = solved(case, rule)
    assert len(set(texts(found))) == len(found) == len(case[0])
    levels = case[0].shape[1] if rule == "counter" else case[0].shape[1] - 1
    assert np.array_equal(found[:, :levels], case[0][:, :levels])
    assert rule == "counter" or 0 <= found[:, -1].min() <= found[:, -1].max() < case[1].shape[1]


@pytest.mark.parametrize("rule", ["reassign", "sinkhorn"])
@given(cases())
def test_items_that_were_alone_keep_their_codes(rule: str, case: Case) -> None:
    if fits(case):
        stay = alone(case[0])
        assert np.array_equal(solved(case, rule)[stay], case[0][stay])


@few
@given(cases())
def test_none_changes_nothing(case: Case) -> None:
    before = case[0].copy()
    assert solved(case, "none") is case[0]
    for rule in RULES:
        if rule == "counter" or fits(case):
            solved(case, rule)
    assert np.array_equal(case[0], before)  # nor do the others change what they are given


def test_an_unlucky_item_names_the_crowd_in_the_error() -> None:
    codes, cost = np.array([[3, 1], [3, 0], [3, 1], [2, 0]]), np.zeros((4, 2), np.float32)
    with pytest.raises(BenchError, match=r"^3 items share the codes \[3\], and the last level has only 2 codes"):
        resolve(codes, 2, lookup(cost), "reassign")


@few
@given(cases())
def test_the_counter_is_the_place_among_those_with_the_same_codes(case: Case) -> None:
    found, sizes = solved(case, "counter"), Counter(texts(case[0]))
    for row, size in sizes.items():
        assert [last for *codes, last in texts(found) if tuple(codes) == row] == list(range(size))
    assert found[:, -1].max() + 1 == max(sizes.values())


def asked_in_rounds(last: list[int], cost: NDArray[np.float32], stay: list[bool]) -> list[int]:
    """Code by code, what ``reassigned`` promises for the items under one prefix."""
    found = {row: code for row, code in enumerate(last) if stay[row]}
    while len(found) < len(last):
        free = [code for code in range(cost.shape[1]) if code not in found.values()]
        wishes = {row: min(free, key=list(cost[row]).__getitem__) for row in range(len(last)) if row not in found}
        for code in set(wishes.values()):
            asking = [row for row, wish in wishes.items() if wish == code]
            found[min(asking, key=list(cost[:, code]).__getitem__)] = code
    return [found[row] for row in range(len(last))]


@given(cases().filter(fits))
def test_reassigned_codes_equal_a_loop_over_rounds(case: Case) -> None:
    codes, cost = case
    stay, found = alone(codes), solved(case, "reassign")
    for prefix in set(texts(codes[:, :-1])):
        rows = [row for row, code in enumerate(texts(codes)) if code[:-1] == prefix]
        oracle = asked_in_rounds(codes[rows, -1].tolist(), cost[rows], stay[rows].tolist())
        assert found[rows, -1].tolist() == oracle


@few
@given(cases().filter(lambda case: fits(case) and case[1].max() < 5), st.integers(0, 10**6))
def test_the_last_bits_of_distances_decide_nothing(case: Case, seed: int) -> None:
    """Equal distances are equal, however a matrix product has rounded them."""
    codes, cost = case
    noisy = cost * np.random.default_rng(seed).uniform(1 - 5e-8, 1 + 5e-8, cost.shape).astype(np.float32)
    for rule in ("reassign", "sinkhorn"):
        assert np.array_equal(solved((codes, noisy), rule), solved(case, rule))


@few
@given(cases(nearest=True).filter(fits))
def test_of_every_group_the_nearest_stays_and_the_first_to_move_gets_the_nearest_free_code(case: Case) -> None:
    codes, cost = case
    found = solved(case, "reassign")
    own = cost[np.arange(len(codes)), codes[:, -1]]
    for code in set(texts(codes)):
        rows = [row for row, other in enumerate(texts(codes)) if other == code]
        nearest = min(rows, key=own.tolist().__getitem__)
        assert (found[rows, -1] == codes[rows, -1]).tolist() == [row == nearest for row in rows]
    for prefix in set(texts(codes[:, :-1])):
        rows = [row for row, code in enumerate(texts(codes)) if code[:-1] == prefix]
        free = sorted(set(range(cost.shape[1])) - set(codes[rows, -1].tolist()))
        moved = [row for row in rows if found[row, -1] != codes[row, -1]]
        if moved:
            first, code = min(((row, code) for row in moved for code in free), key=cost.__getitem__)
            assert found[first, -1] == code


def test_distances_that_are_not_finite_come_last() -> None:
    cost = np.array([[0, np.inf, 3], [0, np.nan, 2], [0, 1, np.inf]], np.float32)
    assert resolve(np.zeros((3, 1), np.int64), 3, lookup(cost), "reassign").T.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize("rule", ["reassign", "sinkhorn"])
def test_items_with_one_vector_all_get_codes_of_their_own(rule: Any) -> None:
    found = residual_kmeans(np.ones((16, 5), np.float32), 2, 16, seed=0)
    codes = resolve(found.codes, found.size, found.distances, rule)
    assert sorted(codes[:, 1].tolist()) == list(range(16))
    assert len(set(codes[:, 0].tolist())) == 1


def test_only_the_distances_of_crowded_prefixes_are_asked_for() -> None:
    """A catalogue of a million items would not fit."""
    codes, asked = np.array([[0, 0], [1, 1], [2, 1], [1, 1], [0, 2], [1, 0]]), []

    def distances(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.append(rows.tolist())
        return np.zeros((len(rows), 3), np.float32)

    reassigned(codes, 3, distances, alone(codes))
    assert asked == [[1, 3, 5]]


def rounds(cost: NDArray[np.float32], sharpness: float) -> NDArray[np.float64]:
    """Sinkhorn and Knopp's iteration, number by number."""
    low, high = float(cost.min()), float(cost.max())
    plan = [[np.exp(-(float(c) - low) / (sharpness * max(high - low, 1e-12))) for c in row] for row in cost]
    for _ in range(SINKHORN_ROUNDS):
        columns = [sum(column) for column in zip(*plan, strict=True)]
        plan = [[value / total for value, total in zip(row, columns, strict=True)] for row in plan]
        plan = [[value / sum(row) for value in row] for row in plan]
    return np.array(plan)


@few
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10**6), st.sampled_from([0.05, 1.0]))
def test_the_plan_equals_a_loop_and_has_unit_rows(items: int, size: int, seed: int, sharpness: float) -> None:
    cost = (100 * np.random.default_rng(seed).random((items, size))).astype(np.float32)
    plan = sinkhorn(cost, sharpness)
    np.testing.assert_allclose(plan, rounds(cost, sharpness), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=1), 1)
    assert plan.min() >= 0


def test_the_columns_of_the_plan_are_nearly_alike() -> None:
    cost = np.random.default_rng(0).random((40, 8)).astype(np.float32)
    np.testing.assert_allclose(sinkhorn(cost, 0.05).sum(axis=0), 40 / 8, rtol=0.02)
    assert np.bincount(cost.argmin(axis=1)).max() == 7
    assert np.bincount(sinkhorn(cost, 0.05).argmax(axis=1)).max() == 6


@pytest.mark.parametrize("cost", [np.zeros((5, 4)), np.full((3, 4), 1e30), np.array([[0, 1e38]] * 3), np.ones((1, 1))])
def test_costs_without_contrast_or_with_too_much_leave_a_plan(cost: NDArray[np.float64]) -> None:
    plan = sinkhorn(cost.astype(np.float32), 0.05)
    np.testing.assert_allclose(plan.sum(axis=1), 1)


def test_spreading_moves_those_that_collide_and_only_their_last_code() -> None:
    random = np.random.default_rng(1)
    codes = np.column_stack([np.repeat([0, 1, 2], [6, 6, 1]), np.repeat([3, 5, 3], [6, 6, 1])])
    cost = random.random((13, 8)).astype(np.float32)
    found = spread(codes, lookup(cost))
    assert np.array_equal(found[:, 0], codes[:, 0])
    assert found[12, 1] == 3
    for rows in (slice(0, 6), slice(6, 12)):
        assert np.array_equal(found[rows, 1], rounds(cost[rows], 0.05).argmax(axis=1))
        assert len(set(found[rows, 1].tolist())) >= 4  # of six, before they were one
    assert spread(found[[0, 12]], lookup(cost)).tolist() == found[[0, 12]].tolist()


def test_an_item_that_was_alone_is_not_driven_out_by_one_that_spreads() -> None:
    """The plan sends items 1 and 2 apart, one of them to the code that item 0 holds and is farther from."""
    codes = np.array([[0, 1], [0, 0], [0, 0]])
    cost = np.array([[9, 8, 9], [0, 5, 9], [0, 1, 9]], np.float32)
    assert 1 in spread(codes, lookup(cost))[1:, 1]
    found = resolve(codes, 3, lookup(cost), "sinkhorn")
    assert found[0].tolist() == [0, 1]
    assert sorted(found[:, 1].tolist()) == [0, 1, 2]


# -- the counter: room and order --------------------------------------------------------------------------------------


def crowds(codes: Codes) -> list[int]:
    return list(Counter(texts(codes)).values())


@few
@given(cases(nearest=True), st.integers(1, 4))
def test_no_more_items_share_their_codes_than_the_capacity(case: Case, capacity: int) -> None:
    codes, cost = case
    prefixes, room = Counter(texts(codes[:, :-1])), cost.shape[1] * capacity
    full = [prefix for prefix in prefixes if prefixes[prefix] > room]
    if full:
        with pytest.raises(BenchError, match=r"items share the codes .* use collisions=counter or none, more levels"):
            resolve(codes, cost.shape[1], lookup(cost), "counter", capacity)
        return
    found = resolve(codes, cost.shape[1], lookup(cost), "counter", capacity)
    assert len(set(texts(found))) == len(found)
    assert found[:, -1].max() < capacity
    assert max(crowds(found[:, :-1])) <= capacity
    assert np.array_equal(found[:, :-2], codes[:, :-1])
    sizes = Counter(texts(codes))
    fitting = [sizes[row] <= capacity for row in texts(codes)]
    assert np.array_equal(found[fitting, :-1], codes[fitting])  # who was not crowded keeps its codes


def test_the_nearest_of_a_crowd_keep_their_code_and_the_others_get_the_nearest_with_room() -> None:
    cost = np.array([[0, 9, 1], [1, 9, 2], [2, 9, 3], [3, 9, 4], [9, 9, 0]], np.float32)
    codes = np.array([[7, 0], [7, 0], [7, 0], [7, 0], [7, 2]])
    found = resolve(codes, 3, lookup(cost), "counter", capacity=2)
    # code 2 has room for one beside item 4: item 2 is nearer to it than item 3, which is left with code 1
    assert found.tolist() == [[7, 0, 0], [7, 0, 1], [7, 2, 0], [7, 1, 0], [7, 2, 1]]


def test_a_capacity_that_nobody_exceeds_changes_nothing() -> None:
    codes, cost = np.array([[0, 1], [0, 1], [0, 0]]), np.zeros((3, 2), np.float32)
    free = resolve(codes, 2, lookup(cost), "counter")
    assert np.array_equal(resolve(codes, 2, lookup(cost), "counter", capacity=2), free)


@few
@given(cases(), st.integers(0, 99))
def test_items_with_the_same_codes_are_numbered_from_the_most_popular_on(case: Case, seed: int) -> None:
    codes, cost = case
    popularity = np.random.default_rng(seed).integers(0, 4, len(codes))
    found = resolve(codes, cost.shape[1], lookup(cost), "counter", popularity=popularity)
    for row in set(texts(codes)):
        members = [item for item, other in enumerate(texts(codes)) if other == row]
        ordered = sorted(members, key=lambda item: (-int(popularity[item]), item))
        assert found[ordered, -1].tolist() == list(range(len(members)))
