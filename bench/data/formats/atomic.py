"""RecBole atomic files: ``<name>.inter`` (who took what, when) and ``<name>.item`` (the catalogue's text).

Both are UTF-8, tab separated and unquoted, under a header of ``field:type``. What is read does not depend on the order
of rows (``_part_shared_ids`` has the one exception): users and items are sorted by id, interactions by time, and ties
in time are broken by ``ties.digest``. Time stamps that are whole numbers stay whole: a float would lose
digits of long ones. Markup in text is taken out and noted.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data import audit, markup, twins
from bench.data.dataset import Dataset, ItemTable, Sequences, Times
from bench.data.formats.sorting import by_user_and_time, ties
from bench.data.formats.stamps import UnreadableError, numbers
from bench.data.ties import BEGINNING, NUMBERED, digest
from bench.errors import BenchError, unknown

INTERACTION_FIELDS = ("user_id", "item_id", "timestamp")
TEXT_TYPES = ("token", "token_seq")
TYPES = (*TEXT_TYPES, "float", "float_seq")
SHARED_AT_MOST = 0.01  # share of user ids that may stand for several users; more than that are ordinary ties in time


@dataclass(frozen=True, eq=False)
class _Log:
    """Interactions, one array element each: indices into the sorted ids, and time stamps."""

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: Times


def read_atomic(folder: Path, name: str | None = None) -> Dataset:
    """The data set ``<folder>/<name>.inter`` with its ``.item`` file; without a name, the folder's only one.

    The catalogue holds the items that occur in interactions. Its text columns are all ``token`` and ``token_seq``
    columns of the ``.item`` file but the id, in file order. Raises BenchError naming the file, and the line where there
    is one, for whatever is missing, misnamed, repeated, empty, ragged, or not UTF-8.
    """
    path = _interaction_file(folder, name)
    log, notes = _part_shared_ids(path, _read_log(path))
    items, text_notes = _read_items(path.with_suffix(".item"), log.item_ids)
    order = _time_order(log)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(log.users))]).astype(np.int64)
    sequences = Sequences(log.items[order].astype(np.int32), offsets)
    notes += twins.notes(log.user_ids, "user") + twins.notes(log.item_ids, "item")
    notes += text_notes + _repeat_note(log, order) + audit.order_notes(sequences)
    return Dataset(path.stem, log.user_ids, items, sequences, log.times[order], notes, file_rows=order)


def is_atomic(folder: Path, name: str | None = None) -> bool:
    """Whether a folder holds an ``.inter`` that ``read_atomic`` reads, or says best why not. One with other columns is
    none.
    """
    return any(_names_fields(path) for path in folder.glob("*.inter") if name in (None, path.stem))


def _names_fields(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = file.readline(10_000).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return True
    return not header.strip() or {cell.strip().partition(":")[0] for cell in header.split("\t")} >= {
        *INTERACTION_FIELDS
    }


def ordered(
    user_ids: tuple[str, ...],
    item_ids: tuple[str, ...],
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    times: Times,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows by user, time, and digest where times tie; and where each user's begin."""
    log = _Log(user_ids, item_ids, users, items, times)
    return _time_order(log), np.concatenate([[0], np.cumsum(np.bincount(users))]).astype(np.int64)


def _interaction_file(folder: Path, name: str | None) -> Path:
    found = sorted(folder.glob("*.inter"))
    if name is not None:
        found = [path for path in found if path.stem == name]
    if len(found) == 1:
        return found[0]
    wanted = f"{name}.inter" if name is not None else "one *.inter file"
    if not folder.is_dir():
        raise BenchError(f"asked for {wanted} in '{folder}', which is not a folder")
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise BenchError(f"asked for {wanted} in '{folder}'; got {there}; exactly one is needed")


def _read_log(path: Path) -> _Log:
    columns, body = _read_table(path, INTERACTION_FIELDS)
    frame = _frame(body, columns, {"user_id": "category", "item_id": "category", "timestamp": "str"})
    user_ids, users = _indexed(path, frame["user_id"])
    item_ids, items = _indexed(path, frame["item_id"])
    return _Log(user_ids, item_ids, users, items, _times(path, frame["timestamp"]))


