"""Ids that a program has changed all alike, and cells that say that there is nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.data.formats import stamps
from bench.errors import BenchError

NO_ID = ("nan", "NaN", "None", "none", "null", "NULL", "NA", "N/A", "<NA>", "undefined", "NaT")
NO_TEXT = ("nan", "none", "null", "n/a", "<na>", "\\n")
FLOAT = re.compile(r"-?\d+\.0+")


def says_nothing(text: str) -> bool:
    """Whether a text is what a program writes where there is none."""
    return text.strip().lower() in NO_TEXT


def mended(names: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    """Ids, each once, as they were before all of them were changed in one way, and notes on that.

    Whole numbers have ".0", since a gap made them floats. White space stands before all, where cells are parted by a
    comma and a blank, or fills all up to one length, as a column of fixed width in a database. They stay as they are
    where two would become one.
    """
    names, notes = list(names), list[str]()
    bare = [name.strip() for name in names]
    spaced = bool(names) and names != bare and (_begin_blank(names) or len(set(map(len, names))) == 1)
    if spaced and len(set(bare)) == len(names):
        example = next(name for name in names if name != name.strip())
        notes.append(f"{what} ids have white space at their ends, all alike, such as {example!r}: read without")
        names = bare
    whole = [name.partition(".")[0] for name in names] if all(map(FLOAT.fullmatch, names)) else []
    if whole and len(set(whole)) == len(names):
        notes.append(f"{what} ids are whole numbers written with '.0', as a gap in the column makes them: read without")
        names = whole
    return names, notes


def _begin_blank(names: Sequence[str]) -> bool:
    return all(name[:1].isspace() for name in names)


def of_column(path: Path, name: str, column: pa.ChunkedArray) -> list[str]:
    """The ids in a column of a Parquet table that gives each row one. Whole numbers that are stored as floats are whole
    again. BenchError where a row has none, or a number may have lost digits.
    """
    values: list[Any] = column.to_pylist()
    where = f"'{path}', column '{name}'"
    empty = [row for row, value in enumerate(values, start=1) if value is None or value != value or value == ""]
    if empty:
        raise BenchError(f"{where}: row {empty[0]} names no item; {len(empty):,} of {len(values):,} rows do not")
    if pa.types.is_floating(column.type):
        if any(not value.is_integer() or abs(value) > stamps.WHOLE[column.type.bit_width] for value in values):
            raise BenchError(f"{where}: floating numbers are no ids; write whole numbers or text")
        values = list(map(int, values))
    return list(map(str, values))
