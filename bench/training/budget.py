"""How long training is: the contract's budget as optimizer steps, and the learning rate that follows them.

Every row of a table has the same budget, schemes and trained baselines alike. Epochs and target examples say how many
steps that is at once. Processor time and FLOPs are converted once for each row, by what a step of it takes
(``bench.training.probe``); from then on the number of steps alone counts, so the clock never decides a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.contract import Amount, Contract
from bench.errors import BenchError

CONVERTED = "budget.json"  # in the folder of a baseline that trains: what its budget was converted to
OF_TRIALS = "trials"  # in a stored budget, where sizes were searched: the steps of all trials


@dataclass(frozen=True)
class Converted:
    """A budget of processor time or FLOPs, as it was converted: ``unit`` of ``per_step``, and what was ``spent`` of it
    before training began, by what a scheme trains of its own.
    """

    asked: str
    steps: int
    per_step: float = 0.0
    spent: float = 0.0


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches of an epoch: of nearly equal size, none above ``batch_size``."""
    return -(-examples // batch_size)


def whole_steps(contract: Contract, examples: int, converted: int = 0) -> int:
    """Optimizer steps of a row in all, where an epoch has so many ``examples``.

    ``converted`` are the steps of a budget of time or FLOPs. BenchError where there is such a budget and they are not
    known.
    """
    per_epoch = steps_per_epoch(examples, contract.batch_size)
    if contract.budget:
        if not converted:
            raise BenchError(f"the budget {contract.budget} has not been converted to steps")
        whole = converted
    elif contract.target_examples:
        whole = max(1, round(contract.target_examples * per_epoch / examples))
    else:
        whole = contract.epochs * per_epoch
    return min(whole, contract.max_steps or whole)


def stage_steps(whole: int, before: float, fraction: float) -> int:
    """Those of a stage behind others that had the fraction ``before``. What is rounded is where stages meet, so that
    they sum to the whole budget.
    """
    end = round(whole * (before + fraction))
    return max(1, end - round(whole * before)) if fraction else 0


def schedule(kind: str, warmup: float, step: int, total: int) -> float:
    """The learning rate of a step as a fraction of its peak: linear warm-up, then the decay to zero (``cosine`` or
    ``linear``; ``constant`` stays).
    """
    first = round(warmup * total)
    if step < first:
        return (step + 1) / first
    done = (step - first) / max(1, total - first)
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[kind]


def convert(asked: str, budget: Amount, per_step: float, spent: float = 0.0) -> Converted:
    """So many steps fit into what is left of a budget. BenchError where not one does."""
    steps = math.floor((budget.value - spent) / per_step)
    if steps < 1:
        own = f" and {spent:.3g} of them went into identifiers before" if spent else ""
        raise BenchError(
            f"a budget of {asked} is not one optimizer step, which takes {per_step:.3g} {budget.unit}{own}; raise it"
        )
    return Converted(asked, steps, per_step, spent)
