"""What a request would do: its runs, which of them are finished, and what the others will take. Nothing is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench import threads
from bench.results import store
from bench.results.read import Result
from bench.runs import overview
from bench.runs.converting import require_same_steps
from bench.runs.estimate import DECLARED, Estimate, earlier, from_earlier, known_steps, size_of
from bench.runs.limits import needs_of, too_large, too_many
from bench.runs.matrix import Plan, prepare
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.short_run import probed
from bench.runs.transfer_run import split_of
from bench.training.arithmetic import accelerator
from bench.training.signals import interrupted_by_sigterm

TO_DO, INTERRUPTED, TOO_LARGE = "to do", "interrupted", "too large"
UNKNOWN = Estimate(None, None, "")


@dataclass(frozen=True)
class Outlook:
    """A run: its title, how many ``tests`` of its model follow, its state, and what it takes where it is to be done."""

    title: str
    tests: int
    state: str
    estimate: Estimate = UNKNOWN

    @property
    def refused(self) -> bool:
        """Whether it needs more than there is here."""
        return self.state == TOO_LARGE

    @property
    def to_do(self) -> bool:
        return self.state not in (overview.FINISHED, TOO_LARGE)


def outlook(plan: Plan, display: Display) -> list[Outlook]:
    """All runs of a plan. BenchError for what ``bench run`` refuses."""
    with interrupted_by_sigterm(), threads.using(threads.asked(plan.threads)):
        groups = prepare(replace(plan, ignore_limits=True), display).groups
        limited = [] if plan.ignore_limits or plan.slurm else [replace(group[0], limited=True) for group in groups]
        if crowded := too_many(limited, plan.jobs):
            display.note(crowded)
        return _Looking(plan, display).at(groups)


class _Looking:
    """Probes are made once for each subject, data and contract, whatever the seed."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self.display = display
        self.ignoring, self.slurm = plan.ignore_limits, plan.slurm
        self.known: list[Result] = earlier(plan.results)
        self.probes: dict[tuple[str, ...], Estimate] = {}

    def at(self, groups: Sequence[Sequence[Request]]) -> list[Outlook]:
        found = []
        for group in groups:
            request, state = group[0], overview.standing(group).state
            require_same_steps(request, partial(self._noted, request))
            folder = request.run.folder(request.results)
            if state == overview.WAITING:
                state = INTERRUPTED if store.partial_folder(folder).exists() else TO_DO
            refusal = "" if self.ignoring else too_large(request, self.slurm)
            if refusal:
                self.display.note(refusal)
                state = TOO_LARGE
            estimate = UNKNOWN if state == overview.FINISHED else self.estimate(request, bool(refusal))
            found.append(Outlook(request.run.title, len(group) - 1, state, estimate))
        return found

    def _noted(self, request: Request, line: str) -> None:
        self.display.note(f"{request.run.title}: {line}")

    def estimate(self, request: Request, refused: bool = False) -> Estimate:
        """From an earlier run, else from a few steps; of what is refused, and is not tried, what its scheme says."""
        if refused and (needs := needs_of(request)):
            return Estimate(needs.seconds or None, needs.memory / 1e6, DECLARED)
        split = split_of(request)
        size = size_of(request, split, known_steps(request))
        known = from_earlier(request, size, self.known)
        if known:
            return known
        scheme = request.scheme_facts
        key = (scheme.name, str(scheme.stated), request.fingerprint, request.run.contract_id)
        if key not in self.probes:
            self.display.say(f"{request.run.title}: no earlier run to go by; timing a few steps")
            warnings.filterwarnings("ignore", message=".*pin_memory.*")
            self.probes[key] = probed(request, split, size, self.display, accelerator())
        return self.probes[key]
