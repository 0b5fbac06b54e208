"""Time stamps: numbers that keep all their digits, and what those numbers mean.

Seconds of today have 10 digits, nanoseconds 19; a float holds 15 or 16. So whole numbers stay whole to the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.dataset import EXACT, Times

LARGEST = 2**63 - 1
DIGITS_OF_INT64 = 19
ABSENT = -(2**63)
UNKNOWN = "numbers of no known unit"
HOURS = 240_000  # more than any time of day, as hhmmss or in seconds
NULL = r"\N"  # of MySQL and Hive
WHOLE = {16: 2**11, 32: 2**24, 64: EXACT}  # up to which floating numbers of so many bits hold every whole one
NUMBER, DATE, DECIMAL = "number", "date", "decimal"
BILLION = 10**9
SAMPLE = 1000  # time stamps that tell how a column was written
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ISO = "expected a number or an ISO date such as 2024-01-31 or 2024-01-31T12:00:00Z"
RANGE = "expected dates from 1678 to 2261"
DATES = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d?\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?(Z|z| UTC| ?[+-]\d\d(?::?\d\d)?)?)?"
)
UNITS = {10**9: "seconds", 10**6: "milliseconds", 10**3: "microseconds", 1: "nanoseconds"}
# The least number, its unit, and whether it is one: what a clock shows between 1990 and 2080 and calendars since 1900.
MEANINGS = (
    (0, "small numbers", False),
    (19_000_101, "days as YYYYMMDD", True),
    (21_000_000, "numbers", False),
    (630_000_000, "seconds", True),
    (3_500_000_000, "numbers", False),
    (630_000_000_000, "milliseconds", True),
    (3_500_000_000_000, "numbers", False),
    (19_000_101_000_000, "moments as YYYYMMDDhhmmss", True),
    (21_000_000_000_000, "numbers", False),
    (630_000_000_000_000, "microseconds", True),
    (3_500_000_000_000_000, "numbers", False),
    (19_000_101_000_000_000, "moments as YYYYMMDDhhmmssmmm", True),
    (21_000_000_000_000_000, "numbers", False),
    (630_000_000_000_000_000, "nanoseconds", True),
    (3_500_000_000_000_000_000, "numbers", False),
)


class UnreadableError(ValueError):
    """A text that is no number, and the ``row`` that it stands in."""

    def __init__(self, row: int, needed: str) -> None:
        super().__init__(needed)
        self.row = row


def numbers(texts: NDArray[np.object_] | Sequence[str]) -> Times:
    """``[rows]`` as int64 where all are whole, else as float64.

    Raises UnreadableError for what is no finite number, or has more digits than can be kept in order.
    """
    try:
        return np.asarray(pa.array(texts, pa.string()).cast(pa.int64()))
    except pa.ArrowInvalid:
        pass
    encoded = pa.array(texts, pa.string()).dictionary_encode()
    unique, inverse = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
    wrong = [position for position, text in enumerate(unique) if not _is_finite(text)]
    if wrong:  # in the order in which they come
        raise UnreadableError(int(np.flatnonzero(inverse == wrong[0])[0]), "expected a finite number")
    exact = [Decimal(text.strip()) for text in unique]
    if all(value == value.to_integral_value() for value in exact if abs(value) < LARGEST):
        whole = np.array([_whole(value, inverse, position) for position, value in enumerate(exact)], np.int64)
        return np.take(whole, inverse)
    return np.take(np.array(_floats(exact, inverse), np.float64), inverse)


def _is_finite(text: str) -> bool:
    try:
        return (
            len(text) < 400
            and "_" not in text
            and Decimal(text.strip()).is_finite()
            and abs(float(text)) < float("inf")
        )
    except (InvalidOperation, ValueError):
        return False


def _whole(value: Decimal, inverse: NDArray[np.int32], position: int) -> int:
    if abs(value) > LARGEST:
        row = int(np.flatnonzero(inverse == position)[0])
        raise UnreadableError(row, f"whole numbers of up to {DIGITS_OF_INT64} digits (below 2^63) can be kept in order")
    return int(value)


def _floats(exact: Sequence[Decimal], inverse: NDArray[np.int32]) -> list[float]:
    """Floats, each of one number: two that become one float would be a tie that the file does not have."""
    found: dict[float, Decimal] = {}
    for position, value in enumerate(exact):
        other = found.setdefault(float(value), value)
        if other != value or (abs(value) > EXACT and float(value) != value):
            row = int(np.flatnonzero(inverse == position)[0])
            raise UnreadableError(row, "a fraction with so many digits cannot be kept in order; write whole numbers")
    return [float(value) for value in exact]


def batch(column: pa.Array) -> tuple[NDArray[np.int64], str]:
    """Time stamps of a piece of a column as whole numbers, and their kind: ``number`` as they are written, ``date`` in
    nanoseconds since 1970, or ``decimal``, billionths. Where nothing stands, the number is ``ABSENT``.

    Raises UnreadableError for what is neither a number nor an ISO date.
    """
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        exact = pa.timestamp("ns", getattr(kind, "tz", None))
        return _filled(_cast(column, exact, RANGE).cast(pa.int64())), DATE
    if pa.types.is_integer(kind):
        return _filled(_cast(column, pa.int64(), "expected whole numbers below 2^63")), NUMBER
    if pa.types.is_time(kind):
        raise UnreadableError(0, f"a time of day says no date; {ISO}")
    if pa.types.is_floating(kind) and (rounded := inexact(column)) is not None:
        power = WHOLE[kind.bit_width].bit_length() - 1
        needed = f"{kind.bit_width}-bit floating numbers above 2^{power} have lost their order; expected whole numbers"
        raise UnreadableError(rounded, needed)
    texts = column.cast(pa.string()) if pa.types.is_floating(kind) else column
    try:
        return _filled(texts.cast(pa.int64())), NUMBER
    except pa.ArrowInvalid:
        pass
    encoded = texts.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(len(encoded.dictionary)))
    found, what = _unique(encoded.dictionary.to_pylist(), codes)
    return np.append(found, ABSENT)[codes], what


def inexact(column: pa.Array) -> int | None:
    """The first row of a column of floating numbers that may have been another whole number before; None for none."""
    large = pc.fill_null(pc.greater(pc.abs(column.cast(pa.float64())), float(WHOLE[column.type.bit_width])), False)
    return next(iter(np.flatnonzero(np.asarray(large)).tolist()), None)


def _cast(column: pa.Array, kind: pa.DataType, needed: str) -> pa.Array:
    """The column as another type. Raises UnreadableError where a value does not fit it."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise UnreadableError(0, needed) from error