def _read_items(path: Path, item_ids: tuple[str, ...]) -> tuple[ItemTable, tuple[str, ...]]:
    """The catalogue with its text, and notes on items that only one of the two files knows."""
    if not path.exists():
        return ItemTable(item_ids, {}), (f"there is no {path.name}: items have no text",)
    columns, body = _read_table(path, ("item_id",))
    text_columns = [field for field, kind in columns.items() if kind in TEXT_TYPES and field != "item_id"]
    frame = _frame(body, columns, dict.fromkeys(["item_id", *text_columns], "str"))
    _refuse(path, "an empty item_id", frame["item_id"].str.strip() == "")
    _refuse_duplicates(path, frame["item_id"])
    row_of = {item: row for row, item in enumerate(frame["item_id"].tolist())}
    text = {}
    for column in text_columns:
        values = frame[column].tolist()
        text[column] = tuple(values[row_of[item]] if item in row_of else "" for item in item_ids)
    text, marked = _without_markup(text)
    silent = sum(item not in row_of for item in item_ids)
    unused = len(row_of) + silent - len(item_ids)
    counts = {
        f"{silent:,} of {len(item_ids):,} items are not in {path.name}: their text is empty": silent,
        f"{unused:,} items of {path.name} have no interaction: not in the catalogue": unused,
        f"{marked:,} texts of {path.name} held markup, such as tags and entities escaped twice: taken out": marked,
    }
    return ItemTable(item_ids, text), tuple(note for note, count in counts.items() if count)


def _without_markup(text: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], int]:
    """The columns as people read them, and how many cells have changed. Clean cells stay as they are."""
    marked = {
        name: [row for row, cell in enumerate(cells) if markup.is_marked_up(cell)] for name, cells in text.items()
    }
    found = {}
    for name, cells in text.items():
        fresh = {row: markup.plain(cells[row]) for row in marked[name]}
        found[name] = tuple(fresh.get(row, cell) for row, cell in enumerate(cells)) if fresh else cells
    return found, sum(map(len, marked.values()))


