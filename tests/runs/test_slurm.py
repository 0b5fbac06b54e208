"""What Slurm is asked for, and what a task does with its signals; the real thing is in tests/long/test_slurm.py."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import BenchError
from bench.results import leases
from bench.results.deaths import OUT_OF_TIME
from bench.runs import matrix, slurm, task
from bench.runs.matrix import Plan, prepare
from bench.runs.progress import Display
from bench.runs.slurm_settings import Settings, settings
from bench.runs.task import Task
from bench.runs.worker import as_json, from_json
from bench.training.signals import scheduler

Bench = Callable[..., SimpleNamespace]


def test_what_a_task_gets() -> None:
    assert settings("partition=gpu, gpus=1,hours=8,at-once=16") == Settings("gpu", gpus=1, hours=8.0, at_once=16)
    assert settings("") == Settings()
    asked = settings("partition=gpu+long,gpus=1,memory=1.5,hours=0.02,account=me").parameters(26, thread_count=3)
    assert asked == {
        "job_name": "bench",
        "partition": "gpu,long",
        "gpus_per_node": 1,
        "mem": "1536M",
        "account": "me",
        "time": 2,
        "cpus_per_task": 3,
        "array_parallelism": 26,
        "signal_delay_s": 90,
        "additional_parameters": {"requeue": True},
    }
    assert (
        settings("cpus=4,at-once=2").parameters(26, thread_count=1).items()
        >= {
            "cpus_per_task": 4,
            "array_parallelism": 2,
        }.items()
    )


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("64", 65536), ("64G", 65536), ("64 gb", 65536), ("1.5GiB", 1536), ("500M", 500), ("1T", 1048576), ("1K", 1)],
)
def test_memory_is_counted_as_slurm_counts_it(text: str, megabytes: int) -> None:
    assert settings(f"memory={text}").parameters(1, 1)["mem"] == f"{megabytes}M"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu=1", r"unknown part of --slurm .* 'gpu=1'; did you mean 'gpus'\? known: account, at-once, "),
        ("partition", "unknown part of --slurm"),
        ("gpus=one", "--slurm gpus=one: 'one' is not a whole number"),
        ("gpus=2", "--slurm gpus=2: a task is one process, which uses one GPU; give gpus=1"),
        ("hours=0", "--slurm hours=0: give a number above 0"),
        ("memory=64X", "--slurm memory=64X: '64X' is not a size such as 64G or 500M; e.g. --slurm .*memory=64G"),
        ("memory=-1G", "'-1G' is not a size such as 64G"),
        ("memory=0G", "give a number above 0"),
        ("hours=nan", "give a number above 0"),
        ("hours=abc", "'abc' is not a number"),
        ("cpus=1.5", "'1.5' is not a whole number"),
        ("hours=8,at-once=2,hours=9", "--slurm gives hours twice; give it once"),
    ],
)
def test_what_is_not_meant_so_is_one_line(text: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        settings(text)


def test_a_task_does_one_run_of_the_whole_request(
    quick: list[str], run_folders: Callable[[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["submitit"])
    overrides = [word.removeprefix("--set=") for word in quick if word.startswith("--set=")]
    plan = Plan([], ["pop", "random"], [quick[1]], (0, 1), "smoke", overrides, tmp_path, slurm="hours=1", jobs=4)
    everything = Plan([], ["pop", "random"], [quick[1]], (0, 1), "smoke", overrides, tmp_path / "all")
    from bench.runs.matrix import execute

    execute(everything)
    named = [folder.relative_to(tmp_path / "all").as_posix() for folder in run_folders(tmp_path / "all")]
    assert len(named) == 4
    for count, folder in enumerate(named, 1):
        assert Task(as_json(plan), ("run", "--preset=smoke"))(folder) == [str(tmp_path / folder)]
        assert len(run_folders(tmp_path)) == count
    assert [path.relative_to(tmp_path).as_posix() for path in run_folders(tmp_path)] == named
    assert from_json(as_json(replace(plan, only="x"))).only == "x"
    assert (plan.asked.submitted, replace(plan, only="x").asked.submitted) == (False, True)
    with pytest.raises(BenchError, match="no run of this command is 'runs/else'"):
        Task(as_json(plan), ())("runs/else")


SIGNALED = """
import os, signal, sys, time
from bench.runs import task
from bench.training.signals import deferred_interrupts

task.NOTICE = 0.4

def requeue(number, frame):
    print("requeued", flush=True)
    sys.exit(7)

