"""Global time against a sorted list of all interactions, and what may not decide where the cuts fall."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import sources
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import read_atomic, write_atomic
from bench.data.global_time import global_time
from bench.data.splits import Split, Targets
from bench.errors import BenchError

CATALOGUE = 12
INTERACTION = st.tuples(st.integers(0, 15), st.integers(0, CATALOGUE - 1))  # when, what
USERS = st.lists(st.lists(INTERACTION, max_size=12), min_size=2, max_size=8)


def dataset_of(users: list[list[tuple[int, int]]]) -> Dataset:
    """Every user's interactions in time order, ties as they are given."""
    rows = [sorted(user, key=lambda pair: pair[0]) for user in users]
    items = ItemTable(tuple(f"i{item:02d}" for item in range(CATALOGUE)), {})
    times = np.array([time for row in rows for time, _ in row], float)
    sequences = Sequences.from_rows([[item for _, item in row] for row in rows])
    return Dataset("lists", tuple(f"u{user}" for user in range(len(rows))), items, sequences, times)


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences[row].tolist() for row in range(len(sequences))]


def as_tuples(targets: Targets) -> list[tuple[int, list[int], list[int], list[int]]]:
    assert targets.counts is not None
    items = [part.tolist() for part in np.split(targets.items, np.cumsum(targets.counts)[:-1])]
    return list(zip(targets.users.tolist(), lists(targets.histories), lists(targets.seen), items, strict=True))


Parts = dict[int, list[list[int]]]


def plain_parts(dataset: Dataset) -> Parts:
    """The slow way: all interactions in one list, sorted; ``[training, validation, test]`` items of each user."""

    def digest(user: int) -> bytes:
        return hashlib.blake2b(dataset.users[user].encode(), digest_size=8).digest()

    offsets = dataset.sequences.offsets
    log = [
        (dataset.times[place], digest(user), place, user)
        for user in range(len(dataset.users))
        for place in range(offsets[user], offsets[user + 1])
    ]
    log.sort()
    parts: Parts = {user: [[], [], []] for user in range(len(dataset.users))}
    for number, (_, _, place, user) in enumerate(log):
        part = 0 if number < len(log) * 8 // 10 else 1 if number < len(log) * 9 // 10 else 2
        parts[user][part].append(int(dataset.sequences.values[place]))
    return parts


def evaluable(dataset: Dataset) -> bool:
    kept = [parts for parts in plain_parts(dataset).values() if len(parts[0]) >= 2]
    begins = {row[0][0] for row in (sorted(user) for user in users_of(dataset)) if row}
    return len(begins) > 1 and any(parts[1] for parts in kept) and any(parts[2] for parts in kept)


def users_of(dataset: Dataset) -> list[list[tuple[float, int]]]:
    offsets = dataset.sequences.offsets[1:-1]
    pairs = list(zip(dataset.times.tolist(), dataset.sequences.values.tolist(), strict=True))
    bounds = [0, *offsets.tolist(), len(pairs)]
    return [pairs[start:stop] for start, stop in itertools.pairwise(bounds)]


@given(USERS.map(dataset_of).filter(evaluable), st.integers(1, 10), st.booleans())
def test_equals_cutting_a_sorted_list(dataset: Dataset, cap: int, shown: bool) -> None:
    split = global_time(dataset, max_history=cap, validation_in_test_history=shown)
    training, validation, test = [], [], []
    for user, (train, valid, seen) in plain_parts(dataset).items():
        kept = len(train) >= 2
        training.append(train if kept else [])
        if kept and valid:
            validation.append((user, train[-cap:], train, list(dict.fromkeys(valid))))
        if kept and seen:
            before = train + valid if shown else train
            test.append((user, before[-cap:], before, list(dict.fromkeys(seen))))
    assert lists(split.train.sequences) == training
    assert as_tuples(split.validation) == validation
    assert as_tuples(split.test) == test


@given(USERS.map(dataset_of).filter(evaluable), st.randoms(use_true_random=False))
def test_other_held_out_items_move_no_cut_and_no_training_item(dataset: Dataset, random: object) -> None:
    """Ties in time included: what an item is has no say in which part an interaction falls into."""
    parts, values = plain_parts(dataset), dataset.sequences.values.copy()
    for user, (train, _, _) in parts.items():
        held_out = values[dataset.sequences.offsets[user] + len(train) : dataset.sequences.offsets[user + 1]]
        held_out[:] = [random.randrange(CATALOGUE) for _ in held_out]  # type: ignore[attr-defined]
    before = global_time(dataset)
    after = global_time(replace(dataset, sequences=Sequences(values, dataset.sequences.offsets)))
    assert after.train.fingerprint == before.train.fingerprint
    assert after.validation.users.tolist() == before.validation.users.tolist()
    assert after.test.users.tolist() == before.test.users.tolist()


DATED = dataset_of([[(user * 3 + step * 5, (user + step) % CATALOGUE) for step in range(8)] for user in range(10)])


def test_the_order_of_rows_in_a_file_changes_nothing(tmp_path: Path) -> None:
    tied = replace(DATED, times=np.floor(DATED.times / 20))
    write_atomic(tied, tmp_path / "one")
    path = tmp_path / "one" / "lists.inter"
    header, *lines = path.read_text().splitlines()
    one = global_time(read_atomic(tmp_path / "one"))
    path.write_text("\n".join([header, *np.random.default_rng(0).permutation(lines)]) + "\n")
    other = global_time(read_atomic(tmp_path / "one"))
    assert other.train.fingerprint == one.train.fingerprint
    assert as_tuples(other.test) == as_tuples(one.test)


