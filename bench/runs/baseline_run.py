"""One baseline: it is fitted, and test is read once."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.data.splits import Split
from bench.evaluation.baseline import Baseline, Facts, TrainedBaseline, Workshop
from bench.evaluation.cost import Stopwatch
from bench.evaluation.metrics import Ranks
from bench.evaluation.ranking import score_targets
from bench.runs import curves, store
from bench.runs.progress import Bar, Display
from bench.runs.record import Outcome
from bench.runs.request import Request


def baseline_outcome(
    request: Request, baseline: Baseline | TrainedBaseline, split: Split, partial: Path, display: Display
) -> Outcome:
    """Fit, then rank the test targets by the baseline's scores. What it leaves in its workshop is removed."""
    if isinstance(baseline, TrainedBaseline):
        return _trained(request, baseline, split, partial, display)
    watch = Stopwatch()
    baseline.fit(request.view(split.train))
    facts = Facts(None, None, watch.seconds)
    return _outcome(split, facts, *_tested(request, baseline, split, display))


def _trained(request: Request, baseline: TrainedBaseline, split: Split, partial: Path, display: Display) -> Outcome:
    sample, _ = split.validation.parted(request.contract.validation_users, request.seed)
    workshop = partial / "workshop"
    with store.writable(partial):
        workshop.mkdir(exist_ok=True)
    try:
        with display.bar(f"{request.cell.title}: train", 1) as bar:
            baseline.fit(request.view(split.train), sample, _workshop(request, workshop, bar))
        tested = _tested(request, baseline, split, display)
        outcome = _outcome(split, baseline.facts(), *tested)
    finally:
        baseline.close()
    curve = (outcome.training or {}).get("curve", [])
    curves.rewrite(partial, (curves.line("train", point) for point in curve))
    shutil.rmtree(workshop)
    return outcome


def _workshop(request: Request, folder: Path, bar: Bar) -> Workshop:
    contract = request.contract
    return Workshop(
        folder=folder.resolve(),
        log=folder.parent.resolve() / "training.log",
        selection=contract.selection,
        max_history=contract.max_history,
        exclude_history=contract.exclude_history,
        report=curves.reporter(folder.parent, "train", bar),
    )


def _tested(
    request: Request, baseline: Baseline | TrainedBaseline, split: Split, display: Display
) -> tuple[Ranks, float]:
    """The one reading of the test targets, and the seconds it took."""
    watch, items = Stopwatch(), len(split.train.items)
    with display.bar(f"{request.cell.title}: test", len(split.test)) as bar:
        ranks = score_targets(baseline, split.test, items, request.contract.exclude_history, bar.advance)
    return ranks, watch.seconds


def _outcome(split: Split, facts: Facts, ranks: Ranks, seconds: float) -> Outcome:
    costs = {
        "parameters": facts.parameters,
        "fit_seconds": facts.fit_seconds,
        "train_seconds": facts.train_seconds,
        "inference_seconds_per_1000_users": 1000 * seconds / len(split.test),
    }
    if facts.peak_memory_mb is not None:
        costs["peak_memory_mb"] = facts.peak_memory_mb
    return Outcome(ranks, True, costs, training=facts.training or None)
