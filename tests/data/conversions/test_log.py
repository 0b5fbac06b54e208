"""The rules that leave interactions out, and the order of ties, against slow and obvious ones."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.conversions.log import Log, LogBuilder, k_core, keep_earliest
from bench.data.conversions.ties import in_order
from bench.errors import BenchError

Row = tuple[str, str, int]
LOGS = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["x", "y", "z", "10", "9"]), st.integers(0, 4)), max_size=60
)


def log_of(rows: list[Row]) -> Log:
    builder = LogBuilder()
    for number, (user, item, time) in enumerate(rows):
        builder.add("a", user, item, time, rating=float(number))
    return builder.build()


def rows_of(log: Log) -> list[Row]:
    """Back to rows; every id that the log knows is used, and ids are sorted."""
    assert log.user_ids == tuple(sorted({log.user_ids[user] for user in log.users}))
    assert log.item_ids == tuple(sorted({log.item_ids[item] for item in log.items}))
    users, items = (log.user_ids[user] for user in log.users), (log.item_ids[item] for item in log.items)
    return list(zip(users, items, log.times.tolist(), strict=True))


@given(LOGS)
def test_a_log_keeps_its_rows(rows: list[Row]) -> None:
    log = log_of(rows)
    assert rows_of(log) == rows
    assert (log.counts.users, log.counts.items) == (len({row[0] for row in rows}), len({row[1] for row in rows}))
    assert log.counts.interactions == len(log) == len(rows)


@given(LOGS)
def test_the_earliest_of_repeats_is_kept(rows: list[Row]) -> None:
    first: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row[2]):  # stable
        first.setdefault(row[:2], row)
    kept = rows_of(keep_earliest(log_of(rows)))
    assert sorted(kept) == sorted(first.values())
    assert kept == [row for row in dict.fromkeys(rows) if row in first.values()]


@given(LOGS, st.integers(1, 5))
def test_the_core_is_what_repeated_filtering_leaves(rows: list[Row], k: int) -> None:
    found = rows_of(k_core(log_of(rows), k))
    while True:
        users, items = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
        left = [row for row in rows if users[row[0]] >= k and items[row[1]] >= k]
        if left == rows:
            break
        rows = left
    assert found == rows


@given(LOGS)
def test_order_is_by_user_and_time_under_every_rule(rows: list[Row]) -> None:
    log = log_of(rows)
    numbers = all(row[1].isdigit() for row in rows)  # such ids are in the order of numbers: "9" before "10"
    by_id = sorted(rows, key=lambda row: (row[0], row[2], int(row[1]) if numbers else row[1]))
    as_in_file = sorted(rows, key=lambda row: (row[0], row[2]))
    assert rows_of(in_order(log, "id")) == by_id
    assert rows_of(in_order(log, "file")) == as_in_file
    digest = rows_of(in_order(log, "digest"))
    assert [(user, time) for user, _, time in digest] == [(user, time) for user, _, time in as_in_file]
    assert Counter(digest) == Counter(rows)


def test_the_digest_does_not_know_the_file_and_leans_no_way() -> None:
    rows = [(f"u{user}", f"{item:03d}", 0) for user in range(50) for item in range(40)]
    forward = rows_of(in_order(log_of(rows), "digest"))
    assert forward == rows_of(in_order(log_of(rows[::-1]), "digest"))
    items = np.array([int(item) for _, item, _ in forward]).reshape(50, 40)
    assert 0.47 < (np.diff(items, axis=1) > 0).mean() < 0.53


def test_time_stamps_of_64_bits_keep_their_order_and_longer_ones_are_refused() -> None:
    stamps = [20140102030405003, 20140102030405001, 20140102030405002, 2**63 - 1]
    log = in_order(log_of([("u", f"i{stamp}", stamp) for stamp in stamps]), "digest")
    assert log.times.tolist() == sorted(stamps)
    with pytest.raises(BenchError, match="a: time stamp 9223372036854775808 is longer than 64 bits"):
        log_of([("u", "i", 2**63)])


def test_an_unknown_rule_for_ties() -> None:
    with pytest.raises(BenchError, match="unknown rule for ties 'ids'; did you mean 'id'"):
        in_order(log_of([]), "ids")
