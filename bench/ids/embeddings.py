"""Vectors of items from a file. Every row says whose it is, by an id beside it or in a list; position says nothing.

- ``.parquet`` with the columns ``item``, the original id, and ``vector``, a list of numbers;
- ``.npy``, ``[rows, width]``, with a list beside it that names the item of each row: ``NAME.ids.txt`` (one id on each
  line), ``NAME.ids.json`` (a list, or a map from ids to row numbers), ``NAME.item2id`` or ``NAME.items.txt``;
- ``.safetensors`` with one tensor ``[rows, width]``, and the ids as a JSON list under ``ids`` in its metadata, or a
  list beside it as above.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import arrays
from bench.data import twins
from bench.data.dataset import ItemTable
from bench.data.formats.mending import of_column
from bench.data.idmaps import LISTED, beside, numbers
from bench.errors import BenchError, counted

Vectors = NDArray[np.float32]
SUFFIXES = (".npy", ".parquet", ".safetensors")
COLUMNS = ("item", "vector")
IDS = "ids"  # in the metadata of a safetensors file
LISTS = "NAME.ids.txt with one id on each line, or NAME.ids.json, NAME.item2id, NAME.items.txt"
AT_ONCE = 1 << 16  # vectors in memory with all digits
FEW = 0.01  # share of items that are one another's double in any catalogue
LARGEST = 3.4e38  # what a float32 holds


@dataclass(frozen=True, eq=False)
class Bound:
    """``vectors [items, width]`` in the order of the catalogue, ``known [items]`` where the file has one, and in a line
    each what a reader of the result should know.
    """

    vectors: Vectors
    known: NDArray[np.bool_]
    warnings: tuple[str, ...]


def is_file(name: str) -> bool:
    """Whether an encoder's name is that of a file of vectors. Encoders are folders, so a file can be nothing else,
    unless it is called as one of bench's own, which have no suffix.
    """
    suffix = Path(name).suffix
    return suffix in SUFFIXES or (bool(suffix) and Path(name).expanduser().is_file())


def digest(name: str) -> str:
    """Of the content of the file, and of the list that names its rows. BenchError where it cannot be read."""
    path = Path(name).expanduser()
    found = hashlib.sha256()
    for file in (path, *filter(None, [_list_of(path)])):
        try:
            found.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise BenchError(f"cannot read item vectors from '{file}': {error.strerror or error}") from error
    return found.hexdigest()


def bound(name: str, items: ItemTable, needed: NDArray[np.bool_] | None = None) -> Bound:
    """The vectors of these items. Rows of other items are skipped and counted.

    Items that are not ``needed`` may have none, which comes out as zeros; by default all are. BenchError where one
    lacks a vector, where an item has two, or where a vector holds anything but finite numbers.
    """
    path = Path(name).expanduser()
    ids, rows = _rows(path)
    _refuse_twice(path, ids)
    row_of = {item: row for row, item in enumerate(ids)}
    known = np.array([item in row_of for item in items.ids], bool)
    _refuse_missing(path, ids, items, known, needed)
    mine = np.array([row_of[item] for item, there in zip(items.ids, known, strict=True) if there])
    vectors = np.zeros((len(items), rows.shape[1]), np.float32)
    vectors[known] = theirs = _finite(path, rows, mine, ids)
    warnings = _warnings(path, digest(name), rows.shape, len(ids) - int(known.sum()))
    same = alike(theirs)
    return Bound(vectors, known, (*warnings, *([f"{same} in '{path.name}'"] if same else [])))


def every(name: str) -> tuple[tuple[str, ...], Vectors]:
    """The item of each row of a file, and the vectors ``[rows, width]``. BenchError as from ``bound``."""
    path = Path(name).expanduser()
    ids, rows = _rows(path)
    _refuse_twice(path, ids)
    return tuple(ids), _finite(path, rows, np.arange(len(ids)), ids)


def alike(vectors: Vectors) -> str:
    """That many items have the vector of another, as where those without a text were filled with zeros; "" for few."""
    counts = Counter(hash(row.tobytes()) for row in vectors)  # the vectors themselves would be all in memory twice
    shared = sum(count for count in counts.values() if count > 1)
    if shared <= len(vectors) * FEW:
        return ""
    commonest = max(counts.values())
    return f"{shared:,} of {counted(len(vectors), 'item')} share their vector with another, {commonest:,} one of them"


def _refuse_twice(path: Path, ids: Sequence[str]) -> None:
    twice = [item for item, count in Counter(ids).items() if count > 1]
    if twice:
        raise BenchError(f"'{path}' has item '{twice[0]}' twice; every item needs one vector")


def _rows(path: Path) -> tuple[Sequence[str], NDArray[Any]]:
    """The item of each row, and the rows ``[rows, width]`` as they are stored."""
    readers = {".npy": _npy, ".parquet": _parquet, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise BenchError(f"item vectors come from {', '.join(SUFFIXES)}; got '{path}'")
    try:
        ids, rows = readers[path.suffix](path)
    except BenchError:
        raise
    except Exception as error:  # Arrow, NumPy and safetensors have families of their own
        cause = " ".join(str(error).split())[:160]
        raise BenchError(f"cannot read item vectors from '{path}' ({type(error).__name__}: {cause})") from error
    if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "fiu":
        raise BenchError(f"'{path}' must hold numbers [rows, width]; got {rows.dtype} {list(rows.shape)}")
    return ids if ids is not None else _named(path, len(rows)), rows


def _npy(path: Path) -> tuple[None, NDArray[Any]]:
    return None, arrays.read(np.memmap(path, np.uint8, "r"))


def _parquet(path: Path) -> tuple[Sequence[str], NDArray[Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if not set(COLUMNS) <= set(table.column_names) or not len(table):
        raise BenchError(
            f"'{path}' must have the columns {' and '.join(COLUMNS)} and a row; got {', '.join(table.column_names)}"
        )
    ids = of_column(path, "item", table["item"])
    return ids, _stacked(table["vector"])


def _stacked(column: Any) -> NDArray[Any]:
    """``[rows, width]`` of a column of lists, without a Python object for each number. ValueError where a number is
    missing, or one list is longer than another.
    """
    import pyarrow.compute as pc

    widths, numbers = pc.unique(pc.list_value_length(column)).to_pylist(), pc.list_flatten(column)
    if len(widths) != 1 or widths[0] is None or numbers.null_count:
        raise ValueError("vectors differ in length, or lack a number")
    return np.asarray(numbers.to_numpy()).reshape(len(column), widths[0])


def _safetensors(path: Path) -> tuple[Sequence[str] | None, NDArray[Any]]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        names, told = list(file.keys()), file.metadata() or {}
        if len(names) != 1:
            raise BenchError(f"'{path}' must hold one tensor; got {', '.join(names) or 'none'}")
        rows = file.get_tensor(names[0])
    ids = json.loads(told[IDS]) if IDS in told else None
    if ids is not None and (not isinstance(ids, list) or len(ids) != len(rows)):
        raise BenchError(f"'{path}' must have a list of {len(rows):,} ids in its metadata under '{IDS}'")
    return None if ids is None else [str(item) for item in ids], rows


def _list_of(path: Path) -> Path | None:
    return None if path.suffix == ".parquet" else beside(path, LISTED)


def _named(path: Path, count: int) -> list[str]:
    """The item of each row, from the list beside a file. BenchError where there is none, or it names other rows."""
    source = _list_of(path)
    if source is None:
        raise BenchError(
            f"'{path}' does not name the items of its {counted(count, 'row')}, and bench assumes no order; "
            f"put {LISTS} beside it, or give a .parquet with the columns {' and '.join(COLUMNS)}"
        )
    known = numbers(source)
    if set(known) != {str(row) for row in range(count)}:
        raise BenchError(
            f"'{path}' has {counted(count, 'row')}, but '{source}' names {len(known):,}, numbered {_range(known)}; "
            f"both must be of the same rows, numbered 0 to {count - 1:,}"
        )
    return [known[str(row)] for row in range(count)]


def _range(known: dict[str, str]) -> str:
    rows = [int(number) for number in known if number.isdecimal() and len(number) < 20]
    return f"{min(rows):,} to {max(rows):,}" if rows else "otherwise"


def _refuse_missing(
    path: Path, ids: Sequence[str], items: ItemTable, known: NDArray[np.bool_], needed: NDArray[np.bool_] | None
) -> None:
    missing = np.flatnonzero(~known if needed is None else ~known & needed)
    near = twins.nearly([items.ids[item] for item in missing], ids)
    if not known.any():
        raise BenchError(
            f"none of the {counted(len(ids), 'row')} of '{path}' is of an item of the catalogue: "
            + (near or f"ids are '{ids[0]}' there, '{items.ids[0]}' here")
        )
    if len(missing):
        whose = "" if needed is None else " with training interactions"
        raise BenchError(
            f"'{path}' has no vector of {counted(len(missing), 'item')}{whose}, the first is '{items.ids[missing[0]]}'"
            f"{near and f'; {near}'}"
        )


def _finite(path: Path, rows: NDArray[Any], mine: NDArray[np.intp], ids: Sequence[str]) -> Vectors:
    found, wrong = np.empty((len(mine), rows.shape[1]), np.float32), list[int]()
    for start in range(0, len(mine), AT_ONCE):
        with np.errstate(invalid="ignore"):  # what is not finite is told below
            vectors = np.asarray(rows[mine[start : start + AT_ONCE]], np.float64)
        bad = ~(np.isfinite(vectors) & (np.abs(vectors) <= LARGEST)).all(axis=1)
        wrong += (start + np.flatnonzero(bad)).tolist()
        with np.errstate(over="ignore", invalid="ignore"):
            found[start : start + AT_ONCE] = vectors
    if wrong:
        raise BenchError(
            f"'{path}' holds a vector that is not finite for {counted(len(wrong), 'item')}, the first is "
            f"'{ids[mine[wrong[0]]]}'"
        )
    return found


def _warnings(path: Path, content: str, shape: tuple[int, ...], strangers: int) -> tuple[str, ...]:
    """Where vectors come from. Nothing in a file says what its encoder was trained on."""
    origin = (
        f"item vectors come from the file '{path.name}' (SHA-256 {content[:12]}, {shape[0]:,} x {shape[1]:,}): whether "
        "their encoder may have seen test interactions is unknown"
    )
    return (origin, f"{counted(strangers, 'row')} of '{path.name}' skipped, being of no item of the catalogue")[
        : 1 + bool(strangers)
    ]