def _read_table(path: Path, needed: Iterable[str]) -> tuple[dict[str, str], bytes]:
    """The fields of a file with their types, and its rows: UTF-8, as many cells each as there are fields."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}") from error
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise BenchError(
            f"{path} is not UTF-8 at byte {error.start} (0x{data[error.start]:02x}); save it as UTF-8"
        ) from error
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    header, _, body = data.partition(b"\n")
    body = body.rstrip(b"\n")
    if not data.strip():
        raise BenchError(f"{path} is empty; expected a header with {', '.join(needed)}, and rows")
    columns = _columns(path, header.decode(), needed)
    if not body:
        raise BenchError(f"{path}, line 1: a header and no rows")
    _refuse_ragged(path, body, len(columns))
    return columns, body


def _columns(path: Path, header: str, needed: Iterable[str]) -> dict[str, str]:
    cells = header.split("\t")
    columns = {field: kind for field, _, kind in (cell.partition(":") for cell in cells)}
    for field in needed:
        if field not in columns:
            near = difflib.get_close_matches(field, columns, n=1)
            hint = f"; is '{near[0]}' meant to be '{field}'?" if near else ""
            hint = "; separate columns by tabs, not commas" if len(cells) == 1 and "," in header else hint
            raise BenchError(
                f"{path}, line 1: no column '{field}'; got {', '.join(cells)}; needed {', '.join(needed)}{hint}"
            )
    if len(columns) < len(cells):
        raise BenchError(f"{path}, line 1: a column occurs twice in {', '.join(cells)}")
    for field, kind in columns.items():
        if kind not in TYPES:
            raise BenchError(f"{path}, line 1: column '{field}': {unknown('type', kind, TYPES)}")
    return columns


def _refuse_ragged(path: Path, body: bytes, width: int) -> None:
    """Counted here, for pandas would quietly fill short rows; a NUL would end a cell early."""
    raw = np.frombuffer(body, np.uint8)
    ends = np.append(np.flatnonzero(raw == ord("\n")), len(raw))
    cells = np.diff(np.searchsorted(np.flatnonzero(raw == ord("\t")), ends), prepend=0) + 1
    wrong = np.flatnonzero(cells != width)
    if len(wrong):
        raise BenchError(f"{path}, line {wrong[0] + 2}: {cells[wrong[0]]} cells where the header has {width}")
    if not raw.all():
        line = np.searchsorted(ends, np.flatnonzero(raw == 0)[0]) + 2
        raise BenchError(f"{path}, line {line}: a NUL byte; the file is corrupt or not text")


def _frame(body: bytes, columns: Iterable[str], kinds: Mapping[str, str]) -> pd.DataFrame:
    """The columns named in ``kinds``; every cell is the text that stands there, "NA" and quotation marks included."""
    dtype: dict[Hashable, str] = dict(kinds.items())
    return pd.read_csv(
        io.BytesIO(body),
        sep="\t",
        names=list(columns),
        usecols=list(kinds),
        dtype=dtype,
        index_col=False,
        quoting=csv.QUOTE_NONE,
        na_filter=False,
        skip_blank_lines=False,
        lineterminator="\n",
        low_memory=False,
    )


def _indexed(path: Path, column: pd.Series[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The sorted ids of a categorical column, and each row's rank among them."""
    _refuse(path, f"an empty {column.name}", column.str.strip() == "")
    found = [str(value) for value in column.cat.categories]
    names = sorted(found)
    rank = {name: index for index, name in enumerate(names)}
    return tuple(names), np.array([rank[name] for name in found], np.int64)[column.cat.codes.to_numpy()]


def _times(path: Path, column: pd.Series[str]) -> Times:
    try:
        return numbers(column.to_numpy())
    except UnreadableError as error:
        raise BenchError(f"{path}, line {error.row + 2}: timestamp '{column.iloc[error.row]}'; {error}") from error


def _refuse(path: Path, what: str, bad: pd.Series[bool]) -> None:
    for row in np.flatnonzero(bad.to_numpy())[:1]:
        raise BenchError(f"{path}, line {row + 2}: {what}")


def _refuse_duplicates(path: Path, ids: pd.Series[str]) -> None:
    repeated = ids[ids.duplicated()]
    if len(repeated):
        item = repeated.iloc[0]
        lines = ", ".join(str(row + 2) for row in np.flatnonzero((ids == item).to_numpy())[:5])
        raise BenchError(f"{path}: item_id '{item}' stands on lines {lines}; every item needs exactly one")


def _part_shared_ids(path: Path, log: _Log) -> tuple[_Log, tuple[str, ...]]:
    """Parts users whose ids were merged, as in the circulating copies of Amazon 2014 (Toys: 13 ids hold 50 users).

    These copies number a user's interactions 0, 1, 2, ... instead of dating them, and different accounts with one set
    of items go under one id. Numbers of one user cannot tie, so a tie shows a shared id, and the order of rows tells
    the users apart: each is a run 0, 1, 2, ... Merged, they would hold every item several times and predict it from
    itself.
    Runs of one id are named ``id``, ``id#2``, ... in order of their items, wherever they stand in the file; where
    shuffled rows have lost the runs, nothing can be recovered, and that is an error.
    """
    shared = _shared_users(log)
    shared = shared[~_with_lines_twice(log, shared)]
    if not len(shared):
        return log, ()
    rows = np.flatnonzero(np.isin(log.users, shared))
    rows = rows[np.argsort(log.users[rows], kind="stable")]
    users, times = log.users[rows], log.times[rows]
    starts = times == 0
    broken = ~starts & ((np.diff(users, prepend=-1) != 0) | (np.diff(times, prepend=-1) != 1))
    if broken.any():
        row = rows[np.argmax(broken)]
        raise BenchError(
            f"{path}, line {row + 2}: user_id '{log.user_ids[log.users[row]]}' has several items at one position (time "
            "stamps are positions 0, 1, 2, ...), and no rows in order that would tell several users apart; give each "
            "user an id, and each row of a user a position of its own"
        )
    runs = np.split(rows, np.flatnonzero(starts)[1:])
    note = f"{len(shared):,} user ids stand for {len(runs):,} users: each is a user of its own, named id, id#2, ..."
    return _renamed(log, runs), (note,)