signal.signal(signal.SIGTERM, lambda number, frame: print("bypassed", flush=True))
signal.signal(signal.SIGUSR2, requeue)
with task.saved_first(signal.SIGUSR2):
    with deferred_interrupts() as asked:
        for name in sys.argv[1].split(","):
            os.kill(os.getpid(), getattr(signal, name))
            time.sleep(0.1)
        print("saved", len(asked), flush=True)
    raise KeyboardInterrupt
"""


@pytest.mark.parametrize(
    ("name", "lines", "code"),
    [
        ("SIGUSR2", ["saved 1", "requeued"], 7),
        ("SIGUSR2,SIGTERM", ["saved 1", "requeued"], 7),
        ("SIGTERM,SIGUSR2,SIGTERM", ["saved 1", "requeued"], 7),
        ("SIGTERM", ["saved 1"], 1 if sys.platform == "win32" else None),
    ],
)
def test_a_run_is_saved_before_its_task_is_put_back(name: str, lines: list[str], code: int | None) -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALED, name], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == lines, done.stderr
    assert done.returncode == (-signal.SIGINT if code is None else code)


@pytest.mark.parametrize(
    ("hours", "seconds", "reason"),
    [
        ("1", 3600 - 90 - 149, OUT_OF_TIME),  # Slurm may tell it a minute early, and it began after Slurm's clock did
        ("1", 3600 - 90 - 151, ""),
        ("0.99", 3600 - 90 - 151, ""),  # Slurm counts whole minutes
        ("48", 3600, ""),
    ],
)
def test_only_who_is_told_near_the_end_of_its_time_is_out_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hours: str, seconds: float, reason: str
) -> None:
    """Whoever is told earlier is preempted, which says nothing of what its run needs."""
    now, found = 5e6, list[str]()

    def works(plan: Plan) -> list[Path]:
        nonlocal now
        now += seconds
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(task.TOLD)
        found.append(scheduler.reason)
        return []

    monkeypatch.setattr(matrix, "execute", works)
    monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(sys, "argv", ["submitit"])
    Task(as_json(Plan([], ["pop"], ["toys"], results=tmp_path, slurm=f"hours={hours}")), ())("runs/x")
    assert found == [reason]
    assert scheduler.reason == ""


def test_without_slurm_it_is_one_line(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "--baseline", "pop", *quick, "--results", tmp_path, "--slurm", "hours=1"]
    monkeypatch.setenv("PATH", str(tmp_path))
    said = bench(*words)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("bench: --slurm needs ")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="a shell stands in for Slurm's commands")
def test_what_slurm_refuses_is_said_once_with_what_to_look_at(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'item-identifier-bench[slurm]'")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("srun", "sbatch"):
        (commands / name).write_text("#!/bin/sh\necho 'sbatch: fatal: no configuration' >&2\nexit 1\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    said = bench("run", "--baseline", "pop,random", *quick, "--results", tmp_path / "results", "--slurm", "hours=1")
    assert said.code == 1
    assert said.err.count("no configuration") == 1
    assert said.err.splitlines()[-1] == (
        "bench: Slurm refuses the runs: sbatch: fatal: no configuration; sinfo shows partitions, and whether this "
        "machine reaches a cluster"
    )


PICKLED = """
import pickle, sys
task = pickle.loads(sys.stdin.buffer.read())
print(type(task).__name__, sorted({"torch", "transformers", "numpy", "pandas"} & set(sys.modules)))
"""


def test_a_task_is_read_without_what_takes_seconds_to_import() -> None:
    """Until it is, submitit handles no signal, and one ends the task for good."""
    words = [sys.executable, "-c", PICKLED]
    done = subprocess.run(words, input=pickle.dumps(Task("{}", ("run",))), capture_output=True, check=True)
    assert done.stdout.decode() == "Task []\n"


def test_what_somebody_is_at_is_not_submitted(
    quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [word.removeprefix("--set=") for word in quick if word.startswith("--set=")]
    plan = Plan([], ["pop", "random"], [quick[1]], (0,), "smoke", overrides, tmp_path, slurm="hours=1")
    prepared = prepare(plan, Display(loud=False))
    folders = [group[0].run.folder(tmp_path) for group in prepared.groups]
    handed: list[str] = []
    monkeypatch.setattr(slurm, "_submitted", lambda task, named, *_: handed.extend(named) or "7")
    with leases.held(folders[0]):
        assert slurm.submit(plan, prepared, Display()) == folders[1:]
        with leases.held(folders[1]):
            assert slurm.submit(plan, prepared, Display()) == []
    assert handed == [folders[1].relative_to(tmp_path).as_posix()]
    said = capsys.readouterr().err
    assert "seed 0: not submitted, for process " in said
    assert said.endswith("no run is left to submit\n")
