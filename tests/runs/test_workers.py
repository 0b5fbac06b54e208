"""Several workers on one results folder: every run once, as if one had done all, whatever happens to a worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench import files
from bench.results import leases, store
from bench.results.unfinished import unfinished
from bench.runs import jobs
from bench.runs.matrix import Plan
from bench.runs.worker import as_json, from_json

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
Substance = Callable[[Path], dict[str, Any]]

LONG = ["--set=epochs=40", "--set=patience=99", "--set=validate_every=1", "--save-every=0"]
ENDLESS = ["--set=epochs=40000", "--set=patience=40000"]
SILENT = "import sys; from bench.results import leases; leases.BEAT, leases.SILENCE = 0.2, 1.5; from bench import cli; "


def words(quick: list[str], results: Path, *more: object) -> list[str]:
    return ["run", "--id-scheme", "numeric", *quick, "--results", str(results), *map(str, more)]


def start(environment: dict[str, str], *said: str) -> subprocess.Popen[str]:
    """A `bench` in a process of its own that may be silent for two seconds only."""
    code = f"{SILENT}sys.argv = ['bench', *sys.argv[1:]]; cli.main()"
    return subprocess.Popen([sys.executable, "-c", code, *said], env=environment, stderr=subprocess.PIPE, text=True)


def wait(holds: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def serial(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process: two seeds of a long run."""
    results = tmp_path_factory.mktemp("serial")
    said = bench(*words(quick, results, *LONG, "--seed=0,1"))
    assert said.code == 0, said.err
    assert re.search(r"run 2 of 2: numeric/sequential on toy, seed 1; elapsed \d+:\d\d, about \d+:\d\d left", said.err)
    return results


def same(results: Path, serial: Path, run_folders: RunFolders, substance: Substance) -> None:
    """Every run is there, with the bits of the serial one, and nothing is left beside it."""
    found, expected = run_folders(results), run_folders(serial)
    assert [path.relative_to(results) for path in found] == [path.relative_to(serial) for path in expected]
    for one, other in zip(found, expected, strict=True):
        assert substance(one) == substance(other)
    left = [path.name for path in results.rglob(".*") if ".lease-" not in path.name]
    assert not left
    assert not unfinished(results)


