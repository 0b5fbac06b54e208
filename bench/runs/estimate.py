"""How long a run will take and how much memory, before it: from earlier runs of the results folder, or from ten steps.

An earlier run of the same baseline, or of the same scheme with the same backbone, training and precision, is scaled by
target examples; one on the same data goes before others, and the newest before older ones. Where there is none,
identifiers are made (they are kept for the run), and ten steps and a few validation users are timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract import Contract, amount
from bench.data.splits import Split
from bench.errors import BenchError
from bench.results import budgets, store
from bench.results.read import Result, read
from bench.runs.request import Request
from bench.training.budget import steps_per_epoch, whole_steps
from bench.training.examples import of_epoch, sliding_windows

EARLIER, DECLARED = "earlier", "declared"  # what an estimate is from
SAME_MODEL = ("backbone", "training", "precision")  # lines under which a step is another one


@dataclass(frozen=True)
class Estimate:
    """Seconds by the clock on the wall and peak memory in MB, None for what is not known, and what they are from."""

    seconds: float | None
    megabytes: float | None
    source: str


@dataclass(frozen=True)
class Size:
    """What a run will do: optimizer ``steps`` on ``examples`` targets in all, ``looks`` at ``validated`` users, and the
    test of ``tested``. Of a budget of time or FLOPs whose steps nobody knows yet, steps and examples are 0.
    """

    steps: int
    examples: float
    looks: int
    validated: int
    tested: int


def known_steps(request: Request) -> int:
    """Of a budget of time or FLOPs, where they were given with it, or the row has them already; else 0."""
    if request.converted or not request.contract.budget:
        return request.converted
    return int(budgets.known(request.run.folder(request.results)).get("steps", 0))


def size_of(request: Request, split: Split, converted: int = 0) -> Size:
    """By the contract: training may end before, where validation no longer improves. ``converted`` are the steps of a
    budget of time or FLOPs.
    """
    contract = request.contract
    windows = sliding_windows(split.train.sequences, contract.max_history)
    per_epoch = len(of_epoch(windows, contract, request.part_users, request.seed, 0))
    batches = steps_per_epoch(per_epoch, contract.batch_size)
    steps = whole_steps(contract, per_epoch, converted) if converted or not contract.budget else 0
    looks = -(-steps // (batches * contract.validate_every))
    selecting, _ = split.validation.parted(contract.validation_users, request.seed)
    return Size(steps, steps * per_epoch / batches, looks, len(selecting), len(split.test))


def earlier(results: Path) -> list[Result]:
    """All runs that can be read; what is broken is not this command's business."""
    found = []
    for file in store.readable(results / "runs"):
        try:
            found.append(read(file, file.parent.relative_to(results).as_posix()))
        except BenchError:
            continue
    return found


def from_earlier(request: Request, size: Size, known: Sequence[Result]) -> Estimate | None:
    """As an earlier run took, scaled to this one; None where there is none of the same name and model."""
    alike = [run for run in known if _alike(request, run)]
    if not alike:
        return None
    same = request.dataset.name
    run = max(alike, key=lambda run: (run.dataset.name == same, run.created))
    grown = len(request.dataset.sequences.values) / max(1, run.dataset.interactions)
    seconds = [_making(request, run), _training(request.contract, size, run, grown)]
    seconds += [_validating(size, run, grown), _testing(size, run)]
    return Estimate(sum(seconds), run.costs.peak_memory_mb, EARLIER)


def _alike(request: Request, run: Result) -> bool:
    subject = request.subject
    if run.scheme.name != subject.name or run.trained_on or (run.scheme.kind == "baseline") != request.is_baseline:
        return False
    mine = request.conditions
    return all(mine.get(line) == run.contract.get(line) for line in SAME_MODEL) or request.is_baseline


def _making(request: Request, run: Result) -> float:
    """Of identifiers, by the number of items."""
    return (run.costs.id_construction_seconds or 0.0) * len(request.dataset.items) / max(1, run.dataset.items)


def _training(contract: Contract, size: Size, run: Result, grown: float) -> float:
    """By target examples; by interactions where none were counted; a budget of time is its own estimate."""
    took, did = run.costs.training_seconds or 0.0, run.costs.target_examples
    if contract.budget and did and not size.steps:
        allowed = amount(contract.budget)
        per_flop = took / run.costs.training_flops if run.costs.training_flops else 0.0
        return allowed.value if allowed.unit == "seconds" else allowed.value * per_flop
    return took * (size.examples / did if did else grown)


def _validating(size: Size, run: Result, grown: float) -> float:
    took, looks = run.costs.validation_seconds or 0.0, run.costs.looks
    users = int(run.contract.get("validation_users") or 0) or 0.8 * run.split.get("validation_users", 0)
    users = min(users, 0.8 * run.split.get("validation_users", 0)) or 1
    return took * (size.looks * size.validated / (looks * users) if looks and size.looks else grown)


def _testing(size: Size, run: Result) -> float:
    return (run.costs.inference_seconds_per_1000_users or 0.0) * size.tested / 1000
