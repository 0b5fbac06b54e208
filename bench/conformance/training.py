"""Requirements on the training of a scheme's stages, proved on a tiny recommender."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from bench.conformance.fixtures import Fixtures
from bench.conformance.process import STOP_AFTER, Stopped
from bench.conformance.result import CheckResult, failed, passed
from bench.errors import said
from bench.ids.scheme import Stage, Trained
from bench.model.recommender import Recommender, recommender_under
from bench.runs.progress import Bar, Display
from bench.runs.request import Request
from bench.runs.scheme_run import SchemeRun
from bench.training.checkpoint import TrainingState
from bench.training.examples import sliding_windows

SAMPLE = 256  # training examples whose loss is looked at


class Watched(SchemeRun):
    """A run that counts what its training reports, and breaks off at one of the reports."""

    reports, stop_at = 0, -1

    def reporter(self, stage: Stage, bar: Bar) -> Callable[[int, int, Mapping[str, float]], None]:
        tell = super().reporter(stage, bar)

        def progress(step: int, total: int, stats: Mapping[str, float]) -> None:
            self.reports += 1
            if self.reports == self.stop_at:
                raise Stopped
            tell(step, total, stats)

        return progress


@dataclass(frozen=True)
class Outcome:
    """What the stages came to: what is tested, how each stage ended, and its loss before and after."""

    trained: Trained
    stages: tuple[tuple[Stage, TrainingState], ...]
    reports: int
    before: float
    after: float


def learns(fixtures: Fixtures) -> CheckResult:
    """A tiny training lowers the loss."""
    advice = "check stages: a budget_fraction each that sum to 1, an lr_scale above 0; and that identifiers leave "
    advice += "something to learn"
    try:
        outcome = trained_once(fixtures)
    except Exception as error:  # stages are a stranger's code
        return failed(f"training failed: {said(error)}", advice)
    steps = sum(state.step for _, state in outcome.stages)
    change = f"{outcome.before:.3f} to {outcome.after:.3f} a prediction in {steps} steps"
    if math.isfinite(outcome.after) and outcome.after < outcome.before:
        return passed(f"the training loss went from {change}")
    return failed(f"the training loss went from {change}", advice)


def resumable(fixtures: Fixtures) -> CheckResult:
    """A training that was killed and is started again ends where one ends that was never stopped."""
    advice = "let stages depend on their arguments alone, and draw from train.random(): finished ones are replayed"
    try:
        whole = trained_once(fixtures)
        run = _run(fixtures, "stopped")
        run.stop_at = max(1, round(STOP_AFTER * whole.reports))
        try:
            run.trained(fixtures.ids)
        except Stopped:
            again, stages = _run(fixtures, "stopped").trained(fixtures.ids)
        else:
            return failed("a training that was to be stopped made fewer steps than the one before", advice)
    except Exception as error:
        return failed(f"training failed: {said(error)}", advice)
    for (one, state), (other, resumed) in zip(whole.stages, stages, strict=False):
        if (one.name, state.step, state.curve) != (other.name, resumed.step, resumed.curve):
            return failed(f"stage '{one.name}' went another way when it was started again", advice)
    if len(stages) != len(whole.stages) or not _equal(whole.trained.recommender, again.recommender):
        return failed("after a stop the recommender is another", advice)
    return passed(f"killed after {STOP_AFTER:.0%} of the way and started again, it ends with the same weights")


def trained_once(fixtures: Fixtures) -> Outcome:
    """The stages trained without a break; kept with the fixtures."""
    if fixtures.trained is None:
        run = _run(fixtures, "whole")
        trained, stages = run.trained(fixtures.ids)
        recommender, contract = trained.recommender, run.contract
        untrained = run.first_backbone(recommender.ids)
        before = recommender_under(contract, recommender.ids, untrained)
        losses = loss(fixtures, before.eval()), loss(fixtures, recommender)
        fixtures.trained = Outcome(trained, tuple(stages), run.reports, *losses)
    return fixtures.trained


def loss(fixtures: Fixtures, recommender: Recommender) -> float:
    """The mean loss of a prediction over a fixed sample of training examples."""
    windows = sliding_windows(fixtures.split.train.sequences, fixtures.contract.max_history)
    rows = np.random.default_rng(fixtures.asked.seed).permutation(len(windows))[:SAMPLE]
    items = windows.items(rows)
    with torch.no_grad():
        batch = recommender.collate(windows.histories(rows), items)
        return float(recommender(batch)) / max(1, recommender.targets(items))


def _run(fixtures: Fixtures, name: str) -> Watched:
    """A run as `bench run` makes it, with a scheme that has fitted nothing: identifiers come from the cache there."""
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    asked, scheme = fixtures.asked, type(fixtures.scheme)(fixtures.scheme.settings)
    request = Request(scheme, fixtures.data, fixtures.contract, asked.seed, None, fixtures.folder / name)
    partial = fixtures.folder / name
    partial.mkdir(exist_ok=True)
    return Watched(request, scheme, fixtures.split, partial, Display(loud=False), Accelerator(cpu=True))


def _equal(one: Recommender, other: Recommender) -> bool:
    mine: dict[str, Tensor] = one.state_dict()
    theirs: dict[str, Tensor] = other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
