"""What ``srun`` tells its tasks, as a Slurm 22.05 of two nodes has told them; tests/long runs the real one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import launchers
from bench.errors import BenchError

TOLD = {
    "SLURM_JOB_ID": "7",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "3",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_STEP_NUM_TASKS": "4",
}


def scontrol(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of that name which answers as the real one does."""
    path = folder / "scontrol"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_tasks_of_slurm_are_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scontrol(tmp_path, '[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"', monkeypatch)
    environment = dict(TOLD)
    launchers.adopt(environment)
    added = {name: value for name, value in environment.items() if name not in TOLD}
    port = added.pop("MASTER_PORT")
    assert added == {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "n1"}
    assert 1024 < int(port) < 32768
    assert capsys.readouterr().err == ""
    first = {**TOLD, "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}
    launchers.adopt(first)
    assert first["MASTER_PORT"] == port
    assert capsys.readouterr().err.startswith("Slurm's 4 tasks are the ranks of one run; ")
    again = dict(first)
    launchers.adopt(first)
    assert first == again
    assert capsys.readouterr().err == "", "said once"


def test_steps_and_jobs_have_ports_of_their_own() -> None:
    ports = set()
    for job in range(20):
        for step in range(10):
            environment = {**TOLD, "SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step), "MASTER_ADDR": "n1"}
            launchers.adopt(environment)
            ports.add(environment["MASTER_PORT"])
    assert len(ports) == 200


@pytest.mark.parametrize(
    "changed",
    [{"SLURM_STEP_NUM_TASKS": "1"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "5", "WORLD_SIZE": "8"}],
    ids=["one task", "workers", "torchrun under srun"],
)
def test_others_are_left_alone(changed: dict[str, str]) -> None:
    environment = {**TOLD, **changed}
    launchers.adopt(environment)
    assert environment == {**TOLD, **changed}
    outside: dict[str, str] = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}  # in a batch script
    launchers.adopt(outside)
    assert "RANK" not in outside


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"SLURM_LOCALID": ""}, "SLURM_LOCALID"),
        ({"SLURM_STEP_NUM_TASKS": "4 of them"}, "SLURM_STEP_NUM_TASKS"),
        ({"SLURM_STEP_ID": "batch"}, "SLURM_STEP_ID"),
    ],
)
def test_an_environment_that_was_handed_on_in_part_is_one_line(changed: dict[str, str], name: str) -> None:
    with pytest.raises(BenchError, match=rf"but {name} is no number; for a process of its own: RANK=0 WORLD_SIZE=1"):
        launchers.adopt({**TOLD, **changed})
    lacking = {key: value for key, value in TOLD.items() if key != "SLURM_PROCID"}
    with pytest.raises(BenchError, match="but SLURM_PROCID is no number"):
        launchers.adopt(lacking)


@pytest.mark.parametrize("given", [{"SLURM_STEP_NUM_TASKS": "4"}, {**TOLD, "SLURM_PROCID": "0"}])
def test_what_is_wrong_with_it_is_one_line_of_the_command(
    bench: Callable[..., SimpleNamespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in {**given, "PATH": str(tmp_path)}.items():  # where there is no scontrol
        monkeypatch.setenv(name, value)
    said = bench("run", "--baseline", "pop", "--dataset", "toys")
    assert said.code == 1
    (line,) = said.err.splitlines()
    assert line.startswith(("bench: Slurm's SLURM_STEP_NUM_TASKS=4 says", "bench: which host of n[1-2] has rank 0"))


RANKS = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "n1", "MASTER_PORT": "29500"}


def test_ranks_are_counted() -> None:
    assert launchers.count(dict(RANKS)) == 2
    assert launchers.count({**TOLD, "MASTER_ADDR": "n1"}) == 4
    assert [launchers.count(given) for given in ({}, {"WORLD_SIZE": "1"}, {**TOLD, "RANK": "0"})] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is no number"),
        ({"RANK": ""}, "RANK is no number"),
        ({"RANK": "2"}, "RANK is 2"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK is no number"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is no number"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR names no host"),
    ],
)
def test_ranks_that_could_not_meet_are_one_line(
    bench: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], why: str
) -> None:
    for name, value in {**RANKS, **changed}.items():
        monkeypatch.setenv(name, value)
    said = bench("run", "--baseline", "pop", "--dataset", "toys")
    assert said.code == 1
    assert f"says that this is one of several ranks, but {why}; start ranks with torchrun or srun" in said.err
    assert len(said.err.splitlines()) == 1
    (name,) = changed
    lacking = {key: value for key, value in RANKS.items() if key != name}
    if name != "WORLD_SIZE":
        with pytest.raises(BenchError, match=f"several ranks, but {name} "):
            launchers.count(lacking)


def test_own_address_and_port_are_kept() -> None:
    environment = {**TOLD, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    launchers.adopt(environment)
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("10.0.0.1", "29500")


@pytest.mark.parametrize("answer", ["exit 3", "exit 0"])
def test_a_host_that_is_not_known_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    scontrol(tmp_path, answer, monkeypatch)
    environment = dict(TOLD)
    with pytest.raises(BenchError, match=r"which host of n\[1-2\] has rank 0 is not known .*; set MASTER_ADDR$"):
        launchers.adopt(environment)
    assert environment == TOLD