@pytest.mark.long
def test_two_processes_share_the_runs_of_one_folder(
    quick: list[str],
    started: dict[str, str],
    serial: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    both = [start(started, *words(quick, tmp_path, *LONG, "--seed=0,1")) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    same(tmp_path, serial, run_folders, substance)
    for seed in (0, 1):
        stored = [text.count(f"numeric/sequential on toy, seed {seed}: finished, stored in") for text in said]
        assert sum(stored) == 1, said


def test_a_worker_that_was_stopped_has_lost_its_run_and_publishes_nothing(
    quick: list[str],
    started: dict[str, str],
    serial: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    """It is stopped in the middle, another one takes its run over and resumes it, and only then does it wake up."""
    line = words(quick, tmp_path, *LONG, "--seed=0,1")
    slow = start(started, *line)
    wait(lambda: list(tmp_path.rglob(".0.partial-1/stage-0-*.safetensors")))
    slow.send_signal(signal.SIGSTOP)
    try:
        other = start(started, *line)
        resumed = ".0.partial-2/stage-0-*.safetensors"  # what was saved goes to the successor
        wait(lambda: list(tmp_path.rglob(resumed)))
    finally:
        slow.send_signal(signal.SIGCONT)
    told = other.communicate()[1]
    late = slow.communicate()[1]
    assert (other.returncode, slow.returncode) == (0, 0), (told, late)
    assert "has taken over" in late
    assert "gave no sign of life for too long; looking again later" in late
    assert "numeric/sequential on toy, seed 0: finished, stored in" not in late
    assert "numeric/sequential on toy, seed 0: resuming" in told
    same(tmp_path, serial, run_folders, substance)


def test_the_run_of_a_killed_worker_is_resumed_at_once(
    quick: list[str],
    started: dict[str, str],
    serial: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    line = words(quick, tmp_path, *LONG, "--seed=0,1")
    first = start(started, *line)
    wait(lambda: list(tmp_path.rglob(".0.partial-1/stage-0-*.safetensors")))
    second = start(started, *line)
    wait(lambda: list(tmp_path.rglob(".1.lease-*")))
    first.kill()
    first.communicate()
    said = second.communicate()[1]
    assert second.returncode == 0, said
    assert f"another process ({first.pid} on " in said
    assert "numeric/sequential on toy, seed 0: resuming" in said
    same(tmp_path, serial, run_folders, substance)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "bench.runs.worker" in child.cmdline()]
    except psutil.Error:
        return []


def works(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.long
def test_jobs_do_runs_at_once_and_start_a_killed_worker_again(
    quick: list[str],
    started: dict[str, str],
    serial: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    process = start(started, *words(quick, tmp_path, *LONG, "--seed=0,1", "--jobs=2"))
    wait(lambda: list(tmp_path.rglob(".0.partial-1/stage-0-*.safetensors")))
    (lease,) = tmp_path.rglob(".0.lease-1")
    os.kill(json.loads(lease.read_text())["pid"], signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    threads = int(started["OMP_NUM_THREADS"])
    assert f"2 runs, 2 at once, {threads} thread{'s' * (threads > 1)} each" in said
    assert "was killed (SIGKILL); its run is taken over, and a worker started again" in said
    assert re.search(r"\[\d\] numeric/sequential on toy, seed 1: finished, stored in", said)
    same(tmp_path, serial, run_folders, substance)
    stored = [json.loads((folder / "result.json").read_text())["environment"] for folder in run_folders(tmp_path)]
    assert [found["cpu_threads"] for found in stored] == [threads, threads]
    assert all(found["command"].endswith("--seed=0,1 --jobs=2") for found in stored)


@pytest.mark.long
def test_ctrl_c_ends_all_workers_and_keeps_what_they_have_done(
    quick: list[str], started: dict[str, str], bench: Bench, tmp_path: Path
) -> None:
    process = start(started, *words(quick, tmp_path, *LONG, *ENDLESS, "--seed=0,1", "--jobs=2"))
    wait(lambda: len(list(tmp_path.rglob("stage-0-*.safetensors"))) == 2)
    under_way = workers(process)
    (one, other) = unfinished(tmp_path)
    assert {one.state, other.state} == {"running"}
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "bench: interrupted; rerun to resume"
    assert "Traceback" not in said
    assert len(under_way) == 2
    assert not any(map(works, under_way))
    assert [run.state for run in unfinished(tmp_path)] == ["interrupted", "interrupted"]
    listed = " ".join(bench("ls", "--results", tmp_path).out.split())
    assert (
        len(re.findall(r"interrupted: rerun to resume, at numeric/sequential on toy, seed \d: train: \d+", listed)) == 2
    )


def test_workers_end_when_the_command_is_killed(quick: list[str], started: dict[str, str], tmp_path: Path) -> None:
    process = start(started, *words(quick, tmp_path, *LONG, *ENDLESS, "--seed=0,1", "--jobs=2"))
    wait(lambda: len(list(tmp_path.rglob("stage-0-*.safetensors"))) == 2)
    under_way = workers(process)
    process.kill()
    process.communicate()
    wait(lambda: not any(map(works, under_way)), 60)
    assert [run.state for run in unfinished(tmp_path)] == ["interrupted", "interrupted"]


BROKEN = """
from numeric_ids import Sequential

class Broken(Sequential):
    name = "broken"

    def fit(self, train):
        raise ArithmeticError("it divides by zero")
"""


@pytest.mark.long
def test_a_failure_ends_no_other_run_and_is_tried_once(
    quick: list[str], started: dict[str, str], bench: Bench, run_folders: RunFolders, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    results = tmp_path / "results"
    said = ["run", "--id-scheme", f"{tmp_path / 'broken.py'}:Broken,numeric", *quick, "--results", str(results)]
    done = start(started, *said, "--jobs=2")
    text = done.communicate()[1]
    assert done.returncode == 1
    (folder,) = run_folders(results)
    assert "numeric.sequential" in str(folder)
    last = text.splitlines()[-1]
    assert last.startswith("bench: 1 of 2 failed, the others are stored: broken on toy, seed 0 (")
    assert "it divides by zero" in last
    assert text.count("making identifiers for 30 items") == 2, "each worker knows what the other has failed at"
    (failed,) = unfinished(results)
    assert (failed.state, "it divides by zero" in failed.note) == ("failed", True)
    again = bench(*said, "--stop-at-failure")
    assert again.code == 1
    assert "finished already" not in again.err, "it stops at the first"


def test_what_was_begun_on_so_many_threads_ends_on_as_many(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    from bench.runs import run

    line = words(quick, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_store", stop)
        assert bench(*line, "--threads", "2").code == 130
    said = bench(*line, "--threads", "1")
    assert said.code == 0
    assert "numeric/sequential on toy, seed 0: resuming on 2 threads, as it was begun" in said.err
    (result,) = tmp_path.rglob("result.json")
    assert json.loads(result.read_text())["environment"]["cpu_threads"] == 2


def test_runs_that_were_made_since_the_command_began_are_not_forced_again(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers of one forced command: what one of them has made, the other passes over."""
    from bench.runs.matrix import execute

    assert bench(*words(quick, tmp_path)).code == 0
    (folder,) = run_folders(tmp_path)
    first = store.stamp(folder)
    overrides = [word.removeprefix("--set=") for word in quick if word.startswith("--set=")]
    plan = Plan(["numeric"], [], [quick[1]], (0,), "smoke", overrides, tmp_path, force=True, began=files.now(tmp_path))
    execute(plan)
    second = store.stamp(folder)
    execute(plan)
    assert first != second == store.stamp(folder)


def test_a_plan_reaches_another_process_as_it_is() -> None:
    plan = Plan(["textual"], [], ["toys"], [0, 1], None, ["epochs=3"], Path("there"))
    plan = replace(plan, force=True, zero_shot=["yelp"], tuned=["runs/a"])
    assert from_json(as_json(plan)) == plan
    assert from_json(as_json(plan)).began == plan.began
    assert from_json(as_json(Plan(["a"], [], ["b"], data_dir=Path("c"), keep_going=False))).data_dir == Path("c")


def test_workers_take_gpus_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert jobs.gpus({}) == ["0", "1"]
    assert jobs.gpus({"CUDA_VISIBLE_DEVICES": "3,GPU-f00"}) == ["3", "GPU-f00"]
    assert jobs.gpus({"CUDA_VISIBLE_DEVICES": "3, 5,-1,7"}) == ["3", "5"]  # CUDA sees what stands before -1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    found = [jobs.environment(number, Plan(["a"], [], ["b"], threads=3)) for number in (1, 2, 3)]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in found] == ["3", "5", "3"]
    assert {variables["OMP_NUM_THREADS"] for variables in found} == {"3"}


def test_a_lease_shows_how_far_its_holder_is(quick: list[str], started: dict[str, str], tmp_path: Path) -> None:
    process = start(started, *words(quick, tmp_path, *LONG, *ENDLESS))
    wait(lambda: any(re.search(r"train: \d+ of \d", run.note) for run in unfinished(tmp_path)))
    (run,) = unfinished(tmp_path)
    assert run.note.startswith(
        f"process {process.pid} on {leases.files.host()}: numeric/sequential on toy, seed 0: train"
    )
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