def _shared_users(log: _Log) -> NDArray[np.int64]:
    """Users with ties, in a file whose time stamps are positions 0, 1, 2, ... of nearly every user."""
    order = np.lexsort((log.times, log.users))
    first = np.diff(log.users[order], prepend=-1) != 0
    steps = np.diff(log.times[order], prepend=0)[~first]
    tied = np.unique(log.users[order][~first][steps == 0])
    begins = (log.times[order][first] == 0).mean() if len(order) else 0.0  # a user who lost a row is no other case
    positions = begins >= BEGINNING and len(steps) and np.isin(steps, [0, 1]).mean() >= NUMBERED
    return tied if positions and len(tied) <= SHARED_AT_MOST * len(log.user_ids) else tied[:0]


def _with_lines_twice(log: _Log, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these users tie only because a line stands twice, as careless exports have it.

    Two accounts can share lines as well: those follow one another as runs 0, 1, ... of at least two lines.
    """
    rows = np.flatnonzero(np.isin(log.users, users))
    rows = rows[np.argsort(log.users[rows], kind="stable")]
    fresh = np.diff(log.users[rows], prepend=-1) != 0
    begins = fresh | (log.times[rows] == 0)
    follows = ~begins & (np.diff(log.times[rows], prepend=-1) == 1)
    single = begins & np.append(begins[1:], True)
    odd = np.isin(users, log.users[rows][single | ~(begins | follows) | (fresh & (log.times[rows] != 0))])
    lines = np.unique(np.stack([log.users[rows], log.times[rows].astype(np.int64), log.items[rows]], axis=1), axis=0)
    still_tied = np.unique(lines[:-1][(np.diff(lines[:, :2], axis=0) == 0).all(axis=1)][:, 0])
    return odd & ~np.isin(users, still_tied)


def _renamed(log: _Log, runs: Iterable[NDArray[np.int64]]) -> _Log:
    """The log with one user for each of ``runs`` (arrays of rows)."""
    names, users, seen = list(log.user_ids), log.users.copy(), dict[int, int]()
    for run in sorted(runs, key=lambda run: (log.users[run[0]], log.items[run].tolist())):
        owner = int(log.users[run[0]])
        seen[owner] = seen.get(owner, 0) + 1
        if seen[owner] > 1:
            users[run] = len(names)
            names.append(f"{log.user_ids[owner]}#{seen[owner]}")
    order = sorted(range(len(names)), key=names.__getitem__)
    return _Log(tuple(names[old] for old in order), log.item_ids, np.argsort(order)[users], log.items, log.times)


def _time_order(log: _Log) -> NDArray[np.int64]:
    """Rows by user, then time, then digest; equal rows, which no order can tell apart, stay together."""
    order = by_user_and_time(log.users, log.times)
    positions, groups = ties(order, log.users, log.times)
    rows = order[positions]
    digests = [digest(log.user_ids[log.users[row]], log.item_ids[log.items[row]]) for row in rows]
    order[positions] = rows[np.lexsort((log.items[rows], np.array(digests, np.uint64), groups))]
    return order


def _repeat_note(log: _Log, order: NDArray[np.int64]) -> tuple[str, ...]:
    fields = (log.users, log.items, log.times)
    count = int(np.logical_and.reduce([np.diff(field[order]) == 0 for field in fields]).sum())
    return (f"{count:,} interactions repeat another (same user, item and time): kept",) if count else ()
