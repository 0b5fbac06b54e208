"""From a recommender and targets to ranks: users in batches of like length, shared out over processes, none counted
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from bench import ranks as processes
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.evaluation.metrics import Ranks, exclusion_mask, from_entries, from_scores
from bench.ids.limits import SCORED_AT_ONCE, users_of_width
from bench.model.recommender import Decoding, Recommender

Scorer = Callable[[Targets], NDArray[np.float32]]  # [rows of the targets, items]


def evaluate(
    recommender: Recommender,
    targets: Targets,
    decoding: Decoding,
    k: int,
    accelerator: Accelerator,
    advance: Callable[[int], None] = lambda users: None,
    candidates: NDArray[np.bool_] | None = None,
) -> tuple[Ranks, bool]:
    """The rank of every target, in the order of ``targets``, and whether every item was ranked.

    Every user is decoded once, however many targets it has. ``advance`` gets users done. Only ``candidates [items]``
    are ranked, None for all.
    """
    check_cutoff(k, len(recommender.ids))
    recommender.eval()
    order = np.argsort(recommender.input_lengths(targets.histories), kind="stable")
    size = users_of(recommender, decoding, k)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if decoding.decoder == "exact":
        k = len(recommender.ids)
    elif recommender.scores_all:
        k = min(k + 1, len(recommender.ids))  # shows a tie that goes on past the last rank
    found, complete = [], True
    with recommender.fixed_weights():
        for rows in batches[accelerator.process_index :: accelerator.num_processes]:
            processes.at("ranking users")
            part = targets.take(rows)
            ranks, whole = _ranked(recommender, part, decoding, k, candidates)
            found.append((targets.target_positions(rows), ranks))
            complete = complete and whole
            advance(len(rows) * accelerator.num_processes)
    if accelerator.num_processes > 1:
        found = gather_object(found)
    order = np.argsort(np.concatenate([rows for rows, _ in found]))
    ranks = Ranks.join([ranks for _, ranks in found]).take(order)
    return _of_users(ranks, targets, recommender.ids.groups[targets.items]), complete


def _ranked(
    recommender: Recommender, part: Targets, decoding: Decoding, k: int, candidates: NDArray[np.bool_] | None
) -> tuple[Ranks, bool]:
    """The ranks of the targets of a few users, and whether every item was ranked."""
    ranked = recommender.rank(part.histories, k, decoding, candidates, part.seen)
    ranks = from_entries(
        ranked.items,
        ranked.valid,
        part.items,
        recommender.ids.groups,
        ranked.scores,
        part.user_rows,
        candidates,
        decoding.excluded(part.histories, part.seen),
    )
    return ranks, ranked.complete


def _of_users(ranks: Ranks, targets: Targets, codes: NDArray[np.integer]) -> Ranks:
    return ranks.of(None if targets.counts is None else targets.user_rows, codes)


def users_at_once(recommender: Recommender) -> int:
    """A batch whose activations stay near the processor's caches, or fill a GPU."""
    users = users_of_width(recommender.backbone.d_model)
    return users if recommender.device.type == "cpu" else 16 * users


def users_of(recommender: Recommender, decoding: Decoding, k: int) -> int:
    """As ``users_at_once``; where ranking holds very many scores, as many at most as have ``SCORED_AT_ONCE``."""
    scored = recommender.scored(decoding, k)
    return max(1, min(users_at_once(recommender), SCORED_AT_ONCE // max(1, scored)))


def score_targets(
    baseline: Baseline | TrainedBaseline | Scorer,
    targets: Targets,
    items: int,
    exclude_history: bool,
    advance: Callable[[int], None] = lambda users: None,
    candidates: NDArray[np.bool_] | None = None,
) -> Ranks:
    """The rank of every target under a baseline's scores of the whole catalogue of ``items``, or of ``candidates``.

    ``exclude_history`` leaves out all that a user has seen, however little of it the baseline is shown.
    """
    parts = []
    for rows in _batches(targets, max(1, SCORED_AT_ONCE // items)):
        part = targets.take(rows)
        excluded = exclusion_mask(part.seen if exclude_history else None, len(part), items, candidates)
        scores = checked_scores(
            scores_of(baseline, part), (len(part), items), getattr(baseline, "name", "the baseline")
        )
        parts.append(from_scores(scores, part.items, excluded, part.user_rows))
        advance(len(part))
    return _of_users(Ranks.join(parts), targets, targets.items)


def checked_scores(scores: object, shape: tuple[int, int], name: str) -> NDArray[Any]:
    """The scores as an array. BenchError where they are not a number for every history and item: a column too many,
    as for padding, would give each item the score of another.
    """
    found = np.asarray(scores)
    if found.dtype.kind not in "fiub":
        raise BenchError(
            f"score of {name} must return an array of numbers; got {type(scores).__name__} of {found.dtype}"
        )
    if found.shape != shape:
        raise BenchError(f"score of {name} must return [histories, items], here {list(shape)}; got {list(found.shape)}")
    return found


def _batches(targets: Targets, size: int) -> Iterator[NDArray[np.int64]]:
    """Rows in order, as many at a time as have at most ``size`` targets, but one at least."""
    stops, start = np.cumsum(np.bincount(targets.user_rows)), 0
    while start < len(targets):
        done = stops[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(stops, done + size, side="right")))
        yield np.arange(start, stop)
        start = stop


def scores_of(baseline: Baseline | TrainedBaseline | Scorer, part: Targets) -> NDArray[np.float32]:
    """``[rows, items]``: what a baseline of either kind scores for these users and histories."""
    if isinstance(baseline, TrainedBaseline):
        return baseline.score(part.users, part.histories)
    return baseline.score(part.histories) if isinstance(baseline, Baseline) else baseline(part)


def check_cutoff(cutoff: int, items: int) -> None:
    """BenchError where a metric looks at more ranks than there are items."""
    if cutoff > items:
        raise BenchError(
            f"at least {cutoff} items are needed for the metrics of the report, which go up to hit@{cutoff}; the "
            f"catalogue has only {items}"
        )
