"""A data set written as RecBole atomic files: UTF-8, tab separated and unquoted, under a header of ``field:type``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.files import atomic_write

AT_ONCE = 1_000_000  # lines


def write_atomic(dataset: Dataset, folder: Path) -> None:
    """Writes ``<folder>/<dataset.name>.inter`` and ``.item``, each whole or not at all.

    ``read_atomic`` gives the same data set back where every item and user has an interaction and ties in time stand in
    their documented order, as in everything it has read itself.
    """
    path = folder / f"{dataset.name}.inter"
    for name in (*dataset.users, *dataset.items.ids):
        _plain(path, name)
    catalogue = zip(dataset.items.ids, *dataset.items.text.values(), strict=True)
    text_fields = [f"{column}:token_seq" for column in dataset.items.text]
    with writing(path) as file:
        file.write(b"user_id:token\titem_id:token\ttimestamp:float\n")
        for start in range(0, len(dataset.times), AT_ONCE):
            file.write(_lines(dataset, slice(start, start + AT_ONCE)))
    _write(folder / f"{dataset.name}.item", ["item_id:token", *text_fields], catalogue)


def _written(time: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(time)) if float(time).is_integer() else repr(time)


def _lines(dataset: Dataset, rows: slice) -> bytes:
    """Lines of interactions: joined by Arrow, which keeps twenty million of them from being Python objects."""
    sequences, times = dataset.sequences, dataset.times[rows]
    positions = np.arange(len(dataset.times), dtype=np.int64)[rows]
    user_rows = np.searchsorted(sequences.offsets, positions, side="right") - 1
    stamps = (
        pa.array(times).cast(pa.string()) if times.dtype.kind == "i" else pa.array(list(map(_written, times.tolist())))
    )
    cells = (pa.array(dataset.users).take(user_rows), pa.array(dataset.items.ids).take(sequences.values[rows]), stamps)
    return joined_lines(*cells)


def joined_lines(*cells: pa.Array) -> bytes:
    """Columns of text as tab separated lines."""
    joined = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, "\t"), "", "\n")
    ends = np.frombuffer(joined.buffers()[1], np.int32)
    return bytes(joined.buffers()[2])[ends[0] : ends[len(joined)]]


def _write(path: Path, header: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    with writing(path) as file:
        for row in [header, *rows]:
            file.write(("\t".join(_plain(path, cell) for cell in row) + "\n").encode())


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """The file open for writing, whole or not at all. BenchError where the system refuses."""
    try:
        with atomic_write(path) as partial, partial.open("wb") as file:
            yield file
    except OSError as error:
        raise BenchError(f"{path} cannot be written: {error.strerror}") from error


def _plain(path: Path, cell: str) -> str:
    if not {"\t", "\n", "\r", "\0"}.isdisjoint(cell):
        raise BenchError(f"{path}: {cell!r} holds a tab, a line break or a NUL, which atomic files cannot store")
    return cell
