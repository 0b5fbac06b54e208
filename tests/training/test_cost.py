"""Costs and surroundings of a run, as a result tells them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench.training import cost
from bench.training.cost import LoadMeter, MemoryMeter, Stopwatch, environment, revision


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU, its memory is what is metered")
def test_memory_that_was_freed_again_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MEASURED_EVERY", 0.005)
    with MemoryMeter() as idle:
        time.sleep(0.02)
    with MemoryMeter() as busy:
        block = np.ones(25_000_000)  # 200 MB
        time.sleep(0.05)
        del block
    with MemoryMeter() as after:
        time.sleep(0.02)
    assert busy.peak_mb > idle.peak_mb + 150
    assert after.peak_mb < busy.peak_mb - 100  # a run does not inherit the peak of the one before


def test_a_meter_stops_with_its_block() -> None:
    with pytest.raises(ValueError, match="within"), MemoryMeter() as meter:
        raise ValueError("within")
    assert not meter._thread.is_alive()
    assert meter.peak_mb > 0


def test_seconds_pass() -> None:
    watch = Stopwatch()
    time.sleep(0.02)
    assert 0.02 <= watch.seconds < 5


def test_processor_seconds_are_those_of_this_process_and_its_ended_children() -> None:
    watch, begin = Stopwatch(), time.process_time()
    while time.process_time() < begin + 0.3:
        pass
    assert watch.processor_seconds >= 0.25
    before, busy = watch.processor_seconds, "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert watch.processor_seconds >= before + 0.45


def test_laps_add_up() -> None:
    watch = Stopwatch()
    time.sleep(0.02)
    first = watch.lap()
    second = watch.lap()
    assert first[0] >= 0.02 > second[0]
    assert min(*first, *second) >= 0


def test_the_load_is_told_from_start_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([(7.123, 0, 0), (2.0, 0, 0)])
    monkeypatch.setattr(cost.psutil, "getloadavg", lambda: next(loads))
    meter, begin = LoadMeter(), time.process_time()
    while time.process_time() < begin + 0.2:
        pass
    found = meter.measured()
    assert (found["load_average_start"], found["load_average_end"]) == (7.12, 2.0)
    assert 0 < found["cores_used"] < 2


def test_the_environment_names_versions_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bench", "run", "--seed", "1"])
    found = environment("cpu", processes=2)
    assert found["bench"] == bench.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0], "some builds name only themselves"
    assert found["numpy"] == np.__version__
    assert found["device"] == "cpu"
    assert found["processes"] == 2
    assert found["cpu_threads"] == torch.get_num_threads()
    assert found["command"] == "bench run --seed 1"


def test_the_revision_is_that_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of its own: a commit has seven digits or more, and a plus as soon as the source differs from it."""
    source = tmp_path / "bench" / "evaluation" / "cost.py"
    source.parent.mkdir(parents=True)
    source.write_text("first")
    monkeypatch.setattr(cost, "__file__", str(source))
    assert revision() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "--no-verify", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    clean = revision()
    assert clean
    assert len(clean) >= 7
    source.write_text("second")
    assert revision() == f"{clean}+"


def test_no_git_is_no_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(cost, "__file__", str(tmp_path / "bench" / "evaluation" / "cost.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision() is None


@pytest.mark.parametrize("words", ["run --seed 1 --results r", "run --results=/r --seed 1"])
def test_the_folder_of_results_is_not_told(words: str) -> None:
    assert cost.command(words.split()) == "bench run --seed 1"


@pytest.mark.parametrize("given", ["--data-dir /srv/me/data", "--data-dir=data", "--data-dir ~/data/"])
def test_of_the_folder_of_data_the_last_part_is_told(given: str) -> None:
    words = f"run --dataset toys {given} --seed 1 --results r".split()
    assert cost.command(words) == "bench run --dataset toys --data-dir data --seed 1"
