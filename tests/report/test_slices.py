"""Slices: a partition of users by popularity and history length, and the means in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.report.rows import sections
from bench.report.slices import mean_and_error, normal, sizes, sliced, slicings
from bench.report.table import DASH
from bench.results import digests
from bench.results.read import load

Store = Callable[..., Path]


def rewrite(folder: Path, **columns: object) -> None:
    path = folder / "per_user.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)
    stored = json.loads((folder / "result.json").read_text())
    stored["files"][path.name] = digests.of_file(path)
    (folder / "result.json").write_text(json.dumps(stored))


def test_every_user_is_in_one_slice_and_quarters_are_about_equal(store: Store, tmp_path: Path) -> None:
    store("one", users=4000)
    table = load(tmp_path)[0].table
    for slicing in slicings([table]):
        counts = np.bincount(slicing.of(table), minlength=len(slicing.least))
        assert counts.sum() == 4000
        assert len(slicing.labels) == len(counts)
        if slicing.names:
            continue
        warm = counts[slicing.labels[0] == "0 (cold)" :]
        assert len(warm) == 4
        assert warm.min() > 800


def test_labels_say_what_is_inside(store: Store, tmp_path: Path) -> None:
    popularity = np.repeat([0, 1, 3, 3, 9, 30, 31, 40], 50).astype(np.int32)
    rewrite(store("one"), popularity=popularity, interactions_before=np.int32(20))
    table = load(tmp_path)[0].table
    by_popularity, by_history, *_ = slicings([table])
    assert by_popularity.labels == ["0 (cold)", f"1{DASH}2", f"3{DASH}8", f"9{DASH}30", "31 or more"]
    assert by_history.labels == ["all"]
    assert sizes(table, by_popularity) == f"0 (cold): 50; 1{DASH}2: 50; 3{DASH}8: 100; 9{DASH}30: 100; 31 or more: 100"


def test_means_are_those_of_the_users_inside(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        store("one", seed=seed, quality=0.5)
    (row,) = sections(load(tmp_path))[0].rows
    values = np.mean([run.values("ndcg@10") for run in row.runs], axis=0)
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
    rewrite(store("three", quality=0.3, contract={"max_history": 3}), interactions_before=np.int32(1))
    rows = sections(load(tmp_path))[0].rows
    columns = sliced(rows, slicings([rows[0].first.table])[1])
    assert [column.cells[1].text == DASH for column in columns] == [False, True, True, True]


def test_histories_are_sliced_by_all_that_came_before(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path
) -> None:
    """What is shown is capped at 20, which nearly everybody has on some data; older results know no more."""
    before = np.repeat([5, 30, 90, 300], 100).astype(np.int32)
    rewrite(store("one"), history_length=np.minimum(before, 20), interactions_before=before)
    table = load(tmp_path)[0].table
    whole = slicings([table])[1]
    assert whole.labels == ["up to 29", f"30{DASH}89", f"90{DASH}299", "300 or more"]
    assert np.bincount(whole.of(table)).tolist() == [100] * 4
    path = store("old", quality=0.2) / "per_user.parquet"
    pd.read_parquet(path).drop(columns="interactions_before").to_parquet(path)
    sealed(path.parent)
    tables = [result.table for result in load(tmp_path)]
    assert slicings(tables)[1].title == "length of the history shown"
    assert slicings([tables[1]])[1].title == "length of the history"


def test_users_are_told_apart_by_how_the_target_stands_to_the_newest_item(store: Store, tmp_path: Path) -> None:
    seen = np.arange(400) % 4 == 0
    rewrite(store("one", quality=0.5), transition_seen=seen, tied=False)
    (row,) = sections(load(tmp_path))[0].rows
    found = {slicing.name: slicing for slicing in slicings([row.first.table])}
    assert list(found) == [
        "popularity",
        "history",
        "transition",
        "direction",
    ]  # nobody's target is tied: nothing to say
    columns = sliced([row], found["transition"])
    assert [column.title for column in columns] == ["unseen (generalization)", "seen (memorization)"]
    users = np.array([int(user.removeprefix("user")) for user in row.first.table.users])
    values, memorized = row.first.values("ndcg@10"), users % 4 == 0
    assert [column.cells[0].value for column in columns] == pytest.approx(
        [values[~memorized].mean(), values[memorized].mean()]
    )


def test_what_one_run_does_not_hold_is_not_sliced_by(store: Store, tmp_path: Path) -> None:
    rewrite(store("one"), ascends=pd.NA)
    store("two")
    tables = [result.table for result in load(tmp_path)]
    assert "direction" not in [slicing.name for slicing in slicings(tables)]
    assert "direction" in [slicing.name for slicing in slicings(tables[1:])]


def test_small_samples() -> None:
    assert mean_and_error(np.empty(0)) == (None, 0.0)
    assert mean_and_error(np.array([0.5])) == (0.5, 0.0)
    assert normal(None, 0.0) is normal(0.5, 0.0) is None
    assert normal(0.5, 0.1) == pytest.approx((0.304, 0.696))
