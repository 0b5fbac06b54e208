"""Interactions gathered piece by piece: ids become numbers at once, so that twenty million rows are a few arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.formats import stamps
from bench.data.formats.catalogue import Table
from bench.data.formats.columns import Roles
from bench.data.formats.sequences import Histories
from bench.errors import BenchError, an, counted

NONE = -1  # the number of an empty id
SAMPLE = 1000  # time stamps that tell how a column was written
NO_ID = ("nan", "NaN", "None", "none", "null", "NULL", "NA", "N/A", "<NA>", "undefined", "NaT")
FLOAT, ROUNDED = re.compile(r"-?\d+\.0"), re.compile(r"-?\d[.,]\d+[eE]\+?\d+")

Codes = NDArray[np.int32]


class Ids:
    """Ids by number, in the order in which they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, column: pa.Array) -> Codes:
        """``[rows]``: the number of each id, ``NONE`` where it is empty."""
        encoded = _texts(column).dictionary_encode()
        numbers = [self._number(name) for name in encoded.dictionary.to_pylist()]
        return np.take(np.array([*numbers, NONE], np.int32), np.asarray(encoded.indices.fill_null(len(numbers))))

    def renamed(self, names: Sequence[str]) -> None:
        """Other names for the same numbers, each once."""
        self.numbers = {name: number for number, name in enumerate(names)}

    @property
    def names(self) -> list[str]:
        return list(self.numbers)

    def _number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers)) if name.strip() else NONE


