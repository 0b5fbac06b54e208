"""Runs that can be done, and how one process brings them to their ends."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accelerate import Accelerator

from bench import ranks
from bench.contract import Contract
from bench.ids.scheme import IdScheme
from bench.results import leases, store
from bench.runs.many import Work, bring_to_end
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.run import run
from bench.training.arithmetic import accelerator, prepare


@dataclass(frozen=True)
class Prepared:
    """Each of the ``groups`` is a run and the tests of its model that follow it. With ``keep_going`` a failure of one
    ends no other.
    """

    groups: Sequence[Sequence[Request]]
    contract: Contract
    results: Path
    keep_going: bool


def carry_out(prepared: Prepared, display: Display) -> list[Path]:
    """Bring every run to its end in this process, or in step with the other ranks, and return the folders."""
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    at = accelerator()
    if at.is_main_process:
        store.tidy(prepared.results)
    if any(isinstance(group[0].subject, IdScheme) for group in prepared.groups):
        for line in prepare(prepared.contract, at.device):
            display.note(line)
    work = [
        Work(
            group[0].run.title,
            partial(_all_of, group, display, at),
            partial(ranks.shared, partial(given_up, group)),  # as the disk of the main rank tells
        )
        for group in prepared.groups
    ]
    return bring_to_end(work, display.say, prepared.keep_going)


def _all_of(group: Sequence[Request], display: Display, at: Accelerator) -> list[Path]:
    return [run(request, display, at) for request in group]


def given_up(group: Sequence[Request]) -> str:
    """Why one of the runs has failed since its command began; empty where none has, or it was finished since."""
    for request in group:
        if reason := leases.failed_since(request.run.folder(request.results), request.asked):
            return reason
    return ""
