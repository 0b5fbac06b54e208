"""Leave-one-out against plain lists, and the promise that the training view holds nothing that is seen out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import Split, Targets, leave_one_out
from bench.errors import BenchError

CATALOGUE = 30
ROWS = st.lists(st.lists(st.integers(0, CATALOGUE - 1), min_size=1, max_size=9), min_size=1, max_size=8)
EVALUABLE = ROWS.filter(lambda rows: max(map(len, rows)) >= 3)


def dataset_of(rows: list[list[int]]) -> Dataset:
    items = ItemTable(tuple(f"i{item:02d}" for item in range(CATALOGUE)), {})
    users = tuple(f"u{user}" for user in range(len(rows)))
    return Dataset("lists", users, items, Sequences.from_rows(rows), np.zeros(sum(map(len, rows))))


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences[row].tolist() for row in range(len(sequences))]


def as_tuples(targets: Targets) -> list[tuple[int, list[int], list[int], int]]:
    columns = targets.users.tolist(), lists(targets.histories), lists(targets.seen), targets.items.tolist()
    return list(zip(*columns, strict=True))


@given(EVALUABLE, st.integers(1, 10), st.booleans())
def test_equals_the_obvious_split_of_lists(rows: list[list[int]], cap: int, shown: bool) -> None:
    split = leave_one_out(dataset_of(rows), max_history=cap, validation_in_test_history=shown)
    training, validation, test = [], [], []
    for user, row in enumerate(rows):
        if len(row) < 3:
            training.append(row)
            continue
        training.append(row[:-2])
        seen = row[:-1] if shown else row[:-2]
        validation.append((user, row[:-2][-cap:], row[:-2], row[-2]))
        test.append((user, seen[-cap:], seen, row[-1]))
    assert lists(split.train.sequences) == training
    assert as_tuples(split.validation) == validation
    assert as_tuples(split.test) == test


@given(EVALUABLE, st.randoms(use_true_random=False))
def test_other_held_out_items_leave_the_training_view_as_it_was(rows: list[list[int]], random: object) -> None:
    held_out = [item for row in rows if len(row) >= 3 for item in row[-2:]]
    random.shuffle(held_out)  # type: ignore[attr-defined]
    others = [row if len(row) < 3 else [*row[:-2], held_out.pop(), held_out.pop()] for row in rows]
    before, after = leave_one_out(dataset_of(rows)).train, leave_one_out(dataset_of(others)).train
    assert after.fingerprint == before.fingerprint
    assert lists(after.sequences) == lists(before.sequences)


def test_other_training_items_do_change_the_training_view() -> None:
    one, two = (leave_one_out(dataset_of([[first, 1, 2]])).train for first in (3, 4))
    assert one.fingerprint != two.fingerprint


def test_nothing_held_out_can_be_reached_from_the_training_view() -> None:
    """Items 7 to 9 are seen out; whatever the view holds, through views of arrays as well, is without them."""
    dataset = dataset_of([[0, 1, 2, 7, 8], [3, 4, 9, 7]])
    train = leave_one_out(dataset).train
    assert {field.name for field in fields(train)} == {
        *("dataset", "items", "sequences", "seed", "language", "reader"),
        *(
            "cache",
            "cached_seconds",
            "progress",
            "share",
            "device",
        ),  # a folder, seconds, the bar, others, where
        *(
            "max_history",
            "own_training",
            "part_users",
            "part_names",
        ),  # a line of the contract, what a scheme trains, sizes of parts
    }
    assert train.items is dataset.items
    for array in (train.sequences.values, train.sequences.offsets):
        assert array.base is None
        assert not np.shares_memory(array, dataset.sequences.values)
    assert not np.isin(train.sequences.values, [7, 8, 9]).any()


@pytest.mark.parametrize("shown", [True, False])
def test_histories_are_owned_by_rows_of_the_training_view(check_owners: Callable[[Split], None], shown: bool) -> None:
    dataset = dataset_of([[0, 1], [2, 3, 4], [5], [6, 7, 8, 9]])
    check_owners(leave_one_out(dataset, validation_in_test_history=shown))


def test_users_with_two_interactions_train_and_are_not_evaluated() -> None:
    split = leave_one_out(dataset_of([[5, 6], [1, 2, 3], [4]]))
    assert lists(split.train.sequences) == [[5, 6], [1], [4]]
    assert split.validation.users.tolist() == split.test.users.tolist() == [1]
    assert split.notes == ("2 of 3 users have fewer than 3 interactions: they train only",)
    assert leave_one_out(dataset_of([[1, 2, 3]])).notes == ()


@pytest.mark.parametrize(("rows", "cap"), [([[1, 2], [3]], 20), ([[1, 2, 3]], 0), ([[1, 2, 3]], -1)])
def test_what_cannot_be_split_is_refused(rows: list[list[int]], cap: int) -> None:
    with pytest.raises(
        BenchError, match=r"longest of 2 users has 2" if cap == 20 else f"max_history must be 1 or more; got {cap}"
    ):
        leave_one_out(dataset_of(rows), max_history=cap)


def test_the_seed_reaches_the_training_view_and_changes_no_row() -> None:
    one, two = (leave_one_out(dataset_of([[1, 2, 3, 4]]), seed=seed) for seed in (0, 5))
    assert (one.train.seed, two.train.seed) == (0, 5)
    assert replace(two.train, seed=0).fingerprint == one.train.fingerprint


def test_two_parts_are_fixed_by_their_seed_and_keep_whole_rows_in_order() -> None:
    everything = leave_one_out(dataset_of([[user % 20, 21, 22, 23] for user in range(200)]), max_history=2).test
    chosen, rest = everything.parted(50, seed=3)
    assert as_tuples(chosen) == as_tuples(everything.parted(50, seed=3)[0])
    assert as_tuples(chosen) != as_tuples(everything.parted(50, seed=4)[0])
    assert (len(chosen), len(rest)) == (50, 150)
    assert sorted([*chosen.users, *rest.users]) == everything.users.tolist()
    by_user = {row[0]: row for row in as_tuples(everything)}
    for part in (chosen, rest):
        assert (np.diff(part.users) > 0).all()
        assert as_tuples(part) == [by_user[user] for user in part.users.tolist()]


@pytest.mark.parametrize(("users", "count", "size"), [(10, 0, 8), (10, -1, 8), (10, 99, 8), (10, 9, 8), (1, 0, 1)])
def test_a_fifth_is_never_in_the_first_part(users: int, count: int, size: int) -> None:
    chosen, rest = leave_one_out(dataset_of([[1, 2, 3]] * users)).test.parted(count, seed=0)
    assert (len(chosen), len(rest)) == (size, users - size)
