"""Ranks of targets, and the metrics made of them.

A rank is 1-based and float64; ``inf`` says that the target was not retrieved. Items are ranked, not codes: two items
that share an identifier come out of the decoder as one slot, and ``Ranks`` keeps what is needed to read such a list
in three ways. *Strict* (the headline) puts the target last among the items of its slot, *optimistic* takes the rank of
the slot as if the target were alone in it, *expected* lets each slot show one of its items, drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

CUTOFFS = (1, 5, 10, 20)

Floats = NDArray[np.float64]


def hit(ranks: Floats, k: int) -> Floats:
    """``[users]``: 1 where the target is among the first ``k``, else 0."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: Floats, k: int) -> Floats:
    """``[users]``: ``1 / log2(rank + 1)`` within the first ``k``, else 0. One target, so the ideal gain is 1."""
    return hit(ranks, k) / np.log2(ranks + 1)


def reciprocal_rank(ranks: Floats, k: int | None = None) -> Floats:
    """``[users]``: ``1 / rank``, and 0 where the target was not retrieved or, with ``k``, ranks beyond ``k``."""
    return 1 / ranks if k is None else hit(ranks, k) / ranks


def per_user(ranks: Floats, name: str) -> Floats:
    """``[users]``: a metric by its name in the result file, such as ``ndcg@10``, ``mrr@20`` or ``mrr``."""
    kind, _, cutoff = name.partition("@")
    if kind == "mrr":
        return reciprocal_rank(ranks, int(cutoff) if cutoff else None)
    return {"hit": hit, "ndcg": ndcg}[kind](ranks, int(cutoff))


def names(cutoffs: Sequence[int], complete: bool) -> list[str]:
    """The metrics that are reported. Plain ``mrr`` needs a ``complete`` ranking, one in which every item has a rank."""
    return [
        *(f"hit@{k}" for k in cutoffs),
        *(f"ndcg@{k}" for k in cutoffs),
        f"mrr@{max(cutoffs)}",
        *(["mrr"] if complete else []),
    ]


def summarise(ranks: Floats, cutoffs: Sequence[int] = CUTOFFS, complete: bool = False) -> dict[str, float]:
    """Means over users of every metric of ``names``."""
    return _weighted(ranks, np.ones(len(ranks)), cutoffs, complete)


def _weighted(ranks: Floats, weights: Floats, cutoffs: Sequence[int], complete: bool) -> dict[str, float]:
    if not len(ranks):
        raise BenchError("metrics were asked for over no users; at least one evaluated user is needed")
    return {name: float((per_user(ranks, name) * weights).mean()) for name in names(cutoffs, complete)}


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each target came out; all arrays are ``[users]``.

    ``code_rank`` is the rank of the target's slot, ``inf`` where it was not retrieved. ``better`` counts the items in
    strictly better slots and means nothing where the target was not retrieved. ``group_size`` is the number of
    items that share the target's identifier, itself included.
    """

    code_rank: Floats
    better: NDArray[np.int64]
    group_size: NDArray[np.int64]

    @classmethod
    def of_items(cls, ranks: Floats) -> Ranks:
        """Ranks of a model that scores each item on its own: no slot is shared."""
        better = np.where(np.isfinite(ranks), ranks - 1, 0).astype(np.int64)
        return cls(ranks, better, np.ones(len(ranks), np.int64))

    @classmethod
    def join(cls, parts: Sequence[Ranks]) -> Ranks:
        """The users of several batches, in order."""
        return cls(
            np.concatenate([part.code_rank for part in parts]),
            np.concatenate([part.better for part in parts]),
            np.concatenate([part.group_size for part in parts]),
        )

    def take(self, rows: NDArray[np.integer]) -> Ranks:
        """The named users, in the order given."""
        return Ranks(self.code_rank[rows], self.better[rows], self.group_size[rows])

    def __len__(self) -> int:
        return len(self.code_rank)

    @property
    def strict(self) -> Floats:
        """Item ranks with the target last in its slot."""
        return np.where(np.isfinite(self.code_rank), self.better + self.group_size, np.inf)

    @property
    def optimistic(self) -> Floats:
        """Slot ranks: collisions cost nothing."""
        return self.code_rank


def summaries(ranks: Ranks, complete: bool, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, dict[str, float]]:
    """The three readings of the same ranks.

    Expected: every slot of the list shows exactly one of its items, drawn uniformly. The target is then shown with
    probability ``1 / group_size``, at ``code_rank``; otherwise it is missing. The expected value of each metric is
    therefore ``metric(code_rank) / group_size``. Without collisions the three agree.
    """
    shown = 1 / ranks.group_size
    return {
        "strict": summarise(ranks.strict, cutoffs, complete),
        "optimistic": summarise(ranks.optimistic, cutoffs, complete),
        "expected": _weighted(ranks.code_rank, shown, cutoffs, complete),
    }


def from_scores(
    scores: NDArray[np.floating], targets: NDArray[np.integer], excluded: NDArray[np.bool_] | None = None
) -> Ranks:
    """Ranks from a score for every item: ``scores [users, items]``, ``targets [users]``, ``excluded [users, items]``.

    The rank is the number of items that score at least as much as the target, itself included: ties count against
    it, so that a constant score ranks last and not first. Excluded items take no place; an excluded target
    is not retrieved. NaN has no place in an order and is a BenchError.
    """
    bad = np.isnan(scores).any(axis=1)
    if bad.any():
        raise BenchError(
            f"cannot rank items by NaN: scores of {bad.sum():,} of {len(bad):,} users hold it, first in row "
            f"{bad.argmax()}; the model that made them has diverged or divides by zero"
        )
    rows = np.arange(len(targets))
    ahead = scores >= scores[rows, targets][:, None]
    if excluded is not None:
        ahead &= ~excluded
    ranks = ahead.sum(axis=1).astype(np.float64)
    if excluded is not None:
        ranks[excluded[rows, targets]] = np.inf
    return Ranks.of_items(ranks)


def from_slots(
    items: NDArray[np.integer],
    valid: NDArray[np.bool_],
    targets: NDArray[np.integer],
    groups: NDArray[np.integer],
    scores: NDArray[np.floating] | None = None,
) -> Ranks:
    """Ranks from a decoder's list: ``items [users, slots]`` best first, ``valid`` likewise, ``targets [users]``.

    A slot stands for one identifier and holds any one item that has it; within a row identifiers are distinct.
    ``groups [items]`` numbers the identifiers (``TokenIds.groups``). Slots that are not valid take no place. With
    ``scores [users, slots]`` slots that score as much as the target's come before it, as in ``from_scores``: the order
    of a tie is the decoder's, and must not count in anyone's favour.
    """
    sizes = np.bincount(groups)
    slots = groups[np.where(valid, items, 0)]
    found = valid & (slots == groups[targets][:, None])
    retrieved, at = found.any(axis=1), found.argmax(axis=1)
    rows = np.arange(len(targets))
    if scores is not None:
        tied = valid & (scores == scores[rows, at][:, None])
        at = np.where(retrieved, tied.shape[1] - 1 - tied[:, ::-1].argmax(axis=1), at)
    filled = np.where(valid, sizes[slots], 0)
    code_rank = np.where(retrieved, np.cumsum(valid, axis=1)[rows, at], np.inf)
    better = np.cumsum(filled, axis=1)[rows, at] - sizes[groups[targets]]
    return Ranks(code_rank, np.where(retrieved, better, 0), sizes[groups[targets]])
