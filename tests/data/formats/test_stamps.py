"""Time stamps against Python's own numbers and dates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.formats.stamps import ABSENT, UnreadableError, batch, numbers, unit

WHOLE = st.integers(-(2**62), 2**62)
DATES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))


def texts(*values: object) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


@given(st.lists(WHOLE, min_size=1))
def test_whole_numbers_come_back_as_they_are(values: list[int]) -> None:
    assert numbers([str(value) for value in values]).tolist() == values
    found, kind = batch(texts(*values, None, ""))
    assert (found.tolist(), kind) == ([*values, ABSENT, ABSENT], "number")


@given(st.lists(st.decimals(-(10**9), 10**9, places=3, allow_nan=False), min_size=1))
def test_fractions_keep_their_order_and_distances(values: list[Fraction]) -> None:
    found, kind = batch(texts(*values))
    scale = 1 if kind == "number" else 10**9
    assert [Fraction(int(stamp), scale) for stamp in found] == [Fraction(value) for value in values]


@given(DATES, st.sampled_from(["", "Z", "+05:30", "-0800", "+02"]), st.sampled_from(["T", " "]))
def test_iso_dates_are_those_of_python(at: datetime, zone: str, between: str) -> None:
    minutes = {"": 0, "Z": 0, "+05:30": 330, "-0800": -480, "+02": 120}[zone]
    text = at.isoformat(between) + zone
    found, kind = batch(texts(text, "2000-01-01"))
    expected = at.replace(tzinfo=timezone(timedelta(minutes=minutes))) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert (int(found[0]), kind) == (expected // timedelta(microseconds=1) * 1000, "date")
    assert int(found[1]) == 946_684_800 * 10**9


def test_dates_of_parquet_are_those_of_pandas() -> None:
    times = pd.to_datetime(["2024-01-31T12:00:00.123456", "1969-12-31"], format="ISO8601")
    for column in (pa.array(times.to_numpy()), pa.array(times, pa.timestamp("us", "UTC"))):
        assert batch(column)[0].tolist() == times.astype("int64").tolist()
    assert batch(pa.array(times.date))[0].tolist() == times.normalize().astype("int64").tolist()
    assert batch(pa.array([2**60 + 1, None]))[0].tolist() == [2**60 + 1, ABSENT]
    assert batch(pa.array([1.0, None, 3.0]))[0].tolist() == [1, ABSENT, 3]


@pytest.mark.parametrize(
    ("values", "row"),
    [
        (["1", "x"], 1),
        (["2024-01-31", "31.01.2024"], 1),
        (["01/02/2024"], 0),
        (["2024-02-30"], 0),
        (["2024-01-31", "5"], 1),
        (["5", "2024-01-31"], 1),
        (["nan"], 0),
        (["1e400"], 0),
        (["9223372036854775808"], 0),
        (["1700000000000.5"] * 2, 0),
        (["9" * 5000], 0),
    ],
)
def test_what_is_no_time_is_told_with_its_row(values: list[str], row: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        batch(texts(*values))
    assert caught.value.row == row


NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (NOW, "seconds"),
        (NOW * 10**3, "milliseconds"),
        (NOW * 10**6, "microseconds"),
        (NOW * 10**9, "nanoseconds"),
        (20240115, "days as YYYYMMDD"),
        (20240115093000, "moments as YYYYMMDDhhmmss"),
        (20240115093000000, "moments as YYYYMMDDhhmmssmmm"),
        (7, "numbers of no known unit"),
        (-5, "numbers of no known unit"),
    ],
)
def test_units_are_told_apart_and_nothing_is_changed(first: int, said: str) -> None:
    times = np.array([first, first + 1, first + 2])
    found, clock = unit(times, "number")
    assert (found.tolist(), clock) == (times.tolist(), said)


@pytest.mark.parametrize(("step", "said"), [(10**9, "seconds"), (10**6, "milliseconds"), (1, "nanoseconds")])
def test_dates_are_kept_in_the_largest_unit_that_holds_them(step: int, said: str) -> None:
    found, clock = unit(np.array([3 * step, 5 * step]), "date")
    assert (found.tolist(), clock) == ([3, 5], f"dates, kept as {said}")


def test_two_units_in_one_column_are_refused() -> None:
    with pytest.raises(UnreadableError, match=r"mixes seconds \(1700000000\) and milliseconds \(1700000000000\)"):
        unit(np.array([NOW, 0, NOW * 1000]), "number")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(9999, 12, 31)], pa.timestamp("us")),  # beyond what nanoseconds can count
        pa.array([2**63 + 5], pa.uint64()),
        pa.array([1.7e16 + 1, 1.7e16 + 3], pa.float64()),  # two stamps that are one as a float
    ],
)
def test_what_does_not_fit_a_column_of_parquet_is_refused(column: pa.Array) -> None:
    with pytest.raises(UnreadableError):
        batch(column)
