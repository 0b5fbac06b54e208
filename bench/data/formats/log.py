"""Interactions gathered piece by piece: ids become numbers at once, so that twenty million rows are a few arrays."""

from __future__ import annotations

import ast
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
from bench.data.formats.delimited import Delimited
from bench.data.formats.mending import NO_ID, mended
from bench.data.formats.sequences import Histories
from bench.errors import BenchError, an, counted

NONE = -1  # the number of an empty id
MARGIN = " \t\ufeff"  # of a header: blanks after commas, and the mark that each of several files began with
ROUNDED = re.compile(r"-?\d[.,]\d+[eE]\+?\d+")

Codes = NDArray[np.int32]


class Ids:
    """Ids by number, in the order in which they come. ``were`` says how those that were mended stand in the file."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.were: dict[str, str] = {}

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
        return NONE if name.strip() in ("", stamps.NULL) else self.numbers.setdefault(name, len(self.numbers))


@dataclass
class Log:
    """Rows of interactions. ``times`` are whole numbers of one ``kind`` (``stamps``), or the number of the row where a
    file has none, which is ``undated``; ``rounded`` is one that looks as a spreadsheet writes long numbers. ``lacking``
    counts rows that were left out, by what they lack; ``headers`` are lines that name the columns again, ``zones`` says
    whether dates name one.
    """

    users: Ids = field(default_factory=Ids)
    items: Ids = field(default_factory=Ids)
    pieces: list[tuple[Codes, Codes, NDArray[np.int64], str]] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    headers: int = 0
    zones: set[bool] = field(default_factory=set)
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
            for name in (roles.user, roles.item):
                _require_ids(table, name, batch[name])
            again = _headers(table, roles, batch)
            self.headers += int(again.sum())
            if again.any():  # their rows are empty, so that those of others keep their numbers
                gone = pa.array(again)
                batch = {name: pc.if_else(gone, pa.scalar(None, cells.type), cells) for name, cells in batch.items()}
            users, items = self.users.add(batch[roles.user]), self.items.add(batch[roles.item])
            kept = self._present({"user": again | (users != NONE), "item": again | (items != NONE)}) & ~again
            times, kind = self._times(table, batch[roles.time], row) if roles.time else (None, stamps.NUMBER)
            if times is None:
                times = np.arange(self.rows, self.rows + len(users), dtype=np.int64)
            else:
                kept &= self._present({"time": again | (times != stamps.ABSENT)})
            if rated and least is not None:
                kept &= self._rated(batch[rated], least, again)
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

    def notes(self) -> list[str]:
        """What was guessed of the rows, and what was left out."""
        notes = []
        if self.undated:
            notes.append("there are no time stamps: the order of the file is taken for that of time")
        if self.rounded:
            notes.append(
                f"time stamps look rounded by a spreadsheet, such as '{self.rounded}': what came first may be lost"
            )
        if len(self.zones) > 1:
            notes.append("some dates name a time zone and some do not: those are read as UTC")
        if self.headers:
            notes.append(f"{counted(self.headers, 'line')} within the rows name the columns again: skipped")
        return notes + [
            f"{counted(count, 'row')} without {an(what)}: skipped" for what, count in self.lacking.items() if count
        ]

    def _present(self, columns: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        for name, there in columns.items():
            self.lacking[name] = self.lacking.get(name, 0) + int((~there).sum())
        first, *others = columns.values()
        for there in others:
            first = first & there
        return first

    def _times(self, table: Table, column: pa.Array, row: int) -> tuple[NDArray[np.int64], str]:
        if pa.types.is_string(column.type) and not self.rounded:
            self.rounded = next(filter(ROUNDED.fullmatch, filter(None, column[: stamps.SAMPLE].to_pylist())), "")
        self.zones |= stamps.zones(column)
        try:
            return stamps.batch(column)
        except stamps.UnreadableError as error:
            text = column[error.row].as_py()
            where = f"{table.source.path}, row {row + error.row + 1}"
            raise BenchError(f"{where}: time '{text}'; {error}") from error

    def _rated(self, column: pa.Array, least: float, again: NDArray[np.bool_]) -> NDArray[np.bool_]:
        try:
            ratings = np.asarray(_blank_as_null(column).cast(pa.float64()).fill_null(np.nan))
        except pa.ArrowInvalid as error:
            wrong = next(filter(_is_no_number, _blank_as_null(column).drop_null().to_pylist()), "")
            raise BenchError(f"--min-rating needs ratings that are numbers, such as 4.5; got '{wrong}'") from error
        return self._present({f"rating of {least:g} or more": again | (ratings >= least)})


def repaired(ids: Ids, what: str) -> list[str]:
    """Ids as they were before a program changed all of them, which is said (``mending``). Notes on that and on what
    else looks so.
    """
    before = ids.names
    names, notes = mended(before, what)
    if notes:
        ids.renamed(names)
        ids.were = dict(zip(names, before, strict=True))
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


def _require_ids(table: Table, name: str, column: pa.Array) -> None:
    """BenchError where ids are numbers that have lost digits, or lists of ids that a text holds."""
    where = f"'{table.source.path}', column '{name}'"
    if pa.types.is_floating(column.type) and (row := stamps.inexact(column)) is not None:
        raise BenchError(
            f"{where}: {column[row].as_py():.0f} is a floating number with more digits than it can hold, so that two "
            "ids may be one here; write ids as whole numbers or as text"
        )
    some = [text for text in column[: stamps.SAMPLE].to_pylist() if text] if pa.types.is_string(column.type) else []
    if some and all(map(_is_list, some)):
        raise BenchError(
            f"{where}: {some[0][:60]} is a list and no id; write a row for each of its items, or all as JSON: "
            '{"user": ["item", "item"]}'
        )


def _is_list(text: str) -> bool:
    """Whether a text is a list as JSON or Python writes it."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    try:
        return isinstance(ast.literal_eval(text), list)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def _headers(table: Table, roles: Roles, batch: dict[str, pa.Array]) -> NDArray[np.bool_]:
    """``[rows]``: where a line names the columns again, as between files that were put together."""
    users, items = batch[roles.user], batch[roles.item]
    if not (isinstance(table, Delimited) and table.header and pc.any(pc.match_substring(users, roles.user)).as_py()):
        return np.zeros(len(users), bool)
    named = (pc.equal(pc.utf8_trim(cells, MARGIN), name) for cells, name in ((users, roles.user), (items, roles.item)))
    return np.asarray(pc.and_(*named))


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
    return pc.if_else(pc.is_in(trimmed, pa.array(["", stamps.NULL])), pa.scalar(None, pa.string()), trimmed)
