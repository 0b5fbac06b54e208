"""A budget of processor time or FLOPs as a number of steps: converted once, and then the same for whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import ranks
from bench.contract import Contract, amount
from bench.errors import BenchError
from bench.results import budgets, store
from bench.runs.request import Request
from bench.training.budget import OF_TRIALS, convert
from bench.training.loop import Job
from bench.training.probe import step_cost

USED = "used"  # processor seconds that the steps took in the end
SIZE = "backbone"  # in a stored budget, where sizes are searched: the one that was measured


def spent_on(notes: Mapping[str, float]) -> dict[str, float]:
    """What identifiers have spent of a budget of either unit, by the notes on how they were made: all processor time,
    that of the clock where it is not known, and the FLOPs of what was trained for them, as far as they are known.
    """
    used = notes.get("processor_seconds")
    return {"seconds": notes["seconds"] if used is None else used, "FLOPs": notes.get("own_flops", 0.0)}


def uncounted(contract: Contract, notes: Mapping[str, float]) -> tuple[str, ...]:
    """A line where a budget of FLOPs was not reduced by those of a scheme's own training, which it doesn't tell."""
    known = "own_flops" in notes or not notes.get("own_steps")
    if known or not contract.budget or amount(contract.budget).unit != "FLOPs":
        return ()
    return (
        f"{notes['own_steps']:,.0f} steps of its own training are not taken off the budget: their FLOPs are unknown",
    )


def converted(
    request: Request, job: Job, partial: Path, spent: Mapping[str, float], trial: bool = False
) -> Mapping[str, Any]:
    """What the budget of a request comes to, ``steps`` above all, the same in every process.

    Known already is what was asked for, what this run was begun with, or what another seed of it has. Else it is
    measured on ``job``, the first stage; identifiers have ``spent`` some of each unit already (``spent_on``).

    Where sizes are searched, every ``trial`` has the steps of the first, so that they are compared at equal steps, and
    a size that was chosen has its own.
    """
    asked, at, folder = request.contract.budget, job.accelerator, request.run.folder(request.results)
    sizes = request.search is not None and SIZE in dict(request.search.lines)
    size = job.contract.backbone

    def fits(found: Mapping[str, Any]) -> bool:
        return bool(found) and (trial or not sizes or found.get(SIZE) == size)

    def known() -> Mapping[str, Any]:
        if request.converted:
            return {"asked": asked, "steps": request.converted}
        found = _without_used(budgets.known(folder, fits))
        if trial and OF_TRIALS in found:  # of another seed, perhaps for another size
            return {"asked": asked, "steps": found[OF_TRIALS], OF_TRIALS: found[OF_TRIALS]}
        return found

    found = ranks.shared(known)
    measured = not found
    if measured:
        allowed = amount(asked)
        cost = step_cost(job, allowed)
        found = ranks.shared(lambda: asdict(convert(asked, allowed, cost, spent[allowed.unit])))
        if sizes:
            before = ranks.shared(lambda: budgets.known(folder))
            found = {**found, SIZE: size, OF_TRIALS: before.get(OF_TRIALS, found["steps"])}
    if at.is_main_process:
        budgets.note(partial, found)
    if measured and not sizes:
        mine = found
        found = ranks.shared(lambda: _without_used(budgets.agreed(partial, mine)))
        if at.is_main_process and found != mine:  # another seed was measured at the same time, and was first
            budgets.note(partial, found)
    return found


def _without_used(budget: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in budget.items() if name != USED}


def require_same_steps(request: Request, say: Callable[[str], None]) -> None:
    """BenchError where a run that is unfinished or finished has other steps than its budget is said to be: half of its
    schedule would be that of another length, or a row would be given for one that was not asked for. Where another seed
    of the row has others, that is said.
    """
    told, asked, own = request.converted, request.contract.budget, request.run.folder(request.results)
    if not told or not asked or request.force:
        return
    for home, budget in budgets.of_row(own):
        # not what a limit made of it
        limit = request.contract.max_steps
        before = next((n for n in _steps(budget, told) if min(n, limit or n) != min(told, limit or told)), told)
        if before == told:
            continue
        if home != own:
            say(f"seed {home.name} of this row has {before:,} steps for its budget of {asked}, and this one {told:,}")
        elif store.finished(own) and not store.partial_folder(own).exists():
            raise BenchError(
                f"the finished run has {before:,} steps for its budget of {asked}, and {told:,} are asked for; "
                f"--budget {asked} takes it as it is, --force replaces it, another --results keeps both"
            )
        else:
            raise BenchError(
                f"the unfinished run was begun with {before:,} steps for its budget of {asked}, and {told:,} are asked "
                f"for; --budget {asked} resumes it, --force starts it afresh"
            )


def _steps(budget: Mapping[str, Any], told: int) -> list[int]:
    """Of the row, and of the trials of its search."""
    return [int(budget.get(name, told)) for name in ("steps", OF_TRIALS)]


def with_used(budget: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """A budget of processor time that was measured here, with the ``seconds`` that its steps took in the end."""
    measured = "per_step" in budget and amount(str(budget["asked"])).unit == "seconds"
    return {**budget, USED: round(seconds, 3)} if measured else dict(budget)
