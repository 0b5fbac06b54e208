"""Vectors of items that know who chose them: from a file the user gives, and what is done about items nobody chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError

Vectors = NDArray[np.float32]
Cold = Literal["semantic", "zero", "mean"]
COLUMNS = ("item", "vector")


def trained_items(train: TrainView) -> NDArray[np.bool_]:
    """``[items]``: which of them occur in a training sequence."""
    found = np.zeros(len(train.items), bool)
    found[train.sequences.values] = True
    return found


def read_vectors(path: Path, items: ItemTable, trained: NDArray[np.bool_]) -> Vectors:
    """``[items, width]`` from a file: ``.npy`` with a row for each catalogue item in order, or ``.parquet`` with
    columns ``item``, the original id, and ``vector``, a list of numbers.

    A Parquet file may leave out items without training interactions, which come out as zeros. BenchError where rows
    are missing, belong to no item, come twice, or hold anything but finite numbers.
    """
    try:
        vectors = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _by_id(path, items, trained)
    except BenchError:
        raise
    except Exception as error:  # Arrow, NumPy and pandas have families of their own
        cause = " ".join(str(error).split())[:160]
        raise BenchError(f"cannot read item vectors from '{path}' ({type(error).__name__}: {cause})") from error
    _check(path, vectors, items)
    return vectors.astype(np.float32)


def _by_id(path: Path, items: ItemTable, trained: NDArray[np.bool_]) -> NDArray[Any]:
    if path.suffix != ".parquet":
        raise BenchError(f"item vectors come from a .npy or a .parquet file; got '{path}'")
    table = pd.read_parquet(path)
    if not set(COLUMNS) <= set(table.columns) or not len(table):
        raise BenchError(f"'{path}' must have columns item and vector and a row; got {', '.join(table.columns)}")
    names, place = table["item"].astype(str), {name: index for index, name in enumerate(items.ids)}
    unknown = names[~names.isin(place)]
    if len(unknown):
        raise BenchError(f"'{path}' has vectors of {len(unknown):,} unknown items, the first is '{unknown.iloc[0]}'")
    if names.duplicated().any():
        raise BenchError(f"'{path}' has item '{names[names.duplicated()].iloc[0]}' twice")
    rows = names.map(place).to_numpy(np.int64)
    missing = np.setdiff1d(np.flatnonzero(trained), rows)
    if len(missing):
        raise BenchError(
            f"'{path}' has no vector of {len(missing):,} items with training interactions, "
            f"the first is '{items.ids[missing[0]]}'"
        )
    given = np.stack([np.asarray(vector, np.float64) for vector in table["vector"]])
    vectors = np.zeros((len(items), given.shape[1]))
    vectors[rows] = given
    return vectors


def _check(path: Path, vectors: NDArray[Any], items: ItemTable) -> None:
    if vectors.ndim != 2 or len(vectors) != len(items) or vectors.dtype.kind not in "fiu":
        raise BenchError(
            f"'{path}' must hold numbers [{len(items)} items, width], a row for each item of the catalogue; "
            f"got {vectors.dtype} {list(vectors.shape)}"
        )
    wrong = ~np.isfinite(vectors.astype(np.float32)).all(axis=1)
    if wrong.any():
        raise BenchError(
            f"'{path}' holds a vector that is not finite for {wrong.sum():,} items, "
            f"the first is '{items.ids[wrong.argmax()]}'"
        )


def settled(vectors: Vectors, trained: NDArray[np.bool_], cold: Cold) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors of a mean square of 1, and which items are known, under a policy for those without a training
    interaction, whose vectors mean nothing: ``mean`` of the others, ``zero``, or unknown (``semantic``).

    The scale is one number for all, which the linear layer over the vectors could undo.
    """
    vectors = vectors / max(float(np.sqrt(np.square(vectors[trained]).mean())), 1e-12)
    vectors[~trained] = vectors[trained].mean(axis=0) if cold == "mean" else 0
    known = trained.copy() if cold == "semantic" else np.ones(len(vectors), bool)
    return vectors.astype(np.float32), known
