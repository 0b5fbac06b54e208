"""One run of many that is busy is tried again; one that fails ends all, or only itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import ranks
from bench.errors import BenchError, BusyError
from bench.runs import many
from bench.runs.many import Work, bring_to_end


class Job:
    """A piece of work that raises its ``errors`` first, one for each time it is tried."""

    def __init__(self, log: list[str], name: str, *errors: BenchError) -> None:
        self.log, self.name, self.errors = log, name, list(errors)

    def __call__(self) -> list[Path]:
        self.log.append(self.name)
        if self.errors:
            raise self.errors.pop(0)
        return [Path(self.name)]


def work(log: list[str], **jobs: list[BenchError]) -> list[Work]:
    return [Work(name, Job(log, name, *errors)) for name, errors in jobs.items()]


def lines(log: list[str]) -> list[str]:
    """Without those that say which run comes."""
    return [line for line in log if not line.startswith("run ")]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "LOOK_EVERY", 0.0)


def test_one_after_the_other() -> None:
    log: list[str] = []
    assert bring_to_end(work(log, a=[], b=[]), log.append, keep_going=False) == [Path("a"), Path("b")]
    assert lines(log) == ["a", "b"]
    assert log[2] == "run 2 of 2: b; elapsed 0:00", "nothing took its time"


def test_what_is_busy_is_tried_again_when_the_others_are_done() -> None:
    log: list[str] = []
    jobs = work(log, a=[BusyError("busy"), BusyError("busy")], b=[])
    assert bring_to_end(jobs, log.append, keep_going=False) == [Path("b"), Path("a")]
    assert lines(log) == ["a", "a: busy; looking again later", "b", "a", "a"], "said once"


def test_who_comes_again_later_is_not_told_to_wait() -> None:
    log: list[str] = []
    jobs = work(log, a=[BusyError("another is at it", "wait for it")], b=[])
    bring_to_end(jobs, log.append, keep_going=False)
    assert lines(log)[1] == "a: another is at it; looking again later"


def test_a_failure_ends_all() -> None:
    log: list[str] = []
    with pytest.raises(BenchError, match=r"^no$"):
        bring_to_end(work(log, a=[], b=[BenchError("no")], c=[]), log.append, keep_going=False)
    assert lines(log) == ["a", "b"]


def test_a_failure_ends_only_itself_where_the_others_shall_go_on() -> None:
    log: list[str] = []
    with pytest.raises(BenchError, match=r"^1 of 3 failed, the others are stored: b \(no\)$"):
        bring_to_end(work(log, a=[], b=[BenchError("no")], c=[]), log.append, keep_going=True)
    assert lines(log) == ["a", "b", "b: failed: no", "c"]


@pytest.mark.parametrize("error", [BusyError("busy"), BenchError("no")])
def test_what_not_all_ranks_know_of_ends_all(error: BenchError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_in_touch", lambda: True)
    log: list[str] = []
    with pytest.raises(type(error)):
        bring_to_end(work(log, a=[error], b=[]), log.append, keep_going=True)
    assert lines(log) == ["a"]


def test_what_another_worker_has_failed_at_is_not_tried(tmp_path: Path) -> None:
    log: list[str] = []
    jobs = work(log, a=[], b=[])
    jobs[1] = Work("b", jobs[1].do, lambda: "it was so")
    with pytest.raises(BenchError, match=r"^1 of 2 failed, the others are stored: b \(it was so\)$"):
        bring_to_end(jobs, log.append, keep_going=True)
    assert lines(log) == ["a", "b: failed: it was so"]
    with pytest.raises(BenchError, match=r"^it was so$"):
        bring_to_end(jobs, log.append, keep_going=False)


def test_a_fault_of_the_code_is_shown_whole_and_ends_only_itself(capsys: pytest.CaptureFixture[str]) -> None:
    log: list[str] = []

    def fault() -> list[Path]:
        raise ZeroDivisionError("once")

    with pytest.raises(BenchError, match=r"^1 of 2 failed, .*: b \(ZeroDivisionError: once\)$"):
        bring_to_end([Work("b", fault), *work(log, a=[])], log.append, keep_going=True)
    assert lines(log) == ["b: failed: ZeroDivisionError: once", "a"]
    assert "Traceback" in capsys.readouterr().err


def test_what_remains_is_told_from_what_took_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs were finished before, two took a minute and two; six are left, of ninety seconds each."""
    now = [0.0]
    monkeypatch.setattr(many, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = many.Pace(10)
    for seconds in (0.1, 60.0, 0.1, 120.0):
        now[0] += seconds
        pace.ended(seconds)
    assert pace.line(6) == "elapsed 3:00, about 9:00 left"
    now[0] += 7200
    assert pace.line(1).startswith("elapsed 2:03:00, about 1:01:3")
