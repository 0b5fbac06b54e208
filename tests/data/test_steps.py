"""Leave-one-out by steps, against cutting each user's days by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import Split, leave_one_out
from bench.data.steps import leave_one_step_out, step_starts
from bench.errors import BenchError

Log = list[list[tuple[int, int]]]  # (item, day) of each user, by day
LOGS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=12).map(
        lambda row: sorted(row, key=lambda pair: pair[1])
    ),
    min_size=1,
    max_size=5,
)


def dataset_of(log: Log) -> Dataset:
    sequences = Sequences.from_rows([[item for item, _ in row] for row in log])
    times = np.array([day for row in log for _, day in row], float)
    users = tuple(f"u{user}" for user in range(len(log)))
    return Dataset("days", users, ItemTable(tuple("abcdef"), {}), sequences, times)


def days_of(row: list[tuple[int, int]]) -> list[list[int]]:
    return [[item for item, _ in day] for _, day in groupby(row, key=lambda pair: pair[1])]


@given(LOGS, st.booleans())
def test_the_last_day_is_tested_and_the_one_before_validates(log: Log, shown: bool) -> None:
    days = {user: days_of(row) for user, row in enumerate(log)}
    tested = [user for user, found in days.items() if len(found) >= 3]
    assume(tested)
    split = leave_one_step_out(dataset_of(log), max_history=3, validation_in_test_history=shown)
    assert split.test.users.tolist() == split.validation.users.tolist() == tested
    for part, back in ((split.validation, 2), (split.test, 1)):
        assert part.counts is not None
        targets = np.split(part.items, np.cumsum(part.counts)[:-1])
        for row, user in enumerate(tested):
            assert targets[row].tolist() == list(dict.fromkeys(days[user][-back]))
            before = days[user][: -1 if back == 1 and shown else -2]
            assert part.seen[row].tolist() == [item for day in before for item in day]
            assert part.histories[row].tolist() == part.seen[row].tolist()[-3:]
    for user, row in enumerate(log):
        kept = days[user][:-2] if user in tested else [[item for item, _ in row]]
        assert split.train.sequences[user].tolist() == [item for day in kept for item in day]


def test_without_ties_it_is_leave_one_out(toy: Dataset, check_owners: Callable[[Split], None]) -> None:
    by_step, plain = leave_one_step_out(toy), leave_one_out(toy)
    check_owners(by_step)
    for one, other in ((by_step.validation, plain.validation), (by_step.test, plain.test)):
        assert one.items.tolist() == other.items.tolist()
        assert one.seen.values.tolist() == other.seen.values.tolist()
        assert one.counts is not None
        assert set(one.counts.tolist()) == {1}
    assert by_step.train.fingerprint == plain.train.fingerprint


def test_who_has_too_few_days_trains_only() -> None:
    split = leave_one_step_out(dataset_of([[(0, 0), (1, 0), (2, 0)], [(0, 0), (1, 1), (2, 1), (3, 2)]]))
    assert split.notes == ("1 of 2 users have fewer than 3 different time stamps: they train only",)
    assert split.train.sequences[0].tolist() == [0, 1, 2]
    with pytest.raises(
        BenchError, match=r"needs a user with 3 or more different time stamps; the most of 1 users is 1"
    ):
        leave_one_step_out(dataset_of([[(0, 0), (1, 0), (2, 0)]]))


def test_a_step_begins_where_user_or_time_changes() -> None:
    assert step_starts(dataset_of([[(0, 1), (1, 1), (2, 2)], [(3, 2), (4, 2)]])).tolist() == [0, 2, 3]
