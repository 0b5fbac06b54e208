"""What is told of each test target beside its rank: how it stands to the newest item of the history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.counting import seen, transitions
from bench.data.dataset import Dataset
from bench.data.splits import Split
from bench.data.ties import id_ranks, positional


def described(dataset: Dataset, split: Split) -> dict[str, NDArray[np.bool_]]:
    """``[test users]`` each, nothing where a user can have several targets or nothing before one.

    ``ascends``: the target's item id is the higher one. ``tied``: both have one time stamp; left out where time stamps
    are positions, which cannot tie. ``transition_seen``: training has the target right after the newest item.
    """
    test, whole = split.test, dataset.sequences
    if test.counts is not None or not len(test) or not test.seen.lengths.all():
        return {}
    newest_items = test.seen.values[test.seen.offsets[1:] - 1]
    ranks = id_ranks(dataset.items.ids)
    targets = whole.offsets[1:][test.users] - 1
    newest = whole.offsets[:-1][test.users] + test.seen.lengths - 1
    found = {"ascends": ranks[test.items] > ranks[newest_items]}
    if not positional(dataset):
        found["tied"] = dataset.times[targets] == dataset.times[newest]
    items = len(dataset.items)
    pairs, _ = transitions(split.train.sequences, items)
    return {**found, "transition_seen": seen(pairs, newest_items, test.items, items)}
