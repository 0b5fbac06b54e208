"""Ten steps of a run, timed: what is known of one that was never done. Nothing of it is kept but identifiers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from bench.contract import CUTOFFS, amount
from bench.data.splits import Split, Targets
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline, TrainedBaseline, TrainingContext
from bench.ids.scheme import IdScheme
from bench.model.recommender import recommender_under
from bench.runs.attribution import attribute_errors
from bench.runs.converting import spent_on
from bench.runs.estimate import Estimate, Size, size_of
from bench.runs.fitting import fitted
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.scheme_run import SchemeRun
from bench.training.budget import convert
from bench.training.cost import MemoryMeter, Stopwatch
from bench.training.loop import Job, seed_everything
from bench.training.probe import step_flops, wall_seconds
from bench.training.ranking import evaluate, score_targets

STEPS = 10
USERS = 64  # of validation, to time an inference
PROBE, FIT = "probe", "fit"  # what an estimate is from


def probed(request: Request, split: Split, size: Size, display: Display, accelerator: Accelerator) -> Estimate:
    """What these few steps say of the whole run."""
    split = split.on(accelerator.device)
    users = split.validation.take(np.arange(min(USERS, len(split.validation))))
    with tempfile.TemporaryDirectory() as folder, MemoryMeter() as memory, attribute_errors(request.subject):
        if isinstance(request.subject, IdScheme):
            run = SchemeRun(request, request.subject, split, Path(folder), display, accelerator)
            seconds, peak, source = _scheme(run, request.subject, users, size), None, PROBE
        elif isinstance(request.subject, TrainedBaseline):
            seconds, peak = _trained(request, request.subject, split, users, size, Path(folder), display)
            source = PROBE
        else:
            seconds, peak, source = _counted(request, request.subject, split, users, size), None, FIT
    return Estimate(seconds, round(memory.peak_mb if peak is None else peak, 1), source)


def _scheme(run: SchemeRun, scheme: IdScheme, users: Targets, size: Size) -> float:
    """Identifiers, the first stage's steps as those of all, and validation and test as a few users took."""
    request = run.request
    view = request.view(run.split.train)
    ids, notes = fitted(scheme, view, request.results, request.run.title, run.display)
    stage = next(iter(scheme.stages(replace(view, cache=request.results / "cache", cached_seconds=[]), ids)))
    seed_everything(request.seed, 0, 1)
    recommender = recommender_under(run.contract, stage.ids, run.start(stage, None))
    recommender = recommender if stage.wrap_model is None else stage.wrap_model(recommender)
    recommender.to(run.accelerator.device)
    job = Job(
        recommender=recommender,
        sequences=run.split.train.sequences,
        contract=run.contract,
        seed=request.seed,
        stage=stage,
        validate=lambda: {run.contract.selection: 0.0},
        held_out=run.held_out,
        path=run.partial / "unused.safetensors",
        accelerator=run.accelerator,
        part_users=request.part_users,
    )
    per_step = wall_seconds(job, STEPS)
    size = _converted(request, run.split, size, per_step, lambda: step_flops(job), spent_on(notes), run.display)
    watch = Stopwatch()
    with recommender.fixed_weights():
        evaluate(recommender, users, run.decoding, max(CUTOFFS), run.accelerator)
    per_user = watch.seconds / len(users)
    return notes["seconds"] + _training(size, per_step) + per_user * _ranked(size)


def _converted(
    request: Request,
    split: Split,
    size: Size,
    per_step: float,
    flops: Callable[[], float | None],
    spent: Mapping[str, float],
    display: Display,
) -> Size:
    """The size with the steps that a budget of time or FLOPs comes to, where these are not known. What the run would
    refuse is said.
    """
    if size.steps or not request.contract.budget:
        return size
    asked, allowed = request.contract.budget, amount(request.contract.budget)
    try:
        each = per_step if allowed.unit == "seconds" else flops()
        return size_of(request, split, convert(asked, allowed, each, spent[allowed.unit]).steps) if each else size
    except BenchError as error:
        display.note(f"{request.run.title}: {error}")
        return size


def _training(size: Size, per_step: float) -> float:
    """Of all steps."""
    return size.steps * per_step


def _ranked(size: Size) -> int:
    """Users that are ranked in all, at validation and in the test."""
    return size.looks * size.validated + size.tested


def _trained(
    request: Request,
    baseline: TrainedBaseline,
    split: Split,
    users: Targets,
    size: Size,
    folder: Path,
    display: Display,
) -> tuple[float, float | None]:
    """What it says of its own training of a few steps; of one that has no steps, all of it. And of its peak memory."""
    contract = replace(request.contract, budget="", target_examples=0, epochs=STEPS, max_steps=STEPS, validate_every=1)
    context = TrainingContext(folder=folder, log=folder / "training.log", contract=contract)
    watch = Stopwatch()
    try:
        baseline.fit(request.view(split.train), users, context)
        whole = watch.seconds
        watch = Stopwatch()
        score_targets(baseline, users, len(split.train.items), contract.exclude_history)
        per_user, facts = watch.seconds / len(users), baseline.facts()
    finally:
        baseline.close()
    if not facts.steps:
        return whole + per_user * size.tested, facts.peak_memory_mb
    beside = max(0.0, whole - facts.training_seconds)
    per_step, flops = facts.training_seconds / facts.steps, (facts.training_flops or 0.0) / facts.steps
    size = _converted(request, split, size, per_step, lambda: flops, {"seconds": 0.0, "FLOPs": 0.0}, display)
    return beside + _training(size, per_step) + per_user * _ranked(size), facts.peak_memory_mb


def _counted(request: Request, baseline: Baseline, split: Split, users: Targets, size: Size) -> float:
    watch = Stopwatch()
    baseline.fit(request.view(split.train))
    fitting, watch = watch.seconds, Stopwatch()
    score_targets(baseline, users, len(split.train.items), request.contract.exclude_history)
    return fitting + watch.seconds / len(users) * size.tested
