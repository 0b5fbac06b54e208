"""What follows a run is told what the log is told; what is missing is said before the first run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.plugins import top_level

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All that TensorBoard's own reader finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.filterwarnings("default")  # what TensorBoard itself still uses
@pytest.mark.parametrize("option", ["--id-scheme=numeric", "--baseline=unisrec"])
def test_tensorboard_has_the_points_of_the_log(
    bench: Bench, quick: list[str], tmp_path: Path, run_folders: RunFolders, option: str
) -> None:
    pytest.importorskip("tensorboard", reason="no tensorboard; pip install 'item-identifier-bench[tensorboard]'")
    more = [] if "scheme" in option else [f"--set=unisrec.{line}" for line in ("width=16", "layers=1", "heads=1")]
    said = bench("run", option, *quick, *more, "--track", "tensorboard", "--results", tmp_path)
    assert said.code == 0, said.err
    (run,) = run_folders(tmp_path)
    stored = json.loads((run / "result.json").read_text())
    logged: dict[str, list[Any]] = {}
    for line in (run / "log.jsonl").read_text().splitlines():
        point = json.loads(line)
        stage, step = point.pop("stage"), point.pop("step")
        stage = stage if "scheme" in option else "train"  # a baseline names its stages when all is over
        for name, value in point.items():
            logged.setdefault(f"{stage}/{name}", []).append((step, value))
    found = scalars(tmp_path / "track" / "tensorboard" / run.relative_to(tmp_path / "runs"))
    assert logged
    for tag, points in logged.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in points]
        assert all(math.isclose(a, b, rel_tol=1e-6) for (_, a), (_, b) in zip(found[tag], points, strict=True))
    assert found["test/ndcg@10"][0][1] == pytest.approx(stored["metrics"]["strict"]["ndcg@10"])


@pytest.mark.filterwarnings("default")  # what MLflow itself still uses
def test_mlflow_has_the_points_of_the_log(
    bench: Bench, quick: list[str], tmp_path: Path, run_folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a database beside the runs and not in the folder of the command; its names can't have an `@`."""
    mlflow = pytest.importorskip("mlflow", reason="no mlflow; pip install 'item-identifier-bench[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "to be undone")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    said = bench(
        "run", "--id-scheme", "numeric", "--baseline", "pop", *quick, "--track", "mlflow", "--results", results
    )
    assert said.code == 0, said.err
    assert "has failed" not in said.err
    assert os.listdir(tmp_path) == ["results"]
    client = mlflow.MlflowClient(f"sqlite:///{results / 'track' / 'mlflow' / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'bench'")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    stored = {run.parents[1].name: json.loads((run / "result.json").read_text()) for run in run_folders(results)}
    assert sorted(name.split(" on ")[0] for name in runs) == ["numeric/sequential", "pop"]
    for name, run in runs.items():
        (metrics,) = (each["metrics"]["strict"] for key, each in stored.items() if key.startswith(name[:3]))
        assert run.data.metrics["test/ndcg_at_10"] == pytest.approx(metrics["ndcg@10"])
        assert run.info.status == "FINISHED"
    assert bench("run", "--baseline", "pop", *quick, "--track", "mlflow", "--results", tmp_path / "other").code == 0
    assert (tmp_path / "other" / "track" / "mlflow" / "mlflow.db").is_file()


def test_wandb_keeps_a_run_without_a_network(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="no wandb; pip install 'item-identifier-bench[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    said = bench("run", "--id-scheme", "numeric", *quick, "--track", "wandb", "--results", tmp_path)
    assert said.code == 0, said.err
    assert "has failed" not in said.err
    assert len(list((tmp_path / "track" / "wandb" / "toy").rglob("run-*.wandb"))) == 1


def test_a_tracker_changes_no_score(
    bench: Bench, quick: list[str], tmp_path: Path, run_folders: RunFolders, substance: Callable[[Path], Any]
) -> None:
    pytest.importorskip("tensorboard", reason="no tensorboard; pip install 'item-identifier-bench[tensorboard]'")
    for name, words in (("with", ["--track", "tensorboard"]), ("without", [])):
        assert bench("run", "--id-scheme", "numeric", *quick, *words, "--results", tmp_path / name).code == 0
    (one,), (other,) = run_folders(tmp_path / "with"), run_folders(tmp_path / "without")
    assert substance(one) == substance(other)
    assert os.listdir(tmp_path / "with" / "track" / "tensorboard") == ["toy"]
    assert not (tmp_path / "without" / "track").exists()


def test_a_tracker_that_fails_ends_no_run(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_folders: RunFolders
) -> None:
    pytest.importorskip("tensorboard", reason="no tensorboard; pip install 'item-identifier-bench[tensorboard]'")
    from accelerate.tracking import TensorBoardTracker

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("the network is gone")

    monkeypatch.setattr(TensorBoardTracker, "log", gone)
    said = bench("run", "--id-scheme", "numeric", *quick, "--track", "tensorboard", "--results", tmp_path)
    assert said.code == 0
    assert said.err.count("--track tensorboard has failed: ConnectionError: the network is gone") == 1
    assert len(run_folders(tmp_path)) == 1


def test_what_is_missing_or_unknown_is_one_line_before_the_first_run(
    bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    absent = next((name for name in ("wandb", "mlflow") if not top_level(name)), None)
    said = bench("run", "--baseline", "pop", *quick, "--track", "tensorbord", "--results", tmp_path)
    assert said.err.startswith("bench: unknown tracker 'tensorbord'; did you mean 'tensorboard'?")
    if absent:
        said = bench("run", "--baseline", "pop", *quick, "--track", absent, "--results", tmp_path)
        how = f"pip install 'item-identifier-bench[{absent}]'"
        assert said.err == f"bench: --track {absent} needs {absent}, which is not installed: {how}\n"
    assert not (tmp_path / "runs").exists()
