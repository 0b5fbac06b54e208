"""A budget of processor time or FLOPs as a number of steps: converted once, and then the same for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import ranks
from bench.contract import amount
from bench.results import store
from bench.runs.request import Request
from bench.training.budget import convert
from bench.training.loop import Job
from bench.training.probe import step_cost


def converted(request: Request, job: Job, partial: Path, spent: float) -> Mapping[str, Any]:
    """What the budget of a request comes to, ``steps`` above all, the same in every process.

    Known already is what was asked for, what this run was begun with, or what another seed of it has. Else it is
    measured on ``job``, the first stage; of processor time, identifiers have ``spent`` some already.
    """
    asked, at = request.contract.budget, job.accelerator
    known = {"asked": asked, "steps": request.converted} if request.converted else {}
    found: Mapping[str, Any] = ranks.shared(lambda: known or store.converted(request.run.folder(request.results)))
    if not found:
        allowed = amount(asked)
        cost = step_cost(job, allowed)
        found = ranks.shared(lambda: asdict(convert(asked, allowed, cost, spent if allowed.unit == "seconds" else 0.0)))
    if at.is_main_process:
        store.note_budget(partial, found)
    return found
