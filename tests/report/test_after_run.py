"""The end of a run: what it came to, best first, beside what it may be compared with, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.report.after_run import OTHERS, AfterRun, after_run, clock
from bench.report.rows import sections
from bench.report.table import Cell
from bench.results.read import load

Store = Callable[..., Path]


def cells(found: AfterRun, table: int = 0) -> dict[str, dict[str, Cell]]:
    made = found.tables[table]
    titles = [column.title for column in made.columns]
    return {head.text: dict(zip(titles, rest, strict=True)) for head, *rest in made.rows}


def test_best_first_beside_what_is_comparable_alone(store: Store, tmp_path: Path) -> None:
    ran = [store("a", quality=0.2, seed=seed) for seed in (0, 1)]
    store("b", quality=0.5)
    store("pop", kind="baseline", quality=0.05)
    store("c", quality=0.6, contract={"epochs": 99})  # another contract
    store("d", quality=0.6, dataset="beauty")
    store("e", quality=0.6, fingerprint="ffff")  # other data of this name
    store("a", quality=0.6, version=2)  # other code
    found = cells(after_run(tmp_path, ran))
    assert list(found) == ["b", "a", "pop"]
    assert [row["run"].text for row in found.values()] == ["earlier", "now", "earlier"]


def test_scores_are_means_over_users_and_seeds_and_times_those_of_a_seed(store: Store, tmp_path: Path) -> None:
    ran = [store("a", quality=0.3, seed=seed) for seed in (0, 1)]
    (row,) = cells(after_run(tmp_path, ran)).values()
    ranks = [pd.read_parquet(folder / "per_user.parquet")["rank"] for folder in ran]
    hits = [float((rank <= 10).fillna(False).mean()) for rank in ranks]
    assert row["Hit@10"].text == f"{sum(hits) / 2:.4f}"
    low, high = (float(part) for part in re.split("\N{EN DASH}", row["95 % interval"].text))
    assert 0 <= low < float(row["NDCG@10"].text) < high <= 1
    assert row["time"].text == clock(6.31 + 1312.5 + 95.5)
    assert "run" not in row  # there is nothing earlier


def test_intervals_are_those_of_the_report(store: Store, tmp_path: Path) -> None:
    """Which knows of the seeds of every contract that a baseline agrees with."""
    costs: dict[str, Any] = {"id_construction_seconds": 0.0, "training_seconds": 9.0}
    costs |= {"inference_seconds_per_1000_users": 1.0, "peak_memory_mb": None, "parameters": 1000}
    for seed in (0, 1, 2):
        store("a", seed=seed, quality=0.3)
        store("b", seed=seed, quality=0.4, contract={"epochs": 99})
    ran = [store("sasrec", kind="baseline", quality=0.5, training={"epochs": 1}, costs=costs)]
    shown = cells(after_run(tmp_path, ran))
    (section,) = sections(load(tmp_path))
    for row in section.rows:
        if row.label in shown:
            low, high = row.estimate("ndcg@10").interval or (0.0, 0.0)
            assert shown[row.label]["95 % interval"].text == f"{low:.4f}\N{EN DASH}{high:.4f}"


def test_a_baseline_alone_stands_beside_the_newest_contract_that_it_agrees_with(store: Store, tmp_path: Path) -> None:
    store("old", contract={"epochs": 99}, created="2026-11-20T09:00:00+00:00")
    store("new", quality=0.3)
    ran = [store("pop", kind="baseline", quality=0.05)]
    assert list(cells(after_run(tmp_path, ran))) == ["new", "pop"]


def test_each_contract_and_data_set_has_a_table(store: Store, tmp_path: Path) -> None:
    ran = [store("a"), store("a", contract={"epochs": 99}), store("a", dataset="beauty")]
    ran.append(store("pop", kind="baseline"))
    found = after_run(tmp_path, ran)
    assert [table.title for table in found.tables] == ["beauty", "toys", "toys"]
    assert sorted(len(table.head.cells) for table in found.tables) == [1, 2, 2]
    assert all(row["run"].text == "now" for at in range(3) for row in cells(found, at).values() if "run" in row)


def test_of_many_others_the_best_are_shown(store: Store, tmp_path: Path) -> None:
    for number in range(OTHERS + 2):
        store(f"other{number:02d}", quality=0.3, users=60)
    found = after_run(tmp_path, [store("mine", quality=0.01, users=60)])
    assert list(cells(found))[-1] == "mine"
    assert len(cells(found)) == OTHERS + 1
    assert [note.text for note in found.tables[0].notes if note.title == "more"] == [
        "2 earlier rows below these are in the report"
    ]


def test_a_broken_run_beside_it_does_no_harm(store: Store, tmp_path: Path) -> None:
    (store("b") / "per_user.parquet").write_bytes(b"nothing")
    (store("c") / "result.json").write_text("{")
    assert list(cells(after_run(tmp_path, [store("a")]))) == ["a"]


@pytest.mark.parametrize(("kind", "training", "said"), [("scheme", {}, True), ("baseline", None, False)])
def test_smoke_says_that_its_scores_mean_nothing(
    store: Store, tmp_path: Path, kind: str, training: dict[str, Any] | None, said: bool
) -> None:
    """What only counts has the same scores under every preset."""
    folder = store("a", kind=kind, preset="smoke", training=training)
    assert json.loads((folder / "result.json").read_text())["preset"] == "smoke"
    assert ("mean nothing" in after_run(tmp_path, [folder]).banner) == said


def test_marks_are_those_of_reports(store: Store, sealed: Callable[[Path], None], tmp_path: Path) -> None:
    folder = store("markov", kind="baseline")
    stored = json.loads((folder / "result.json").read_text())
    stored["scheme"]["probe"] = True
    (folder / "result.json").write_text(json.dumps(stored))
    found = after_run(tmp_path, [folder, store("numeric/p5-leak", leaks=True)])
    assert {name.partition(" (")[0] for name in cells(found)} == {"markov", "numeric/p5-leak"}
    assert "markov (probe)" in cells(found)
    assert {"probe", "leaks"} <= {note.title for note in found.tables[0].notes}


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723.2, "1:02:03")])
def test_a_time_reads_as_a_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said
