"""How far a command with several workers is, and what time remains."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import BenchError, PartlyFailedError
from bench.runs import overview, worker
from bench.runs.matrix import Plan
from bench.runs.overview import FAILED, FINISHED, RUNNING, WAITING, Overview, Standing


def test_the_time_that_remains_falls_and_is_told_from_runs_that_took_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs, one of which fails at once, and one is over between two looks; the others take a minute each."""
    now, states = [0.0], dict.fromkeys("abcd", WAITING)
    monkeypatch.setattr(overview, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(overview, "standing", lambda name: Standing(name, states[name]))
    seen = Overview(["a", "b", "c", "d"])  # type: ignore[list-item]

    def line(at: float, **found: str) -> str:
        now[0] = at
        states.update(found)
        seen.look()
        return seen.line()

    assert line(5, a=FAILED, b=FINISHED, c=RUNNING) == "run 3 of 4: 1 finished, 1 running, 1 failed; elapsed 0:05"
    assert line(40).endswith("elapsed 0:40"), "nothing has ended that tells how long the rest takes"
    assert line(60, c=FINISHED, d=RUNNING).endswith("elapsed 1:00, about 1:00 left")
    assert line(90).endswith("elapsed 1:30, about 0:30 left")
    assert line(130).endswith("elapsed 2:10"), "it takes longer than the other has"
    assert line(140, d=FINISHED).endswith("elapsed 2:20")


@pytest.mark.parametrize(
    ("error", "said"), [(PartlyFailedError("1 of 3 failed", []), ""), (BenchError("no room"), "bench: no room\n")]
)
def test_a_worker_leaves_it_to_the_command_to_sum_up_what_failed(
    error: BenchError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(plan: Plan) -> None:
        raise error

    plan = Plan([], ["pop"], ["toy"], (0,), "smoke", [], tmp_path)
    monkeypatch.setattr(worker, "execute", fail)
    monkeypatch.setattr(worker, "end_with_parent", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["worker", "1", worker.as_json(plan)])
    with pytest.raises(SystemExit) as ended:
        worker.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == said
