"""RecBole from the command line: its own process, its own folder, results like everybody else's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from recbole_baselines import base

from bench.runs import subjects

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
Substance = Callable[[Path], dict[str, Any]]

SASREC = [
    *("--baseline=sasrec", "--set=sasrec.hidden_size=8", "--set=sasrec.inner_size=8"),
]
LONG = [f"--set={line}" for line in ("examples=all", "epochs=12", "patience=99", "validate_every=1")]


@dataclass(frozen=True)
class Both:
    """Two runs of one command at the same time in the same folder, the other of them stopped and gone on with."""

    one: Path
    other: Path
    said: str
    code: int
    left_running: list[psutil.Process]
    unfinished: list[Path]


@pytest.fixture(scope="module")
def both(
    recbole: None, quick: list[str], started: dict[str, str], bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Both:
    root = tmp_path_factory.mktemp("both")
    words = ["run", *SASREC, *quick, *LONG, "--results"]
    start = partial(subprocess.Popen, cwd=root, env=started, stderr=subprocess.PIPE, text=True)
    command = [sys.executable, "-m", "bench", *words]
    with start([*command, "one"]) as one, start([*command, "other"]) as other:
        wait_for_a_checkpoint(root / "other", other)
        children = psutil.Process(other.pid).children()
        other.send_signal(signal.SIGINT)
        said, code = other.communicate()[1], other.returncode
        left, unfinished = [child for child in children if child.is_running()], sorted(root.rglob("latest.pth"))
        assert children
        assert one.communicate()[1].splitlines()[-1] == "Now: bench report --results one"
    assert sorted(path.name for path in root.iterdir()) == ["one", "other"]
    assert bench(*words, root / "other").code == 0
    return Both(root / "one", root / "other", said, code, left, unfinished)


def wait_for_a_checkpoint(results: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not list(results.rglob("latest.pth")):
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.long
def test_ctrl_c_ends_recbole_and_says_how_to_go_on(both: Both) -> None:
    assert both.code == 130
    assert both.said.splitlines()[-1] == "bench: interrupted; rerun to resume"
    assert "Traceback" not in both.said
    assert both.left_running == []
    assert any(path.is_relative_to(both.other) for path in both.unfinished)


def test_neither_a_stop_nor_a_run_beside_it_changes_a_result(
    both: Both, run_folders: RunFolders, substance: Substance
) -> None:
    (one,), (other,) = run_folders(both.one), run_folders(both.other)
    assert substance(one) == substance(other)
    assert (one / "log.jsonl").read_text() == (other / "log.jsonl").read_text()


def test_a_run_holds_costs_curve_and_log(both: Both, run_folders: RunFolders) -> None:
    (run_folder,) = run_folders(both.one)
    stored = json.loads((run_folder / "result.json").read_text())
    assert sorted(path.name for path in run_folder.iterdir()) == [
        "items.parquet",
        "log.jsonl",
        "per_user.parquet",
        "result.json",
        "result.sha256",
        "state.safetensors",
        "training.log",
    ]
    assert stored["scheme"]["kind"] == "baseline"
    assert set(stored["contract"]) == {"protocol", *base.RecBoleBaseline.binds}
    costs = {name: cost for name, cost in stored["costs"].items() if cost is not None}
    uncounted = {
        "id_construction_seconds",
        "id_construction_processor_seconds",
        "own_steps",
        "own_examples",
        "own_flops",
    }
    assert stored["costs"].keys() - costs.keys() == {*uncounted, "tokens_read", "tokens_written"}
    assert min(costs.values()) > 0
    assert stored["costs"]["parameters"] == 31 * 8 + 20 * 8 + 2 * (4 * 72 + 16 + 2 * 72 + 16) + 16
    training = stored["training"]
    assert training["epochs"] == 12
    assert training["recbole"] == "1.2.1"
    assert [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()] == [
        {"stage": "train", **point} for point in training["curve"]
    ]
    assert "epoch 11 training" in (run_folder / "training.log").read_text()
    assert "\x1b" not in (run_folder / "training.log").read_text()


@pytest.mark.usefixtures("recbole")
def test_what_fails_in_recbole_is_one_line_that_names_the_log(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    said = bench("run", "--baseline", "sasrec", "--set", "sasrec.n_heads=7", *quick, "--results", tmp_path)
    assert said.code == 1
    (log,) = tmp_path.rglob("training.log")
    (error,) = [line for line in said.err.splitlines() if line.startswith("bench: ")]
    assert error.startswith("bench: sasrec/ce failed in RecBole: ValueError: The hidden size (64) is not a multiple")
    assert f"the last lines of '{log.resolve()}': " in error
    assert "Traceback" in log.read_text()


def test_without_recbole_it_is_said_before_anything_runs_and_the_rest_works(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "NEEDED", ("recbole_of_nowhere",))
    said = bench("run", "--baseline", "pop,gru4rec", *quick, "--results", tmp_path)
    assert said.code == 1
    assert (
        "bench: gru4rec runs in RecBole, and recbole_of_nowhere is not installed; "
        "pip install 'item-identifier-bench[recbole]', then pip install --no-deps recbole==1.2.1, or drop this baseline"
    ) in said.err
    assert not run_folders(tmp_path)
    assert bench("run", "--baseline", "pop", *quick, "--results", tmp_path).code == 0


def test_without_recbole_all_leaves_its_models_out_by_name(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "NEEDED", ("recbole_of_nowhere",))
    said = bench("run", "--baseline", "all", *quick, "--results", tmp_path)
    assert said.code == 0
    (left,) = (line for line in said.err.splitlines() if line.startswith("skipped in 'all' on toy: "))
    names = {name for name, entry in subjects.names(subjects.BASELINES).items() if "recbole" in entry.value}
    named, _, why = left.removeprefix("skipped in 'all' on toy: ").partition(": ")
    assert sorted(named.split(", ")) == sorted(names - {"sasrec"})
    assert why.startswith("runs in RecBole, and recbole_of_nowhere is not installed; pip install ")
    assert {
        json.loads((run_folder / "result.json").read_text())["scheme"]["name"] for run_folder in run_folders(tmp_path)
    } == {
        *("graph", "markov", "max+1", "max+1-leak", "pop", "random", "repeat"),
        *("unisrec/inductive", "unisrec/transductive"),
    }
    named = bench("run", "--baseline", "all,gru4rec", *quick, "--results", tmp_path)
    assert named.code == 1
    assert named.err.splitlines()[-1].startswith("bench: gru4rec runs in RecBole, and recbole_of_nowhere is not ")


@pytest.mark.usefixtures("recbole")
def test_attributes_are_asked_for_before_anything_runs(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    said = bench("run", "--baseline", "pop,fdsa", "--set", "fdsa.attributes=brand", *quick, "--results", tmp_path)
    assert said.code == 1
    assert "in column brand; the items have title, category" in said.err
    assert not (tmp_path / "runs").exists()
