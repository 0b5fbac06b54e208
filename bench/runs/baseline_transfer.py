"""The baseline of a finished run on other data, without any training: on each part of the joined data set that it was
fitted on, and on catalogues that it has never seen (zero-shot). What schemes do is in ``bench.runs.transfer_run``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences
from bench.data.joined import PartRange, part_range
from bench.data.splits import Split, Targets
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.evaluation.metrics import Ranks
from bench.evaluation.warm_cold import ITEM_GROUPS, Mask, by_group, is_warm
from bench.ids.scheme import IdScheme
from bench.results.digests import RESULT
from bench.results.read import read
from bench.results.write import Outcome
from bench.runs.adapting import adapted_baseline
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.transfer_run import model_folder, unseen, weights
from bench.training.cost import Stopwatch
from bench.training.ranking import Scorer, score_targets, scores_of


def transferred_baseline(request: Request, split: Split, partial: Path, display: Display) -> Outcome:
    """Read the baseline back, rank the test targets among the items of the catalogue."""
    home, subject = model_folder(request), request.subject
    assert not isinstance(subject, IdScheme), "schemes transfer in transfer_run"
    baseline = type(subject)(subject.settings)  # whatever the present one was fitted on
    try:
        scorer = _scorer(request, baseline, home, split.train.device)
        learned = adapted_baseline(request, baseline, split, partial, display) if request.adapted_on else {}
        return _outcome(request, scorer, split, home, learned, display)
    finally:
        if isinstance(baseline, TrainedBaseline):
            baseline.close()


def _scorer(request: Request, baseline: Baseline | TrainedBaseline, home: Path, device: str) -> Scorer:
    """How the items of the catalogue are scored: of a part as in the joined data set, of an unseen one anew."""
    by = request.trained_by
    at = by and part_range(by.dataset, request.dataset)
    if at:
        baseline.restore(home)
        return functools.partial(_scores_of_part, baseline, at)
    baseline.transfer(unseen(request, device), home)
    return functools.partial(_scores_of_unseen, baseline)


def _scores_of_part(baseline: Baseline | TrainedBaseline, at: PartRange, part: Targets) -> NDArray[np.float32]:
    seen = Sequences(part.seen.values + np.int32(at.items.start), part.seen.offsets)
    whole = replace(part, users=part.users + at.users.start, seen=seen)
    return scores_of(baseline, whole)[:, at.items]


def _scores_of_unseen(baseline: Baseline | TrainedBaseline, part: Targets) -> NDArray[np.float32]:
    """Its users are unknown as well."""
    return scores_of(baseline, replace(part, users=np.full(len(part), -1, np.int64)))


def _outcome(
    request: Request, scorer: Scorer, split: Split, home: Path, learned: Mapping[str, Any], display: Display
) -> Outcome:
    items = len(request.dataset.items)

    def rank(name: str, targets: Targets, candidates: Mask | None) -> tuple[Ranks, bool]:
        with display.bar(f"{request.run.title}: {name}", len(targets)) as bar:
            exclude = request.contract.exclude_history
            return score_targets(scorer, targets, items, exclude, bar.advance, candidates), True

    watch, model = Stopwatch(), read(home / RESULT, str(home))
    whole = rank("test", split.test, None)
    costs = asdict(model.costs) | {"inference_seconds_per_1000_users": 1000 * watch.seconds / len(split.test)}
    origin = {"model": home.relative_to(request.results).as_posix(), "weights": weights(model)}
    warm = is_warm(split.train.sequences, items)
    groups = dict.fromkeys(ITEM_GROUPS) if request.unseen else by_group(split.test, warm, whole, rank)
    return Outcome(*whole, costs, training={**origin, **learned}, item_groups=groups, warnings=request.warnings)
