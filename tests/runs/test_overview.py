"""How far a command with several workers is, and what time remains."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.runs import overview
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
