"""One baseline: it is fitted, and test is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data.splits import Split, Targets
from bench.evaluation.baseline import Baseline, Facts, TrainedBaseline, TrainingContext, checked_facts
from bench.evaluation.metrics import Ranks
from bench.evaluation.warm_cold import ItemGroup, Mask, by_group, is_warm
from bench.results import budgets, kept, store
from bench.results.write import Outcome
from bench.runs import curves
from bench.runs.progress import Bar, Display
from bench.runs.request import Request
from bench.training.budget import OF_TRIALS
from bench.training.cost import Stopwatch
from bench.training.ranking import score_targets


def baseline_outcome(
    request: Request, baseline: Baseline | TrainedBaseline, split: Split, partial: Path, display: Display
) -> Outcome:
    """Fit, then rank the test targets by the baseline's scores."""
    for warning in request.warnings:
        display.say(f"{request.run.title}: {warning}")
    if isinstance(baseline, TrainedBaseline):
        return _trained(request, baseline, split, partial, display)
    display.moved(f"{request.run.title}: fit")
    watch = Stopwatch()
    baseline.fit(request.view(split.train))
    facts = Facts(None, watch.seconds, processor_seconds=watch.processor_seconds)
    tested = _tested(request, baseline, split, display)
    _save(baseline, split, partial)
    return _outcome(request, split, facts, tested)


def _trained(request: Request, baseline: TrainedBaseline, split: Split, partial: Path, display: Display) -> Outcome:
    sample, _ = split.validation.parted(request.contract.validation_users, request.seed)
    context = partial / store.TRAINING_FOLDER
    try:
        with store.writable(partial), display.bar(f"{request.run.title}: train", 1) as bar:
            context.mkdir(exist_ok=True)
            bar.at(0, "preparing")
            baseline.fit(request.view(split.train), sample, _training_context(request, context, bar, display))
        tested = _tested(request, baseline, split, display)
        _save(baseline, split, partial)
        outcome = _outcome(request, split, checked_facts(baseline.facts(), baseline.name), tested)
    finally:
        baseline.close()
    curve = (outcome.training or {}).get("curve", [])
    curves.rewrite(partial, (curves.line("train", point) for point in curve))
    return outcome


def _save(baseline: Baseline | TrainedBaseline, split: Split, partial: Path) -> None:
    """What a baseline needs to score again, and the items that it scores."""
    if not baseline.saves_state:
        return
    with store.writable(partial):
        baseline.save_state(partial)
        kept.write_catalogue(partial, split.train.items)


def _training_context(request: Request, folder: Path, bar: Bar, display: Display) -> TrainingContext:
    asked = request.contract.budget
    # a search over sizes has steps for its trials and others for its row, and finds its own again
    known = budgets.known(request.run.folder(request.results), lambda each: OF_TRIALS not in each) if asked else {}
    steps = request.converted or int(known.get("steps", 0))
    if asked and steps:  # who resumes it finds them, whatever other seeds come to in the meantime
        budgets.note(folder.parent, {**known, "asked": asked, "steps": steps})
    return TrainingContext(
        folder=folder.resolve(),
        log=folder.parent.resolve() / "training.log",
        contract=request.contract,
        converted=steps,
        progress=curves.reporter(folder.parent, "train", bar),
        say=lambda line: display.say(f"{request.run.title}: {line}"),
    )


@dataclass(frozen=True, eq=False)
class _Tested:
    """Ranks of the test targets, the seconds they took, and the ranks among warm and cold items alone."""

    ranks: Ranks
    seconds: float
    item_groups: Mapping[str, ItemGroup | None]


def _tested(request: Request, baseline: Baseline | TrainedBaseline, split: Split, display: Display) -> _Tested:
    """The one reading of the test targets. What the item groups cost is not counted."""
    items = len(split.train.items)

    def rank(name: str, targets: Targets, candidates: Mask | None) -> tuple[Ranks, bool]:
        with display.bar(f"{request.run.title}: {name}", len(targets)) as bar:
            exclude = request.contract.exclude_history
            return score_targets(baseline, targets, items, exclude, bar.advance, candidates), True

    watch = Stopwatch()
    whole = rank("test", split.test, None)
    seconds = watch.seconds
    return _Tested(whole[0], seconds, by_group(split.test, is_warm(split.train.sequences, items), whole, rank))


def _outcome(request: Request, split: Split, facts: Facts, tested: _Tested) -> Outcome:
    costs = {
        "parameters": facts.parameters,
        "id_construction_seconds": None,
        "training_seconds": facts.training_seconds,
        "validation_seconds": facts.validation_seconds,
        "processor_seconds": facts.processor_seconds,
        "preparation_seconds": facts.preparation_seconds,
        "training_flops": facts.training_flops,
        "steps": facts.steps,
        "target_examples": facts.target_examples,
        "looks": facts.looks,
        "inference_seconds_per_1000_users": 1000 * tested.seconds / len(split.test),
    }
    if facts.peak_memory_mb is not None:
        costs["peak_memory_mb"] = facts.peak_memory_mb
    return Outcome(
        tested.ranks,
        True,
        costs,
        training=facts.training or None,
        item_groups=tested.item_groups,
        warnings=request.warnings,
    )