def test_a_cut_within_a_tie_falls_between_users_and_favors_no_item() -> None:
    """All of a user's interactions of the instant at the cut stand together, by a digest of the user."""
    crowd = dataset_of([[(0, 0), (1, 1), (9, user), (9, user + 1)] for user in range(10)] + [[(1, 2)]])
    split = global_time(crowd)
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in crowd.users[:10]]
    order = sorted(range(10), key=digests.__getitem__)
    cut = 41 * 8 // 10 - 21  # training interactions of the instant 9
    whole = [user for user in range(10) if len(split.train.sequences[user]) == 4]
    assert sorted(order[: cut // 2]) == whole


def test_users_with_one_training_interaction_are_left_out_and_said_so() -> None:
    late = [(100, 3), (101, 4), (102, 5)]  # a user of the test part alone
    base = users_of(DATED)
    data = dataset_of([*([(int(t), i) for t, i in row] for row in base), [(0, 1), *late], late])
    split = global_time(data)
    assert split.train.sequences[10].tolist() == split.train.sequences[11].tolist() == []
    assert not {10, 11} & {*split.validation.users.tolist(), *split.test.users.tolist()}
    assert split.notes == (
        "2 of 12 users have fewer than 2 interactions among the first 80 %: they neither train nor are evaluated",
    )
    assert global_time(DATED).notes == ()


def test_new_items_are_targets_and_candidates() -> None:
    """The catalogue is the item table's, not the largest index seen in training."""
    values = DATED.sequences.values.copy()
    values[-1] = CATALOGUE - 1
    values[:-1] %= CATALOGUE - 1
    split = global_time(replace(DATED, sequences=Sequences(values, DATED.sequences.offsets)))
    assert CATALOGUE - 1 in split.test.items
    assert CATALOGUE - 1 not in split.train.sequences.values
    assert len(split.train.items) == CATALOGUE


def test_an_item_taken_twice_is_one_target() -> None:
    data = dataset_of([[(0, 1), (1, 2), (90, 3), (91, 4), (92, 3)], [(5, 0)] * 40 + [(60, 1)] * 4])
    split = global_time(data)
    assert as_tuples(split.test)[0] == (0, [1, 2], [1, 2], [3, 4])


@pytest.mark.parametrize(
    "times",
    [
        np.concatenate([np.arange(8.0)] * 10),  # positions
        np.concatenate([np.arange(1.0, 9)] * 10),
        np.zeros(80),
    ],
)
def test_numbers_in_place_of_dates_are_refused(times: np.ndarray) -> None:
    message = r"cuts at points in time, but the interactions of 'lists' are numbered, not dated: every user begins at"
    with pytest.raises(BenchError, match=message):
        global_time(replace(DATED, times=times))


def test_the_circulating_copies_of_amazon_are_refused(real_data: Path) -> None:
    """They number each user's interactions 0, 1, 2, …; cutting there would split users' positions, not time."""
    with pytest.raises(BenchError, match="'toys' are numbered, not dated: every user begins at time stamp 0"):
        global_time(sources.find("toys", real_data))


def test_movielens_is_cut_in_time() -> None:
    data = sources.find("ml-100k")
    split = global_time(data)
    assert len(split.train.sequences) == 943
    counts = [(split.train.sequences.lengths > 0).sum(), len(split.train.sequences.values)]
    assert counts == [750, 79_999]  # one interaction of a user who has no other before the cut is dropped
    assert (len(split.validation), len(split.validation.items)) == (81, 1_534)
    assert (len(split.test), len(split.test.items)) == (68, 1_382)
    assert split.notes[0].startswith("193 of 943 users have fewer than 2")


@pytest.mark.parametrize(
    ("users", "part"),
    [
        ([[(0, 1), (1, 2), (2, 3)], [(1, 1)]], "validate"),
        ([[(when, 1) for when in range(9)], [(50, 1)]], "test"),
        ([[(0, 1)], [(1, 1)], [(2, 1)]], "validate"),
    ],
)
def test_a_part_without_users_is_refused(users: list[list[tuple[int, int]]], part: str) -> None:
    with pytest.raises(
        BenchError, match=f"split=global-temporal leaves no user to {part} on 'lists': no user has 2 or more"
    ):
        global_time(dataset_of(users))


def test_no_history_at_all_is_refused() -> None:
    with pytest.raises(BenchError, match="max_history must be 1 or more; got 0"):
        global_time(DATED, max_history=0)


@pytest.mark.parametrize("shown", [True, False])
def test_histories_are_owned_by_rows_of_the_training_view(check_owners: Callable[[Split], None], shown: bool) -> None:
    check_owners(global_time(DATED, validation_in_test_history=shown))


def test_targets_stay_with_their_users() -> None:
    test = global_time(DATED, max_history=2).test
    rows = np.array([2, 0, 1])
    assert as_tuples(test.take(rows)) == [as_tuples(test)[row] for row in rows]
    assert test.items[test.target_positions(rows)].tolist() == test.take(rows).items.tolist()
    chosen, rest = test.parted(2, seed=1)
    assert sorted(as_tuples(chosen) + as_tuples(rest)) == as_tuples(test)


def test_targets_among_candidates() -> None:
    test = global_time(DATED, max_history=2).test
    candidates = np.arange(CATALOGUE) % 3 == 0
    some, places = test.among(candidates)
    expected = [
        (user, history, seen, [item for item in items if item % 3 == 0])
        for user, history, seen, items in as_tuples(test)
        if any(item % 3 == 0 for item in items)
    ]
    assert as_tuples(some) == expected
    assert len(expected) < len(test)
    assert test.items[places].tolist() == some.items.tolist()
