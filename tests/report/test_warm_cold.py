"""The table of warm and cold items: whose means and intervals stand in it, and when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.evaluation.metrics import Ranks, per_user, summaries
from bench.report.rows import Row, sections
from bench.report.table import DASH
from bench.report.tables import chapters
from bench.report.warm_cold import beneath, told_apart, warm_cold
from bench.results import digests
from bench.results.read import load
from tests.evaluation.intervals import interval

Store = Callable[..., Path]


def tell_apart(folder: Path, cold: bool = True, warm_items: int = 11_000) -> None:
    """Stores what a run would on warm and, unless there is too little of it, on cold items: every fifth target."""
    table, stored = pd.read_parquet(folder / "per_user.parquet"), json.loads((folder / "result.json").read_text())
    table["cold"] = np.arange(len(table)) % 5 == 0
    random = np.random.default_rng(7)
    for kind, members in (("warm", ~table["cold"]), ("cold", table["cold"])):
        ranks = np.where(random.random(len(table)) < 0.5, random.integers(1, 15, len(table)), np.inf)
        table[f"{kind}_rank"] = pd.array(np.where(members & np.isfinite(ranks), ranks, np.nan), dtype="Int32")
        seen = Ranks.of_items(ranks[members])
        sizes = {"items": warm_items if kind == "warm" else 924, "users": len(seen), "targets": len(seen)}
        stored["item_groups"][kind] = {**sizes, "metrics": summaries(seen, complete=False)}
    if not cold:
        del stored["item_groups"]["cold"]
        del table["cold_rank"]
    table.to_parquet(folder / "per_user.parquet")
    seal(folder, stored)


def seal(folder: Path, stored: dict[str, Any]) -> None:
    """Write result.json anew, with the digest of the table as it is now."""
    stored["files"]["per_user.parquet"] = digests.of_file(folder / "per_user.parquet")
    (folder / "result.json").write_text(json.dumps(stored))


def rows_of(results: Path) -> tuple[Row, ...]:
    return sections(load(results))[0].rows


def test_values_and_intervals_are_those_of_the_users_of_a_kind(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        tell_apart(store("one", seed=seed, quality=0.4))
    (row,) = rows_of(tmp_path)
    by_title = {column.title: column.cells[0] for column in warm_cold([row])}
    assert list(by_title) == [f"{metric}@10 {kind}" for metric in ("NDCG", "Hit") for kind in ("all", "warm", "cold")]
    for kind, users in (("warm", 320), ("cold", 80)):
        frames = [pd.read_parquet(run.folder / "per_user.parquet").sort_values("user") for run in row.runs]
        ranks = [frame[f"{kind}_rank"][frame["cold"] == (kind == "cold")] for frame in frames]
        for title, name in (("NDCG@10", "ndcg@10"), ("Hit@10", "hit@10")):
            values = np.stack([per_user(one.to_numpy(float, na_value=np.inf), name) for one in ranks])
            cell = by_title[f"{title} {kind}"]
            assert values.shape == (2, users)
            assert cell.value == pytest.approx(values.mean())
            scores, (low, high) = values.mean(axis=1), interval(values.mean(axis=0))
            reach = stats.t.ppf(0.975, 1) * scores.std(ddof=1) / np.sqrt(2)
            wide = (
                scores.mean() - np.hypot(scores.mean() - low, reach),
                scores.mean() + np.hypot(high - scores.mean(), reach),
            )
            assert cell.ends == pytest.approx(np.clip(wide, 0, 1))
            assert cell.sd == pytest.approx(values.mean(axis=1).std(ddof=1))
            assert str(cell.source).endswith(
                f"result.json:item_groups.{kind}.metrics.strict.{name}, per_user.parquet:{kind}_rank"
            )
    whole = row.estimate("ndcg@10")
    assert (by_title["NDCG@10 all"].value, by_title["NDCG@10 all"].ends) == (whole.value, whole.interval)
    sizes = "warm: 11,000 items, 320 targets of 320 users; cold: 924 items, 80 targets of 80 users"
    assert sizes in [note.text for note in beneath([row])]


def test_a_kind_that_was_not_measured_is_a_dash(store: Store, tmp_path: Path) -> None:
    tell_apart(store("one"))
    tell_apart(store("three"), cold=False)
    store("seventh")  # from before the item_groups were told apart
    rows = rows_of(tmp_path)
    texts = {row.label: [column.cells[at].text for column in warm_cold(rows)] for at, row in enumerate(rows)}
    dashes = {label: [text == DASH for text in seen] for label, seen in texts.items()}
    assert dashes["one"] == [False] * 6
    assert dashes["three"] == [False, False, True] * 2
    assert dashes["seventh"] == [False, True, True] * 2
    meaning = {note.title: note.text for note in beneath(rows)}["warm and cold"]
    assert "fewer than 20 items, or where the run is older than this measure" in meaning


def test_chance_is_what_a_random_order_of_the_kind_reaches(store: Store, tmp_path: Path) -> None:
    tell_apart(store("one"), warm_items=48)
    random = np.random.default_rng(0)
    drawn = np.mean([random.permutation(48)[:10].__contains__(7) for _ in range(20_000)])
    said = {note.title: note.text for note in beneath(rows_of(tmp_path))}["chance"]
    assert said == "Hit@10 of a random order of the items of a kind: warm 0.2083; cold 0.0108"
    assert drawn == pytest.approx(0.2083, abs=0.01)


def test_chance_is_never_above_one(store: Store, tmp_path: Path) -> None:
    tell_apart(store("one"), warm_items=9)
    assert "warm 1.0000" in {note.title: note.text for note in beneath(rows_of(tmp_path))}["chance"]


def test_there_is_no_table_where_all_items_are_warm(store: Store, tmp_path: Path) -> None:
    tell_apart(store("one"), cold=False, warm_items=11_924)
    store("two", kind="baseline")
    assert not any(told_apart(row) for row in rows_of(tmp_path))
    (chapter,) = chapters(load(tmp_path))
    assert "warm-cold" not in [table.name for table in chapter.tables]
    tell_apart(store("three"))
    (chapter,) = chapters(load(tmp_path))
    assert "warm-cold" in [table.name for table in chapter.tables]


def test_ranks_of_another_run_are_noticed(store: Store, tmp_path: Path) -> None:
    folder = store("one")
    tell_apart(folder)
    table = pd.read_parquet(folder / "per_user.parquet")
    table.assign(cold_rank=table["cold_rank"].fillna(1)).to_parquet(folder / "per_user.parquet")
    seal(folder, json.loads((folder / "result.json").read_text()))
    with pytest.raises(BenchError, match="contradicts itself: cold hit@1 is"):
        _ = load(tmp_path)[0].table
