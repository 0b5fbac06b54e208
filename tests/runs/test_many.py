"""One run of many that is busy is tried again; one that fails ends all, or only itself."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    return [(name, Job(log, name, *errors)) for name, errors in jobs.items()]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "LOOK_EVERY", 0.0)


def test_one_after_the_other() -> None:
    log: list[str] = []
    assert bring_to_end(work(log, a=[], b=[]), log.append, keep_going=False) == [Path("a"), Path("b")]
    assert log == ["a", "b"]


def test_what_is_busy_is_tried_again_when_the_others_are_done() -> None:
    log: list[str] = []
    jobs = work(log, a=[BusyError("busy"), BusyError("busy")], b=[])
    assert bring_to_end(jobs, log.append, keep_going=False) == [Path("b"), Path("a")]
    assert log == ["a", "a: busy; looking again later", "b", "a", "a"], "said once"


def test_a_failure_ends_all() -> None:
    log: list[str] = []
    with pytest.raises(BenchError, match=r"^no$"):
        bring_to_end(work(log, a=[], b=[BenchError("no")], c=[]), log.append, keep_going=False)
    assert log == ["a", "b"]


def test_a_failure_ends_only_itself_where_the_others_shall_go_on() -> None:
    log: list[str] = []
    with pytest.raises(BenchError, match=r"^1 of 3 failed, the others are stored: b \(no\)$"):
        bring_to_end(work(log, a=[], b=[BenchError("no")], c=[]), log.append, keep_going=True)
    assert log == ["a", "b", "b: failed: no", "c"]


@pytest.mark.parametrize("error", [BusyError("busy"), BenchError("no")])
def test_several_ranks_go_the_same_way(error: BenchError) -> None:
    log: list[str] = []
    with pytest.raises(type(error)):
        bring_to_end(work(log, a=[error], b=[]), log.append, keep_going=True, alone=False)
    assert log == ["a"]
