"""A matrix through a real Slurm: every run a task, preempted ones resumed, bits as of one process."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.results.unfinished import unfinished
from tests.long.cluster import Cluster

LONG = ["--set=epochs=400", "--set=patience=400", "--set=validate_every=2", "--save-every=1", "--seed=0,1,2"]
Substance = Callable[[Path], dict[str, Any]]


def wait(holds: Callable[[], object], seconds: float, told: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, told()
        time.sleep(0.2)


def asked(
    line: Sequence[str], results: Path, slurm: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The request handed to Slurm with these options, and what the command says of it."""
    words = [sys.executable, "-m", "bench", *line, "--results", str(results), "--slurm", slurm]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_matrix_through_slurm_with_preemptions(
    cluster: Cluster,
    quick: list[str],
    started: dict[str, str],
    bench: Callable[..., SimpleNamespace],
    run_folders: Callable[[Path], list[Path]],
    substance: Substance,
    tmp_path: Path,
) -> None:
    results, serial = tmp_path / "results", tmp_path / "serial"
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'item-identifier-bench[slurm]'")
    line = ["run", "--id-scheme", "numeric", *quick, *LONG]
    environment = {**started, **cluster.environment}
    begin = time.monotonic()
    said = asked(line, results, "partition=main,at-once=2,hours=1", environment)
    assert said.returncode == 0, said.stderr
    assert time.monotonic() - begin < 60, "it does not wait for the runs"
    job = re.search(r"submitted 3 of 3 runs as Slurm job (\d+)", said.stderr)
    assert job is not None, said.stderr
    assert "Watch: bench ls --results" in said.stderr

    def logs() -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted((results / "slurm").glob("*_log.*")))

    wait(lambda: list(results.rglob(".0.partial-1/stage-0-*.safetensors")), 600, logs)
    assert "running" in {run.state for run in unfinished(results)}
    assert cluster.ask("scancel", "--signal=USR2", f"{job[1]}_0") == ""
    wait(lambda: "this job is preempted" in logs(), 300, logs)
    wait(lambda: not list(results.rglob(".0.lease-1")), 1800, lambda: f"{cluster.ask('squeue')}\n{logs()}")
    wait(lambda: len(run_folders(results)) == 3, 1800, lambda: f"{cluster.ask('squeue')}\n{logs()}")
    assert "numeric/sequential on toy, seed 0: resuming" in logs()
    assert bench(*line, "--results", serial).code == 0
    for one, other in zip(run_folders(results), run_folders(serial), strict=True):
        assert substance(one) == substance(other)
    wait(lambda: not unfinished(results), 30, logs)
    again = asked(line, results, "partition=main", environment)
    assert "all 3 runs are finished already" in again.stderr
    wrong = asked([*line, "--force"], results, "partition=none", environment)
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("bench: Slurm refuses the runs: ")
    assert "invalid partition" in wrong.stderr


@pytest.mark.long
def test_24_runs_of_which_one_is_preempted_again_and_again(
    cluster: Cluster,
    quick: list[str],
    started: dict[str, str],
    bench: Callable[..., SimpleNamespace],
    run_folders: Callable[[Path], list[Path]],
    substance: Substance,
    got_on: Callable[[Path], bool],
    tmp_path: Path,
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'item-identifier-bench[slurm]'")
    results, serial = tmp_path / "results", tmp_path / "serial"
    line = ["run", "--id-scheme", "numeric,textual/title", *quick, "--set=epochs=150", "--set=patience=150"]
    line += ["--set=validate_every=2", "--save-every=1", "--seed=0-11"]
    said = asked(line, results, "partition=main,at-once=4,hours=1", {**started, **cluster.environment})
    assert said.returncode == 0, said.stderr
    job = re.search(r"submitted 24 of 24 runs as Slurm job (\d+)", said.stderr)
    assert job is not None, said.stderr

    def logs() -> str:
        return "\n".join(path.read_text()[-1000:] for path in sorted((results / "slurm").glob("*_log.*")))

    draw, end, preempted = random.Random(1), time.monotonic() + 7200, 0
    while len(run_folders(results)) < 24:
        assert time.monotonic() < end, f"{cluster.ask('squeue')}\n{logs()}"
        time.sleep(20)  # a task needs some of them to come back to where it was
        begun = any(run.state == "running" for run in unfinished(results))
        running = cluster.ask("squeue", "-h", "-t", "R", "-o", "%i").split() if begun and got_on(results) else []
        if running:
            cluster.ask("scancel", "--signal=USR2", draw.choice(running))
            preempted += 1
    print(f"{preempted} times preempted")
    assert preempted > 4  # how many fit into the time of 24 runs, the machine decides
    assert bench(*line, "--results", serial).code == 0
    found, expected = run_folders(results), run_folders(serial)
    assert [path.relative_to(results) for path in found] == [path.relative_to(serial) for path in expected]
    for one, other in zip(found, expected, strict=True):
        assert substance(one) == substance(other)
    wait(lambda: not unfinished(results), 60, logs)
