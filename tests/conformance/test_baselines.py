"""Each requirement is broken by a baseline that breaks it, and kept by one that keeps it; messages say what to do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import plugins, testing
from bench.conformance import process, scoring
from bench.conformance.baseline_fixtures import BaselineFixtures
from bench.conformance.request import BASELINE_NAMES, CheckRequest
from bench.conformance.requirements import check_requirement
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.processes import is_alive
from bench.runs.subjects import is_baseline

BASELINES = Path(__file__).with_name("baselines.py")
Bench = Callable[..., SimpleNamespace]
Make = Callable[[str], BaselineFixtures]


NEED_PROCESSES = ("Leaving", "LeavingLate", "Hashing", "ReadsFiles", "ReadsMemory", "Counting", "Stepwise")


@dataclass
class Ended:
    """In the place of a process that has ended."""

    returncode: int = 0

    def wait(self) -> int:
        return 0

    def poll(self) -> int:
        return 0


def worked_here(folder: Path, dataset: Dataset, task: scoring.Task, hash_seed: int) -> scoring.Scored:
    """The work of one process, in this one: it takes a tenth of the time."""
    process.place(folder, dataset)
    (folder / process.TASK).write_text(json.dumps({"dataset": dataset.name, **asdict(task)}))
    (folder / process.ERRORS).touch()
    process.tell(folder, asdict(scoring.Scoring(folder).report()))
    return scoring.Scored(folder, Ended())  # type: ignore[arg-type]


def work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "start", worked_here)
    monkeypatch.setattr(scoring, "watched", lambda *_: contextlib.nullcontext([]))  # its hook would stay


@pytest.fixture
def fixtures(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Of a baseline in the file beside this one, on the toy data."""

    def make(baseline: str) -> BaselineFixtures:
        if baseline not in NEED_PROCESSES:
            work_here(monkeypatch)
        return BaselineFixtures(CheckRequest(f"{BASELINES}:{baseline}", str(toy_folder), baseline=True))

    return make


@pytest.mark.parametrize(
    ("baseline", "requirement", "found", "item", "remedy"),
    [
        ("Raising", "fits", r"^fit failed: KeyError: 'no such\\ncolumn'$", r"baselines\.py, line \d+", "fix fit"),
        ("Leaving", "fits", r"^fit failed: the process ended with code 3", "", "fix fit"),
        ("Numpy", "fits", "fit failed: TypeError: .*not JSON serializable", r"baselines\.py, line \d+", "fix fit"),
        ("Nothing", "facts", "must return bench.evaluation.baseline.Facts; got NoneType", "", "fix facts"),
        ("NumpyFacts", "facts", "must hold plain numbers and texts, as JSON does: .*float32", "", "fix facts"),
        ("Caching", "fits", "AttributeError: 'NoneType' .* 'mkdir'", r"baselines\.py, line \d+", "fix fit"),
        ("OwnFormat", "restores", r"wrote no state\.safetensors.*write_state", "", "fix save_state"),
        (
            "RankedButOne",
            "independent",
            "scored alone has other scores",
            "item 'i00', red car: 1 and 0",
            "its own history",
        ),
        ("LeavingLate", "restores", r"^save_state failed: the process ended with code 3", "", "fix save_state"),
        ("Exiting", "scores", r"^score failed: SystemExit: no such model", r"baselines\.py, line \d+", "fix score"),
        ("Unclosable", "facts", "close failed: ValueError: still at work", r"baselines\.py, line \d+", "fix close"),
        ("Padded", "scores", r"must return \[histories, items\], here \[\d+, 30\]; got \[\d+, 31\]", "", "fix score"),
        ("NeedsHistory", "scores", "IndexError: .*, for an empty history", r"baselines\.py, line \d+", "fix score"),
        ("Endless", "scores", "a score is -inf", "item 'i03'", "return a finite number"),
        (
            "Ranked",
            "independent",
            "scored alone has other scores",
            "item 'i00', red car: 1 and 0",
            "of its own history",
        ),
        ("Hashing", "deterministic", "two processes made different scores", "item 'i00', red car: .* and", "hash"),
        ("ReadsFiles", "blind", r"it opened .*\.inter, where validation and test stand", "", "no files"),
        ("ReadsMemory", "blind", "with other validation and test items the scores are others", "car: .* and", "memory"),
        ("Forgetful", "restores", "read back in another process, it has other scores", "item '", "save_state"),
        ("Unsaved", "transfers", "supports_transfer, and keeps nothing", "", "saves_state = True"),
        ("Misfitting", "transfers", r"here \[2, 15\]; got \[2, 30\]", "", "fix transfer"),
        ("AgainTwice", "resumable", "stopped and started again, it has other scores", "item '", r"context\.folder"),
        ("Dividing", "adapts", "learned from 5 users, a score is (inf|nan)", "item '", "finite number"),
        ("KeyOfNow", "declares", "cache_key returned '.*' and then '", "", "the same for the same files"),
        ("Boundless", "declares", r"needs of 1 items are Needs\(memory=nan", "", "or None"),
        ("Uncounted", "facts", "facts failed: ValueError: nobody counted", r"baselines\.py, line \d+", "fix facts"),
    ],
)
def test_a_failure_is_found(
    fixtures: Make, baseline: str, requirement: str, found: str, item: str, remedy: str
) -> None:
    result = check_requirement(requirement, fixtures(baseline))
    assert result.state == "failed"
    for text, pattern in ((result.found, found), (result.item, item), (result.remedy, remedy)):
        assert re.search(pattern, text), text
    assert "\n" not in str(result)


