"""Warm items have been trained on, cold ones have not: how each kind is found where only that kind is ranked.

The item groups of SETRec (arXiv 2502.10833): candidates are masked to the items of one group, only targets of that
group count, and users without one are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.contract import CUTOFFS
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.evaluation.metrics import Ranks

ITEM_GROUPS = ("warm", "cold")

Mask = NDArray[np.bool_]
Rank = Callable[[str, Targets, Mask], tuple[Ranks, bool]]


@dataclass(frozen=True, eq=False)
class ItemGroup:
    """The ranks of the targets of one kind among the ``items`` of that kind.

    ``positions [targets]`` says where those targets stand among all; ``complete``: every item of the kind was ranked.
    """

    items: int
    targets: Targets
    positions: NDArray[np.intp]
    ranks: Ranks
    complete: bool


def is_warm(training: Sequences, items: int) -> Mask:
    """``[items]``: whether an item has any training interaction."""
    return np.bincount(training.values, minlength=items) > 0


def by_group(targets: Targets, warm: Mask, whole: tuple[Ranks, bool], rank: Rank) -> Mapping[str, ItemGroup | None]:
    """``warm`` and ``cold``, each from its own ``rank(kind, targets, candidates)``.

    None where a kind has no target, or fewer items than the largest cutoff, so that everything would be hit. Where all
    items are of one kind, its ranks are those of the ``whole`` catalogue and nothing is ranked again.
    """
    return {
        kind: _ranked(kind, targets, mask, whole, rank) for kind, mask in zip(ITEM_GROUPS, (warm, ~warm), strict=True)
    }


def _ranked(kind: str, targets: Targets, mask: Mask, whole: tuple[Ranks, bool], rank: Rank) -> ItemGroup | None:
    chosen, positions = targets.among(mask)
    if not len(chosen) or mask.sum() < max(CUTOFFS):
        return None
    ranks, complete = whole if mask.all() else rank(kind, chosen, mask)
    return ItemGroup(int(mask.sum()), chosen, positions, ranks, complete)