@dataclass
class Log:
    """Rows of interactions. ``times`` are whole numbers of one ``kind`` (``stamps``), or the number of the row where a
    file has none, which is ``undated``; ``rounded`` is one that looks as a spreadsheet writes long numbers. ``lacking``
    counts rows that were left out, by what they lack.
    """

    users: Ids = field(default_factory=Ids)
    items: Ids = field(default_factory=Ids)
    pieces: list[tuple[Codes, Codes, NDArray[np.int64], str]] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    undated: bool = False
    rounded: str = ""
    rows: int = 0

    def add_table(self, table: Table, roles: Roles, least: float | None) -> None:
        """Every row that has a user, an item and, where there is such a column, a time and a rating of ``least``."""
        rated = roles.rating if least is not None else ""
        wanted = [name for name in (roles.user, roles.item, roles.time, rated) if name]
        self.undated |= not roles.time
        row = 0
        for batch in table.batches(list(dict.fromkeys(wanted)), ids=(roles.user, roles.item)):
            users, items = self.users.add(batch[roles.user]), self.items.add(batch[roles.item])
            kept = self._present({"user": users != NONE, "item": items != NONE})
            times, kind = self._times(table, batch[roles.time], row) if roles.time else (None, stamps.NUMBER)
            if times is None:
                times = np.arange(self.rows, self.rows + len(users), dtype=np.int64)
            else:
                kept &= self._present({"time": times != stamps.ABSENT})
            if rated and least is not None:
                kept &= self._rated(batch[rated], least)
            row += len(users)
            self.rows += len(users)
            self.pieces.append((users[kept], items[kept], times[kept], kind))

    def add_histories(self, histories: Histories) -> None:
        """Users with their items in order."""
        self.undated = True
        lengths = [len(items) for items in histories.values()]
        users = np.repeat(self.users.add(pa.array(list(histories), pa.string())), lengths)
        flat = pa.array([item for items in histories.values() for item in items], pa.string())
        items, times = self.items.add(flat), np.arange(self.rows, self.rows + len(users), dtype=np.int64)
        kept = self._present({"user": users != NONE, "item": items != NONE})
        self.rows += len(users)
        self.pieces.append((users[kept], items[kept], times[kept], stamps.NUMBER))

    def gathered(self) -> tuple[Codes, Codes, NDArray[np.int64], str]:
        """All rows, and of which kind their time stamps are. BenchError where there are none, or several kinds."""
        if not sum(len(users) for users, *_ in self.pieces):
            lacking = "; ".join(f"{count:,} without {an(what)}" for what, count in self.lacking.items() if count)
            why = f": {lacking}" if lacking else ""
            raise BenchError(f"no interaction is left of {counted(self.rows, 'row')}{why}")
        users, items, times, kinds = zip(*self.pieces, strict=True)
        self.pieces.clear()
        return np.concatenate(users), np.concatenate(items), *_of_one_kind(times, kinds)

    def _present(self, columns: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        for name, there in columns.items():
            self.lacking[name] = self.lacking.get(name, 0) + int((~there).sum())
        first, *others = columns.values()
        for there in others:
            first = first & there
        return first

    def _times(self, table: Table, column: pa.Array, row: int) -> tuple[NDArray[np.int64], str]:
        if pa.types.is_string(column.type) and not self.rounded:
            self.rounded = next(filter(ROUNDED.fullmatch, filter(None, column[:SAMPLE].to_pylist())), "")
        try:
            return stamps.batch(column)
        except stamps.UnreadableError as error:
            text = column[error.row].as_py()
            where = f"{table.source.path}, row {row + error.row + 1}"
            raise BenchError(f"{where}: time '{text}'; {error}") from error

    def _rated(self, column: pa.Array, least: float) -> NDArray[np.bool_]:
        try:
            ratings = np.asarray(_blank_as_null(column).cast(pa.float64()).fill_null(np.nan))
        except pa.ArrowInvalid as error:
            wrong = next(filter(_is_no_number, _blank_as_null(column).drop_null().to_pylist()), "")
            raise BenchError(f"--min-rating needs ratings that are numbers, such as 4.5; got '{wrong}'") from error
        return self._present({f"rating of {least:g} or more": ratings >= least})


def repaired(ids: Ids, what: str) -> list[str]:
    """Whole numbers that a table has written with ".0", since a gap made them floats, become whole again. Notes on that
    and on what else looks as if a program had changed the ids.
    """
    names, notes = ids.names, []
    if names and all(map(FLOAT.fullmatch, names)):
        ids.renamed([name.removesuffix(".0") for name in names])
        notes.append(f"{what} ids are whole numbers written with '.0', as a gap in the column makes them: read without")
    rounded = [name for name in names if ROUNDED.fullmatch(name)]
    if rounded:
        notes.append(f"{len(rounded):,} {what} ids look like numbers rounded by a spreadsheet, such as '{rounded[0]}'")
    absent = [f"'{name}'" for name in NO_ID if name in ids.numbers]
    if absent:
        read = f"is read as the id of {an(what)}" if len(absent) == 1 else f"are read as ids of {what}s"
        notes.append(f"{', '.join(absent)} {read} like any other; take out the rows where that means none")
    return notes


def _of_one_kind(times: Sequence[NDArray[np.int64]], kinds: Sequence[str]) -> tuple[NDArray[np.int64], str]:
    there = {kind for kind, part in zip(kinds, times, strict=True) if len(part)}
    if len(there) == 1:
        return np.concatenate(times), there.pop()
    if stamps.DATE in there:
        raise BenchError("some time stamps are dates and some are numbers; write all in one way")
    whole = np.concatenate([part for part, kind in zip(times, kinds, strict=True) if kind == stamps.NUMBER])
    if len(whole) and int(np.abs(whole).max()) > stamps.LARGEST // stamps.BILLION:
        raise BenchError("some time stamps have more digits than can be kept in order; write whole numbers")
    scale = {stamps.NUMBER: stamps.BILLION}
    parts = [part * scale.get(kind, 1) for part, kind in zip(times, kinds, strict=True)]
    return np.concatenate(parts), stamps.DECIMAL


def _texts(column: pa.Array) -> pa.Array:
    """Ids as text. A float column holds whole numbers where a gap has made it one."""
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(column, pc.round(column))).as_py()
        column = column.cast(pa.int64(), safe=False) if whole else column
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _is_no_number(text: str) -> bool:
    try:
        pa.scalar(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return True
    return False


def _blank_as_null(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