@pytest.mark.parametrize(
    ("baseline", "requirement", "found"),
    [
        ("Leak", "blind", "the baseline declares leaks = True"),
        ("Hashing", "blind", "the scores differ from process to process"),
        ("Raising", "scores", "'fits' failed"),
        ("Padded", "blind", "'scores' failed"),
        ("Forgetful", "transfers", "'restores' failed"),
        ("Unsaved", "restores", "it keeps nothing of its runs"),
        ("Stepwise", "transfers", "no test on unseen data: it scores only items that it was fitted on"),
        ("Silent", "resumable", "it tells no progress"),
    ],
)
def test_what_is_declared_or_cannot_be_checked_is_skipped(
    fixtures: Make, baseline: str, requirement: str, found: str
) -> None:
    result = check_requirement(requirement, fixtures(baseline))
    assert result.state == "skipped"
    assert result.found.startswith(found)


@pytest.mark.parametrize("baseline", ["Uncounted", "LeavingLate"])
def test_one_failure_is_not_another(fixtures: Make, baseline: str) -> None:
    """What fails in every process says nothing of what differs from one to the other."""
    one = fixtures(baseline)
    found = {
        name: check_requirement(name, one).state for name in ("fits", "scores", "independent", "deterministic", "blind")
    }
    assert set(found.values()) == {"passed"}


@pytest.mark.parametrize(
    ("baseline", "skipped"), [("Counting", {"resumable", "facts"}), ("Stepwise", {"restores", "transfers", "adapts"})]
)
def test_a_sound_baseline_meets_every_requirement(fixtures: Make, baseline: str, skipped: set[str]) -> None:
    sound = fixtures(baseline)
    sound.begin()
    found = {name: check_requirement(name, sound).state for name in BASELINE_NAMES}
    assert found == {name: "skipped" if name in skipped else "passed" for name in BASELINE_NAMES}


def test_the_command_knows_baselines_from_schemes(bench: Bench, toy_folder: Path) -> None:
    said = bench("check", f"{BASELINES}:Raising", "--dataset", toy_folder, "--json")
    assert said.code == 1
    told = json.loads(said.out)
    assert (told["baseline"], told["passed"]) == ("test/raising", False)
    assert [each["requirement"] for each in told["requirements"]] == list(BASELINE_NAMES)
    assert [is_baseline(name) for name in ("pop", "textual", "nothing", "file:ids.json")] == [True, False, False, False]
    assert is_baseline(f"{BASELINES}:Counting")
    assert not is_baseline(f"{BASELINES.with_name('schemes.py')}:Sound")


