"""Whole runs under the global-time split: several targets of a user, warm and cold items, and what the report says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.dataset import Dataset, Sequences
from bench.data.formats import read_atomic, write_atomic
from bench.data.global_time import global_time
from bench.evaluation import multi_target
from bench.results import read as results
from bench.results.schema import SCHEMA

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


@pytest.fixture(scope="module")
def dated_folder(dated: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "dated"
    write_atomic(dated, folder)
    return folder


@pytest.fixture(scope="module")
def ratio(tiny: Path, dated_folder: Path) -> list[str]:
    """Options of a run of a second."""
    changed = [f"backbone={tiny}", "batch_size=32", "epochs=2", "validate_every=1"]
    return [
        "--dataset",
        str(dated_folder),
        "--preset",
        "smoke",
        "--split",
        "global-temporal",
        *(f"--set={x}" for x in changed),
    ]


@pytest.fixture(scope="module")
def made(bench: Bench, ratio: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a scheme and a baseline."""
    place = tmp_path_factory.mktemp("ratio")
    done = bench("run", "--id-scheme=textual", "--baseline=pop", *ratio, "--results", place)
    assert done.code == 0, done.err
    return place


@pytest.fixture(scope="module")
def run_folder(made: Path, run_folders: RunFolders) -> Path:
    return next(path for path in run_folders(made) if "textual" in str(path))


def stored(run_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_folder / "result.json").read_text())
    return found


def test_a_line_for_every_target_of_every_user(run_folder: Path, dated_folder: Path) -> None:
    data = read_atomic(dated_folder)
    split = global_time(data)
    table, test = pd.read_parquet(run_folder / "per_user.parquet"), split.test
    assert table["user"].tolist() == [data.users[test.users[owner]] for owner in test.user_rows]
    assert table["target"].tolist() == [data.items.ids[item] for item in test.items]
    trained = np.bincount(split.train.sequences.values, minlength=150)
    assert table["popularity"].tolist() == trained[test.items].tolist()
    assert table["cold"].tolist() == (trained[test.items] == 0).tolist()
    assert table["history_length"].tolist() == test.histories.lengths[test.user_rows].tolist()
    assert table["warm_rank"][table["cold"]].isna().all()
    assert table["cold_rank"][~table["cold"]].isna().all()
    assert table["cold_rank"].notna().any()


def test_metrics_are_those_of_the_lines(run_folder: Path) -> None:
    found, table = stored(run_folder), pd.read_parquet(run_folder / "per_user.parquet")
    assert found["schema"] == SCHEMA
    assert found["contract"]["split"] == "global-temporal"
    assert found["split"]["test_users"] == table["user"].nunique()
    assert found["split"]["test_targets"] == len(table) > found["split"]["test_users"]
    parts = {
        "rank": (table, found["metrics"]),
        "warm_rank": (table[~table["cold"]], found["item_groups"]["warm"]["metrics"]),
        "cold_rank": (table[table["cold"]], found["item_groups"]["cold"]["metrics"]),
    }
    for column, (lines, metrics) in parts.items():
        ranks = lines[column].to_numpy(dtype=float, na_value=np.inf)
        user_rows = np.unique(lines["user"], return_inverse=True)[1]
        for name in ("recall@10", "hit@10", "ndcg@10", "mrr@20"):
            assert metrics["strict"][name] == pytest.approx(multi_target.per_user(ranks, user_rows, name).mean()), (
                column
            )
    for kind, lines in (("warm", table[~table["cold"]]), ("cold", table[table["cold"]])):
        assert (found["item_groups"][kind]["targets"], found["item_groups"][kind]["users"]) == (
            len(lines),
            lines["user"].nunique(),
        )
    assert found["item_groups"]["warm"]["items"] + found["item_groups"]["cold"]["items"] == found["dataset"]["items"]


def test_fewer_candidates_never_hurt_a_baseline(made: Path, run_folders: RunFolders) -> None:
    """Whatever is taken out of the list can only bring a target nearer."""
    table = pd.read_parquet(next(path for path in run_folders(made) if "pop" in str(path)) / "per_user.parquet")
    for kind, lines in (("warm", table[~table["cold"]]), ("cold", table[table["cold"]])):
        assert (lines[f"{kind}_rank"] <= lines["rank"]).all()
    assert (table["cold_rank"] < table["rank"]).any()


def test_the_headline_selects_on_the_several_targets_of_validation(run_folder: Path) -> None:
    found = stored(run_folder)["training"]
    assert found["selection"] == "ndcg@10"
    assert found["best_validation"] == max(point["ndcg@10"] for point in found["curve"] if "ndcg@10" in point)


def test_the_report_reads_users_not_targets(made: Path, run_folder: Path) -> None:
    found = next(one for one in results.load(made) if one.scheme.name.startswith("textual"))
    split, seen = stored(run_folder)["split"], stored(run_folder)["metrics"]["strict"]
    assert len(found.table) == split["test_users"]
    for name in ("recall@10", "hit@10", "ndcg@10", "mrr@20"):
        values = found.values(name)
        assert len(values) == split["test_users"]
        assert values.mean() == pytest.approx(seen[name])
    lines = pd.read_parquet(run_folder / "per_user.parquet").groupby("user")
    assert found.table.popularity.tolist() == np.ceil(lines["popularity"].mean()).tolist()
    assert found.table.targets.tolist() == [" ".join(targets) for _, targets in lines["target"]]


