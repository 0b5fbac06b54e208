"""What a request would do: its runs, which of them are finished, and what the others will take. Nothing is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from bench import threads
from bench.results import store
from bench.results.read import Result
from bench.runs import overview
from bench.runs.estimate import Estimate, earlier, from_earlier, size_of
from bench.runs.matrix import Plan, prepare
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.short_run import probed
from bench.runs.transfer_run import split_of
from bench.training.signals import interrupted_by_sigterm

TO_DO, INTERRUPTED = "to do", "interrupted"
UNKNOWN = Estimate(None, None, "")


@dataclass(frozen=True)
class Outlook:
    """A run: its title, how many ``tests`` of its model follow, its state, and what it takes where it is to be done."""

    title: str
    tests: int
    state: str
    estimate: Estimate = UNKNOWN

    @property
    def to_do(self) -> bool:
        return self.state != overview.FINISHED


def outlook(plan: Plan, display: Display) -> list[Outlook]:
    """All runs of a plan. BenchError for what ``bench run`` refuses."""
    with interrupted_by_sigterm(), threads.using(threads.asked(plan.threads)):
        groups = prepare(plan, display).groups
        return _Looking(plan, display).at(groups)


class _Looking:
    """Probes are made once for each subject, data and contract, whatever the seed."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self.display = display
        self.known: list[Result] = earlier(plan.results)
        self.probes: dict[tuple[str, ...], Estimate] = {}

    def at(self, groups: Sequence[Sequence[Request]]) -> list[Outlook]:
        found = []
        for group in groups:
            request, state = group[0], overview.standing(group).state
            folder = request.run.folder(request.results)
            if state == overview.WAITING:
                state = INTERRUPTED if store.partial_folder(folder).exists() else TO_DO
            estimate = UNKNOWN if state == overview.FINISHED else self.estimate(request)
            found.append(Outlook(request.run.title, len(group) - 1, state, estimate))
        return found

    def estimate(self, request: Request) -> Estimate:
        split = split_of(request)
        size = size_of(request, split)
        known = from_earlier(request, size, self.known)
        if known:
            return known
        scheme = request.scheme_facts
        key = (scheme.name, str(scheme.stated), request.fingerprint, request.run.contract_id)
        if key not in self.probes:
            self.display.say(f"{request.run.title}: no earlier run to go by; timing a few steps")
            self.probes[key] = probed(request, split, size, self.display, _accelerator())
        return self.probes[key]


def _accelerator() -> Accelerator:
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    return Accelerator(cpu=not torch.cuda.is_available())