def _filled(column: pa.Array) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(ABSENT), np.int64)


def _unique(texts: Sequence[str], codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], str]:
    """The stamps that distinct texts mean. Whichever kind the first text has, all must have."""
    there = [position for position, text in enumerate(texts) if text.strip() not in ("", NULL)]
    found = np.full(len(texts), ABSENT, np.int64)
    if not there:
        return found, NUMBER
    kind = NUMBER if _is_finite(texts[there[0]]) else DATE
    exact = []
    for position in there:
        stamp = _decimal(texts[position]) if kind == NUMBER else _date(texts[position])
        if stamp is None:
            needed = "expected a finite number, as on other lines" if kind == NUMBER else ISO
            raise UnreadableError(int(np.flatnonzero(codes == position)[0]), needed)
        exact.append(stamp)
    if kind == NUMBER and any(stamp != stamp.to_integral_value() for stamp in exact):
        kind, exact = DECIMAL, [stamp * BILLION for stamp in exact]
    for position, stamp in zip(there, exact, strict=True):
        if abs(stamp) > LARGEST or stamp != stamp.to_integral_value():
            needed = "more digits than can be kept in order" if kind != DATE else RANGE
            raise UnreadableError(int(np.flatnonzero(codes == position)[0]), needed)
        found[position] = int(stamp)
    return found, kind


def _decimal(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _is_finite(text) else None


def _date(text: str) -> Decimal | None:
    """Nanoseconds since 1970 of an ISO date; without a time zone it is in UTC."""
    match = DATES.fullmatch(text.strip())
    if not match:
        return None
    day, clock, fraction, zone = match.groups(default="")
    zone = zone.strip()
    zone = f"{zone}:00" if len(zone) == 3 and zone != "UTC" else zone
    offset = "+00:00" if zone in ("", "Z", "z", "UTC") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        at = datetime.fromisoformat(f"{day}T{(clock if clock[1:2] != ':' else f'0{clock}') or '00:00'}{offset}")
    except ValueError:
        return None
    return Decimal(int((at - EPOCH) // timedelta(seconds=1))) * BILLION + Decimal(fraction[:9].ljust(9, "0") or 0)


def zones(column: pa.Array) -> set[bool]:
    """Whether dates name a time zone, and whether some do not, among the texts or the type of a column."""
    if pa.types.is_timestamp(column.type):
        return {bool(column.type.tz)}
    if not pa.types.is_string(column.type):
        return set()
    matches = (DATES.fullmatch(text.strip()) for text in column[:SAMPLE].to_pylist() if text)
    return {bool(match[4]) for match in matches if match}


def notes(times: NDArray[np.int64], clock: str) -> list[str]:
    """That some of the stamps of a known unit are 0, which is 1970 and most often stands for none."""
    zeros = int((times == 0).sum())
    if not 0 < zeros < len(times) or not (clock in UNITS.values() or clock.startswith("dates")):
        return []
    return [f"{zeros:,} time stamps are 0, the year 1970: these rows come first; take them out if it means none"]


def unit(times: NDArray[np.int64], kind: str) -> tuple[NDArray[np.int64], str]:
    """The stamps in the largest unit that keeps them whole, and what they are in words.

    Raises UnreadableError where seconds and milliseconds, or other units, stand in one column.
    """
    there = [] if kind == DATE else _meant(times // BILLION if kind == DECIMAL else times, kind)
    if kind != NUMBER:
        step = next(step for step in (10**9, 10**6, 10**3, 1) if not (times % step).any())
        return times // step, f"{'dates' if kind == DATE else 'decimal numbers'}, kept as {UNITS[step]}"
    if len(there) == 1 and MEANINGS[there[0]][2]:
        return times, MEANINGS[there[0]][1]
    return times, UNKNOWN


def _meant(times: NDArray[np.int64], kind: str) -> list[int]:
    """Which of ``MEANINGS`` there are, zeros left out. Raises UnreadableError where several are units of a clock."""
    sizes = np.digitize(np.abs(times).astype(np.float64), [low for low, _, _ in MEANINGS]) - 1
    there = [int(size) for size in np.unique(sizes[times != 0])]
    clocks = [size for size in there if MEANINGS[size][2]]
    if len(clocks) > 1 and (kind == NUMBER or clocks == there):  # fractions that rise from 0 pass through all sizes
        rows = [int(np.argmax(sizes == size)) for size in clocks[:2]]
        both = " and ".join(f"{MEANINGS[sizes[row]][1]} ({times[row]})" for row in rows)
        raise UnreadableError(max(rows), f"the column mixes {both}; write all in one unit")
    return there
