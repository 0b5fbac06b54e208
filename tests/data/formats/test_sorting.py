"""The fast order against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.formats.sorting import by_user_and_time, ties

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), max_size=30)


@given(PAIRS, st.sampled_from([1, 2**40, 2**61]), st.sampled_from([np.int64, np.float64]))
def test_rows_come_by_user_and_then_by_time(pairs: list[tuple[int, int]], scale: int, kind: type) -> None:
    users = np.array([user for user, _ in pairs], np.int64)
    times = np.array([time * scale // 3 * (3 if scale == 1 else 1) for _, time in pairs], kind)
    order = by_user_and_time(users, times)
    assert [(users[row], times[row]) for row in order] == sorted(zip(users, times, strict=True))
    positions, groups = ties(order, users, times)
    keys = [(users[row], times[row]) for row in order]
    assert positions.tolist() == [at for at, key in enumerate(keys) if keys.count(key) > 1]
    for position, group in zip(positions, groups, strict=True):
        assert {keys[other] for other, same in zip(positions, groups, strict=True) if same == group} == {keys[position]}


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_nothing_has_an_order(count: int) -> None:
    assert by_user_and_time(np.zeros(count, np.int64), np.zeros(count, np.int64)).tolist() == list(range(count))