def test_what_cannot_be_checked_is_one_line(bench: Bench, toy_folder: Path) -> None:
    for words, line in (
        ([f"{BASELINES}:Settled", "--set", "test.wide=3"], "bench: unknown setting of test/settled 'wide'"),
        ([f"{BASELINES}:Cuonting"], "did you mean 'Counting'"),
        ([f"{BASELINES}:Picky"], r"failed in validate_items: KeyError: 'genre' \(baselines\.py, line \d+\)"),
        ([f"{BASELINES}:Neither"], r"must be a subclass of .*IdScheme or .*\.Baseline or .*TrainedBaseline; got"),
        ([f"{BASELINES}:Counting", "--set", "split=global-temporal"], "split=global-temporal can't be checked; drop"),
        ([f"{BASELINES}:Counting", "--set", "ties=drop-order"], "ties=drop-order can't be checked; drop"),
        ([f"{BASELINES}"], "is a file; name the class in it too"),
    ):
        said = bench("check", *words, "--dataset", toy_folder)
        assert said.code == 1
        assert re.search(line, said.err.splitlines()[-1]), said.err


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_no_fit_outlives_its_check(toy_folder: Path, tmp_path: Path, ended_by: signal.Signals) -> None:
    command = [sys.executable, "-m", "bench", "check", f"{BASELINES}:Hanging", "--dataset", str(toy_folder)]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL) as check:
        try:
            assert eventually(lambda: len(list(tmp_path.glob("*.pid"))) == 3)
        finally:
            check.send_signal(ended_by)
    assert eventually(lambda: not any(is_alive(int(path.stem)) for path in tmp_path.glob("*.pid")))
    assert ended_by == signal.SIGKILL or not list(tmp_path.glob("bench-check-*"))


def eventually(found: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it comes true within so many seconds."""
    end = time.monotonic() + seconds
    while not (true := found()) and time.monotonic() < end:
        time.sleep(0.1)
    return true


def test_settings_reach_the_processes(monkeypatch: pytest.MonkeyPatch, toy_folder: Path) -> None:
    """The baseline fails with any other width."""
    work_here(monkeypatch)
    for width, state in (("3", "passed"), ("2", "failed")):
        asked = CheckRequest(f"{BASELINES}:Settled", str(toy_folder), (f"test.width={width}",), baseline=True)
        assert check_requirement("fits", BaselineFixtures(asked)).state == state


def test_requirements_are_tests_of_a_package(monkeypatch: pytest.MonkeyPatch, toy_folder: Path) -> None:
    work_here(monkeypatch)
    found = {each.name: each for each in testing.baseline_requirements(f"{BASELINES}:Unsaved", str(toy_folder))}
    assert tuple(found) == BASELINE_NAMES
    found["fits"].check()
    with pytest.raises(AssertionError, match="Unsaved fails the requirement 'transfers': it declares"):
        found["transfers"].check()
    with pytest.raises(unittest.SkipTest, match="resumable: it is fitted at once"):
        found["resumable"].check()
    with pytest.raises(AssertionError, match="'transfers'"):
        testing.check_baseline(f"{BASELINES}:Unsaved", str(toy_folder))


@pytest.mark.long
@pytest.mark.parametrize("baseline", sorted(plugins.names(plugins.BASELINES)))
def test_every_installed_baseline_meets_every_requirement(baseline: str) -> None:
    one = BaselineFixtures(CheckRequest(baseline, baseline=True))
    one.begin()
    found = {name: check_requirement(name, one) for name in BASELINE_NAMES}
    assert {name: str(result) for name, result in found.items() if result.state == "failed"} == {}


def test_what_a_baseline_needs_may_be_counted_in_numbers_of_numpy(fixtures: Make) -> None:
    found = check_requirement("declares", fixtures("Summed"))
    assert (found.state, found.found) == ("passed", "it says what it needs; cache_key is the same text twice")


def test_the_baseline_of_the_docs_meets_every_requirement(
    monkeypatch: pytest.MonkeyPatch, toy_folder: Path, tmp_path: Path
) -> None:
    work_here(monkeypatch)
    page = Path(__file__).resolve().parents[2] / "docs" / "pages" / "own-baseline.md"
    (code, *_) = re.findall(r"```python\n# newest\.py\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "newest.py").write_text(code)
    one = BaselineFixtures(CheckRequest(f"{tmp_path / 'newest.py'}:Newest", str(toy_folder), baseline=True))
    found = {name: check_requirement(name, one).state for name in BASELINE_NAMES}
    assert [name for name, state in found.items() if state == "passed"] == [*BASELINE_NAMES[:5], "adapts", "declares"]
    assert "failed" not in found.values()


def test_all_is_no_baseline(toy_folder: Path) -> None:
    with pytest.raises(BenchError, match="one baseline is checked at a time; got 'all'"):
        BaselineFixtures(CheckRequest("all", str(toy_folder), baseline=True))
