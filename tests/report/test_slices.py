"""Slices: a partition of users by popularity and history length, and the means in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.report.results import load
from bench.report.rows import sections
from bench.report.slices import mean_and_error, normal, sizes, sliced, slicings
from bench.report.table import DASH

Store = Callable[..., Path]


def rewrite(folder: Path, **columns: object) -> None:
    path = folder / "per_user.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_every_user_is_in_one_slice_and_quarters_are_about_equal(store: Store, tmp_path: Path) -> None:
    store("one", users=4000)
    table = load(tmp_path)[0].table
    for slicing in slicings([table]):
        counts = np.bincount(slicing.of(table), minlength=len(slicing.least))
        assert counts.sum() == 4000
        warm = counts[slicing.labels[0] == "0 (cold)" :]
        assert len(warm) == 4
        assert warm.min() > 800


def test_labels_say_what_is_inside(store: Store, tmp_path: Path) -> None:
    popularity = np.repeat([0, 1, 3, 3, 9, 30, 31, 40], 50).astype(np.int32)
    rewrite(store("one"), popularity=popularity, history_length=np.int32(20))
    table = load(tmp_path)[0].table
    by_popularity, by_history = slicings([table])
    assert by_popularity.labels == ["0 (cold)", f"1{DASH}2", f"3{DASH}8", f"9{DASH}30", "31 or more"]
    assert by_history.labels == ["all"]
    assert sizes(table, by_popularity) == f"0 (cold): 50; 1{DASH}2: 50; 3{DASH}8: 100; 9{DASH}30: 100; 31 or more: 100"


def test_means_are_those_of_the_users_inside(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        store("one", seed=seed, quality=0.5)
    (row,) = sections(load(tmp_path))[0].rows
    values = np.mean([cell.values("ndcg@10") for cell in row.cells], axis=0)
    for slicing in slicings([row.first.table]):
        for at, column in enumerate(sliced([row], slicing)):
            inside = values[slicing.of(row.first.table) == at]
            (cell,) = column.cells
            assert cell.value == pytest.approx(inside.mean())
            assert cell.ends is not None
            assert cell.ends[1] - inside.mean() == pytest.approx(1.96 * inside.std(ddof=1) / np.sqrt(len(inside)))
            assert cell.ends[0] >= 0


def test_a_slice_without_users_has_no_value(store: Store, tmp_path: Path) -> None:
    """Two contracts may see histories of different lengths; slices are those of the first row."""
    store("one", quality=0.6)
    rewrite(store("three", quality=0.3, contract={"max_history": 3}), history_length=np.int32(1))
    rows = sections(load(tmp_path))[0].rows
    columns = sliced(rows, slicings([rows[0].first.table])[1])
    assert [column.cells[1].text == DASH for column in columns] == [False, True, True, True]


def test_small_samples() -> None:
    assert mean_and_error(np.empty(0)) == (None, 0.0)
    assert mean_and_error(np.array([0.5])) == (0.5, 0.0)
    assert normal(None, 0.0) is normal(0.5, 0.0) is None
    assert normal(0.5, 0.1) == pytest.approx((0.304, 0.696))
