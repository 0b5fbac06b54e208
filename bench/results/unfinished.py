"""Runs of a results folder that are under way, were interrupted, or have failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench import files
from bench.results import leases, store

HIDDEN = re.compile(r"\.(?P<seed>.+?)\.(?:partial(?:-\d+)?|lease-\d+)")
RUNNING, INTERRUPTED, FAILED = "running", "interrupted", "failed"


@dataclass(frozen=True)
class Unfinished:
    """``folder`` is relative to ``results/runs``; ``state`` as above, and ``note`` says more of it."""

    folder: str
    state: str
    note: str


def unfinished(results: Path) -> list[Unfinished]:
    """All of them, sorted. A run that was finished before and is made again is one as well."""
    runs = results / "runs"
    hidden = files.matching(runs, "*/*/*/.*")
    homes = {path.with_name(found["seed"]) for path in hidden if (found := HIDDEN.fullmatch(path.name))}
    states = ((home.relative_to(runs).as_posix(), _state(home)) for home in sorted(homes))
    return [Unfinished(folder, *state) for folder, state in states if state]


def _state(folder: Path) -> tuple[str, str] | None:
    if holder := leases.holder_of(folder):
        return RUNNING, f"process {holder}{f': {holder.note}' if holder.note else ''}"
    if failure := leases.failure(folder):
        return FAILED, failure.reason
    if store.partial_folder(folder).exists():
        note = leases.last_holder(folder).note
        return INTERRUPTED, f"rerun to resume{f', at {note}' if note else ''}"
    return None
