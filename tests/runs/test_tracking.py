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