def test_the_report_has_warm_and_cold_columns_and_names_the_split(bench: Bench, made: Path) -> None:
    done = bench("report", "--results", made)
    assert done.code == 0, done.err
    text = (made / "report.md").read_text()
    table = text[text.index("Warm and cold items") :]
    header = table[table.index("| scheme") :].splitlines()[0]
    for title in ("NDCG@10 all", "NDCG@10 warm", "NDCG@10 cold", "Recall@10 all", "Recall@10 warm", "Recall@10 cold"):
        assert title in header
    assert "split=global-temporal" in text
    assert "a user has several" in text
    assert bench("compare", "textual", "pop", "--results", made).code == 0


def test_a_run_repeats(
    bench: Bench, ratio: list[str], made: Path, run_folders: RunFolders, substance: Any, tmp_path: Path
) -> None:
    again = bench("run", "--id-scheme=textual", "--baseline=pop", *ratio, "--results", tmp_path)
    assert again.code == 0
    for one, other in zip(run_folders(made), run_folders(tmp_path), strict=True):
        assert substance(one) == substance(other)
        assert stored(one)["item_groups"] == stored(other)["item_groups"]


def test_what_is_held_out_has_no_effect(
    bench: Bench, ratio: list[str], run_folder: Path, run_folders: RunFolders, dated: Dataset, tmp_path: Path
) -> None:
    """Items of the test part are permuted among themselves, ties in time with training included."""
    split = global_time(dated)
    lengths = split.train.sequences.lengths + np.bincount(
        split.validation.users, np.asarray(split.validation.counts), minlength=60
    ).astype(int)
    positions = np.concatenate(
        [np.arange(start + length, stop) for start, length, stop in zip(
            dated.sequences.offsets[:-1], lengths, dated.sequences.offsets[1:], strict=True)]
    )  # fmt: skip
    values = dated.sequences.values.copy()
    values[positions] = np.roll(values[positions], 7)
    assert (values[positions] != dated.sequences.values[positions]).mean() > 0.8
    write_atomic(replace(dated, sequences=Sequences(values, dated.sequences.offsets)), tmp_path / "data" / "dated")
    words = ["--dataset", tmp_path / "data" / "dated", *ratio[2:], "--results", tmp_path / "results"]
    assert bench("run", "--id-scheme=textual", *words).code == 0
    (other,) = run_folders(tmp_path / "results")
    assert stored(other)["dataset"]["fingerprint"] != stored(run_folder)["dataset"]["fingerprint"]
    for name in ("model.safetensors", "ids.parquet", "tokenizer.json", "config.json", "log.jsonl"):
        assert (other / name).read_bytes() == (run_folder / name).read_bytes()


def test_seconds_of_inference_are_those_of_the_whole_catalogue(
    bench: Bench, ratio: list[str], tmp_path: Path, run_folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.runs import scheme_run

    class Counted:
        """A stopwatch that counts how many rankings lie between its start and its end."""

        def __init__(self) -> None:
            self.begin = len(rankings)

        @property
        def seconds(self) -> float:
            return float(len(rankings) - self.begin)

        processor_seconds = seconds

    rankings: list[int] = []
    original = scheme_run.evaluate

    def evaluate(*words: Any) -> Any:
        rankings.append(len(words[1]))
        return original(*words)

    monkeypatch.setattr(scheme_run, "evaluate", evaluate)
    monkeypatch.setattr(scheme_run, "Stopwatch", Counted)
    assert bench("run", "--id-scheme=numeric", *ratio, "--results", tmp_path).code == 0
    found = stored(run_folders(tmp_path)[0])
    assert found["costs"]["inference_seconds_per_1000_users"] == 1000 / found["split"]["test_users"]
    assert set(found["item_groups"]) == {"warm", "cold"}


def test_leave_one_out_has_one_target_for_each_user(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    assert bench("run", "--baseline=pop", *quick, "--results", tmp_path).code == 0
    found = stored(run_folders(tmp_path)[0])
    assert (found["schema"], set(found["item_groups"])) == (SCHEMA, {"warm"})
    assert not any(name.startswith(("recall", "precision")) for name in found["metrics"]["strict"])
    assert found["split"] == {"train_users": 40, "validation_users": 40, "test_users": 40}


def test_numbered_interactions_and_unknown_splits_are_refused(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    refused = bench("run", "--baseline=pop", *quick, "--split=global-temporal", "--results", tmp_path)
    assert refused.code == 1
    assert "the interactions of 'toy' are numbered, not dated: every user begins at time stamp 0" in refused.err
    unknown = bench("run", "--baseline=pop", *quick, "--split=random", "--results", tmp_path)
    assert unknown.code == 1
    assert "setting 'split' must be one of leave-one-out, global-temporal; got 'random'" in unknown.err
