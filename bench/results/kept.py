"""What a baseline keeps of a finished run: its state, as one safetensors file, and the catalogue that it scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from bench import tensors
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.files import replacing
from bench.results import digests

STATE = "state.safetensors"
CATALOGUE = "items.parquet"  # columns item (original id) and title

Arrays = dict[str, Any]


def write_state(folder: Path, arrays: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
    """Arrays, all NumPy or all PyTorch, and facts as JSON holds them."""
    tensors.write(folder / STATE, arrays, facts or {}, "the state of a baseline")


def read_state(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays as NumPy, and facts. BenchError where they are corrupt or missing, as in runs of older versions."""
    if not (folder / STATE).is_file():
        raise BenchError(f"'{folder}' holds no state of its baseline; {digests.MISSING}")
    return tensors.read(folder / STATE, "np", "the state of a baseline", digests.HINT)


def write_catalogue(folder: Path, items: ItemTable) -> None:
    """Original ids and titles, in the order of the catalogue."""
    with replacing(folder / CATALOGUE, "the catalogue") as partial:
        pq.write_table(pa.table({"item": list(items.ids), "title": list(items.titles)}), partial)


def read_catalogue(folder: Path) -> tuple[list[str], list[str]]:
    """Original ids and titles of the items that a run scores. BenchError where they are missing or corrupt."""
    path = folder / CATALOGUE
    try:
        table = pq.read_table(path, columns=["item", "title"])
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise BenchError(f"'{path}' is missing or corrupt ({error}); {digests.MISSING}") from error
    return table.column("item").to_pylist(), table.column("title").to_pylist()


@dataclass(frozen=True)
class Overlap:
    """Settings of a baseline that counts, for another catalogue than its own.

    ``same`` says which items of two catalogues are one: those of one id that are called the same, or all of one ``id``.
    """

    same: Literal["title", "id"] = field(default="title", metadata={"transfer": True})


def same_items(items: ItemTable, saved: Path, overlap: Overlap) -> sparse.csr_array:
    """``[items, items of the run]``: 1 where both are one item, by their original id, and by what they are called where
    both say it: two data sets that number their items have ids in common, and no items.

    ``same @ counts`` takes what was counted of an item along to another catalogue. Most pairs of catalogues share
    nothing, and where they do, the other one is not as unseen as it looks: that is what probes are for.
    """
    ids, theirs = read_catalogue(saved)
    row_of = {item: row for row, item in enumerate(ids)}
    mine = items.titles
    found = ((row, row_of[item]) for row, item in enumerate(items.ids) if item in row_of)
    pairs = [
        (row, at)
        for row, at in found
        if overlap.same == "id" or mine[row] == theirs[at] or not (mine[row] and theirs[at])
    ]
    at: NDArray[np.int64] = np.array(pairs, np.int64).reshape(-1, 2)
    return sparse.csr_array((np.ones(len(at), np.float32), (at[:, 0], at[:, 1])), shape=(len(items), len(row_of)))


def matrix_arrays(name: str, matrix: sparse.csr_array) -> Arrays:
    """A sparse matrix as arrays under names that begin with ``name``."""
    shape = np.array(matrix.shape, np.int64)
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": shape}
    return {f"{name}.{part}": np.asarray(array) for part, array in parts.items()}


def matrix_of(name: str, arrays: Mapping[str, Any]) -> sparse.csr_array:
    """The matrix that ``matrix_arrays`` has taken apart."""
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr", "shape"))
    return sparse.csr_array((data, indices, indptr), shape=tuple(shape.tolist()))
