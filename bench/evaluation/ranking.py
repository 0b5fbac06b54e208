"""From a recommender and targets to ranks: users in batches of like length, shared out over processes, none counted
twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from bench.data.splits import Targets
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.evaluation.metrics import Ranks, from_scores, from_slots
from bench.model.recommender import Decoding, Recommender

SCORED_AT_ONCE = 1 << 24  # item scores of a baseline held in memory at a time


def evaluate(
    recommender: Recommender,
    targets: Targets,
    decoding: Decoding,
    slots: int,
    accelerator: Accelerator,
    advance: Callable[[int], None] = lambda users: None,
) -> tuple[Ranks, bool]:
    """The rank of every target, in the order of ``targets``, and whether every item was ranked. ``advance`` gets users
    done.
    """
    check_cutoff(slots, len(recommender.ids))
    recommender.eval()
    order = np.argsort(recommender.input_lengths(targets.histories), kind="stable")
    size = users_at_once(recommender)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if decoding.decoder == "exact":
        slots = len(recommender.ids)
    found, complete = [], True
    for rows in batches[accelerator.process_index :: accelerator.num_processes]:
        ranked = recommender.rank(targets.histories.rows(rows), slots, decoding)
        found.append(
            (rows, from_slots(ranked.items, ranked.valid, targets.items[rows], recommender.ids.groups, ranked.scores))
        )
        complete = complete and ranked.complete
        advance(len(rows) * accelerator.num_processes)
    if accelerator.num_processes > 1:
        found = gather_object(found)
    rows = np.concatenate([rows for rows, _ in found])
    ranks = Ranks.join([ranks for _, ranks in found])
    return ranks.take(np.argsort(rows)), complete


def users_at_once(recommender: Recommender) -> int:
    """A batch whose activations stay near the processor's caches, or fill a GPU."""
    users = max(4, 4096 // recommender.t5.config.d_model)
    return users if recommender.device.type == "cpu" else 16 * users


def score_targets(
    baseline: Baseline | TrainedBaseline,
    targets: Targets,
    items: int,
    exclude_history: bool,
    advance: Callable[[int], None] = lambda users: None,
) -> Ranks:
    """The rank of every target under a baseline's scores of the whole catalogue of ``items``."""
    size = max(1, SCORED_AT_ONCE // items)
    parts = []
    for start in range(0, len(targets), size):
        part = targets.take(np.arange(start, min(start + size, len(targets))))
        excluded = None
        if exclude_history:
            excluded = np.zeros((len(part), items), bool)
            excluded[np.repeat(np.arange(len(part)), part.histories.lengths), part.histories.values] = True
        parts.append(from_scores(_scores(baseline, part), part.items, excluded))
        advance(len(part))
    return Ranks.join(parts)


def _scores(baseline: Baseline | TrainedBaseline, part: Targets) -> NDArray[np.float32]:
    if isinstance(baseline, TrainedBaseline):
        return baseline.score(part.users, part.histories)
    return baseline.score(part.histories)


def check_cutoff(cutoff: int, items: int) -> None:
    """BenchError where a metric is asked at more places than there are items."""
    if cutoff > items:
        raise BenchError(
            f"hit@{cutoff} was asked for, but the catalogue has only {items} items; a larger data set is needed"
        )
