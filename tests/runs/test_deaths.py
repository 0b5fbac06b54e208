"""What ends again and again before anything is saved is given up, by real kills; what gets on, if slowly, is not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.results.leases import last_holder
from bench.results.unfinished import unfinished
from bench.runs.matrix import Plan
from bench.runs.worker import as_json

# Signs of life come often, and few deaths are enough.
FAST = "import sys; from bench.results import leases; leases.BEAT, leases.DEATHS = 0.1, 3; "

HOLD = """
import os, signal, time
from pathlib import Path
from bench import tensors
from bench.results.store import Begun, building
import numpy as np

folder, work = Path(sys.argv[1]), sys.argv[2]
with building(folder, Begun({"scheme": "one"}), note=lambda: f"one: {work}") as partial:
    context = partial / "context" / "trial-whole"
    context.mkdir(parents=True, exist_ok=True)
    (context / "best.pth").write_text("which a try writes again that comes no further")
    if work == "train":
        (context / "latest.pth").write_text("a checkpoint of RecBole")
    if work == "cache":
        key = f"{len(list((folder.parents[4]).rglob('cache/text/*'))):032x}"
        path = folder.parents[4] / "cache" / "text" / f"{key}.safetensors"
        tensors.write(path, {"a": np.ones(3)}, {}, "a part", once=True)
    time.sleep(0.5)
    if work == "finish":
        (partial / "result.json").write_text("{}")
    else:
        os.kill(os.getpid(), signal.SIGINT if work == "asked" else signal.SIGKILL)
        time.sleep(5)
"""


def attempt(folder: Path, work: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", FAST + HOLD, str(folder), work]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"


def test_what_dies_three_times_without_anything_saved_is_given_up_once(folder: Path) -> None:
    for work in ("identifiers", "identifiers: 3 of 9", "identifiers"):
        assert attempt(folder, work).returncode == -signal.SIGKILL
    refused = attempt(folder, "finish")
    assert refused.stderr.strip().splitlines()[-1] == (
        "bench.errors.BenchError: 3 tries have ended without anything saved: killed at 'one: identifiers' (2 times); "
        "killed at 'one: identifiers: 3 of 9'; give it more memory"
    )
    assert not (folder / "result.json").exists()
    assert attempt(folder, "finish").returncode == 0, "who asks again gets another try"


@pytest.mark.parametrize("work", ["train", "cache", "asked"])
def test_what_leaves_something_new_each_time_goes_on(folder: Path, work: str) -> None:
    for _ in range(4):
        assert attempt(folder, work).returncode in (-signal.SIGKILL, -signal.SIGINT)
        assert len(last_holder(folder).ends) <= 1
    assert attempt(folder, "finish").returncode == 0
    assert (folder / "result.json").exists()


FIT = """
import os, signal, time
from bench.ids.scheme import IdScheme

class Endless(IdScheme):
    name = "mine/endless"

    def fit(self, train):
        train.progress(3, 9, {})
        time.sleep(0.5)
        os.kill(os.getpid(), getattr(signal, os.environ["ENDED_BY"]))
        time.sleep(60)
"""


def test_a_fit_that_is_killed_each_time_is_a_failed_run(
    quick: list[str], started: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FIT)
    code = FAST.replace("0.1, 3", "0.1, 2") + "from bench import cli; sys.argv = ['bench', *sys.argv[1:]]; cli.main()"
    said = ["run", "--id-scheme", f"{tmp_path / 'mine.py'}:Endless", *quick, "--results", str(tmp_path / "results")]
    words, environment = [sys.executable, "-c", code, *said], {**started, "ENDED_BY": "SIGKILL"}
    for _ in range(2):
        assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == -signal.SIGKILL
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    reason = (
        "2 tries have ended without anything saved: killed at 'mine/endless on toy, seed 0: identifiers: 3 of 9' "
        "(2 times); give it more memory"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"bench: {reason}"
    assert [(each.state, each.note) for each in unfinished(tmp_path / "results")] == [("failed", reason)]


TASK = """
import signal, sys
from bench.runs.task import Task

signal.signal(signal.SIGUSR2, lambda number, frame: sys.exit(7))  # it is put back into the queue
Task(sys.argv[1], ("run",))(sys.argv[2])
"""


def slurm_tries(quick: list[str], tmp_path: Path, hours: str, began: float) -> tuple[Path, list[str]]:
    """Where the run is stored, and the words that make a try of it, as a task of one submission does."""
    from bench.runs.matrix import prepare
    from bench.runs.progress import Display

    (tmp_path / "mine.py").write_text(FIT)
    overrides = [word.removeprefix("--set=") for word in quick if word.startswith("--set=")]
    schemes, results = [f"{tmp_path / 'mine.py'}:Endless"], tmp_path / "results"
    plan = Plan(schemes, [], [quick[1]], (0,), "smoke", overrides, results, slurm=f"hours={hours}", began=began)
    ((request,),) = prepare(plan, Display(loud=False)).groups
    home = request.run.folder(Path()).as_posix()
    return results / home, [sys.executable, "-c", FAST + TASK, as_json(plan), home]


def test_a_fit_that_is_longer_than_a_task_of_slurm_is_a_failed_run(
    quick: list[str], started: dict[str, str], tmp_path: Path
) -> None:
    """Slurm tells a task by a signal that its time is over. A submission that comes later may give it more."""
    environment = {**started, "ENDED_BY": "SIGUSR2"}
    folder, words = slurm_tries(quick, tmp_path, "0.01", began=1.0)
    for count in range(2):
        assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 7
        assert len(last_holder(folder).ends) == count
    _, later = slurm_tries(quick, tmp_path, "0.01", began=2.0)
    assert subprocess.run(later, env=environment, capture_output=True, check=False).returncode == 7
    assert subprocess.run(later, env=environment, capture_output=True, check=False).returncode == 7
    done = subprocess.run(later, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        ": 2 tries have ended without anything saved: out of time at 'mine/endless on toy, seed 0: identifiers: 3 of "
        "9' (2 times); give it more hours"
    )


@pytest.mark.long
def test_a_task_that_is_preempted_is_never_given_up(quick: list[str], started: dict[str, str], tmp_path: Path) -> None:
    folder, words = slurm_tries(quick, tmp_path, "9", began=1.0)
    for _ in range(5):  # FAST gives up after three deaths
        done = subprocess.run(words, env={**started, "ENDED_BY": "SIGUSR2"}, capture_output=True, check=False)
        assert done.returncode == 7
        assert not last_holder(folder).ends
