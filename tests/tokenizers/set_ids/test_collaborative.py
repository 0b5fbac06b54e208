"""Vectors from a file, every way a file can be wrong, and items that nobody chose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from set_ids.collaborative import read_vectors, settled, trained_items

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError

ITEMS = ItemTable(("a", "b", "c"), {})
TRAINED = np.array([True, True, False])
VECTORS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)


def parquet(path: Path, names: list[str], vectors: Any) -> Path:
    pd.DataFrame({"item": names, "vector": list(vectors)}).to_parquet(path)
    return path


def test_rows_come_in_catalogue_order_or_by_item(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS.astype(np.float64))
    assert np.array_equal(read_vectors(tmp_path / "v.npy", ITEMS, TRAINED), VECTORS)
    path = parquet(tmp_path / "v.parquet", ["c", "a", "b"], VECTORS[[2, 0, 1]])
    assert np.array_equal(read_vectors(path, ITEMS, TRAINED), VECTORS)
    path = parquet(tmp_path / "w.parquet", ["b", "a"], VECTORS[[1, 0]])
    assert np.array_equal(read_vectors(path, ITEMS, TRAINED), VECTORS * [[1], [1], [0]])


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (VECTORS[:2], "must hold numbers [3 items, width], a row for each item of the catalogue; got float32 [2, 2]"),
        (VECTORS[:, 0], "got float32 [3]"),
        (np.array([["x"]] * 3), "must hold numbers"),
        (VECTORS * [[1], [np.nan], [1]], "a vector that is not finite for 1 items, the first is 'b'"),
        (VECTORS * [[1], [1], [1e300]], "a vector that is not finite for 1 items, the first is 'c'"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_rows_that_are_no_vectors_of_items(tmp_path: Path, vectors: Any, said: str) -> None:
    np.save(tmp_path / "v.npy", vectors)
    with pytest.raises(BenchError, match=re.escape(said)):
        read_vectors(tmp_path / "v.npy", ITEMS, TRAINED)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b", "x"], "has vectors of 1 unknown items, the first is 'x'"),
        (["a", "b", "a"], "has item 'a' twice"),
        (["a", "c"], "has no vector of 1 items with training interactions, the first is 'b'"),
    ],
)
def test_names_that_do_not_fit_the_catalogue(tmp_path: Path, names: list[str], said: str) -> None:
    path = parquet(tmp_path / "v.parquet", names, VECTORS[: len(names)])
    with pytest.raises(BenchError, match=re.escape(said)):
        read_vectors(path, ITEMS, TRAINED)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    pd.DataFrame({"item": ["a"], "x": [1]}).to_parquet(tmp_path / "x.parquet")
    (tmp_path / "bad.parquet").write_text("nothing")
    np.save(tmp_path / "object.npy", np.array([{}, {}, {}], object), allow_pickle=True)
    ragged = parquet(tmp_path / "ragged.parquet", ["a", "b"], [[1.0], [1.0, 2.0]])
    for path, said in (
        (tmp_path / "x.parquet", "must have columns item and vector and a row; got item, x"),
        (tmp_path / "bad.parquet", "cannot read item vectors from"),
        (tmp_path / "object.npy", "cannot read item vectors from"),
        (ragged, "cannot read item vectors from"),
        (tmp_path / "absent.npy", "cannot read item vectors from"),
        (tmp_path / "v.pkl", "item vectors come from a .npy or a .parquet file"),
    ):
        with pytest.raises(BenchError, match=said):
            read_vectors(path, ITEMS, TRAINED)


def test_items_that_nobody_chose_follow_the_policy() -> None:
    scale = np.sqrt(np.square(VECTORS[:2]).mean())
    for cold, last, known in (("zero", [0, 0], True), ("mean", [2, 3] / scale, True), ("semantic", [0, 0], False)):
        vectors, found = settled(VECTORS, TRAINED, cold)  # type: ignore[arg-type]
        assert np.allclose(vectors[:2], VECTORS[:2] / scale)
        assert np.allclose(vectors[2], last)
        assert found.tolist() == [True, True, known]
    raw, _ = settled(VECTORS, TRAINED, "mean", "raw")
    assert raw.tolist() == [[1, 2], [3, 4], [2, 3]]
    assert VECTORS[2].tolist() == [5, 6]  # what is given is left alone
    view = TrainView("t", ITEMS, Sequences.from_rows([[0, 1], [1]]), seed=0)
    assert trained_items(view).tolist() == TRAINED.tolist()
