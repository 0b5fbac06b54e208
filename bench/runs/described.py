"""What is told of each test target beside its rank: how it stands to the newest item of the history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.splits import Split
from bench.data.ties import id_ranks, positional


def described(dataset: Dataset, split: Split) -> dict[str, NDArray[np.bool_]]:
    """``[test users]`` each, nothing where a user can have several targets or nothing before one.

    ``ascends``: the target's item id is the higher one. ``tied``: both have one time stamp; left out where time stamps
    are positions, which cannot tie. ``transition_seen``: training has the target right after the newest item.
    """
    test, whole = split.test, dataset.sequences
    if test.counts is not None or not len(test) or not test.held.lengths.all():
        return {}
    newest_items = test.held.values[test.held.offsets[1:] - 1]
    ranks = id_ranks(dataset.items.ids)
    targets = whole.offsets[1:][test.users] - 1
    newest = whole.offsets[:-1][test.users] + test.held.lengths - 1
    found = {"ascends": ranks[test.items] > ranks[newest_items]}
    if not positional(dataset):
        found["tied"] = dataset.times[targets] == dataset.times[newest]
    return {**found, "transition_seen": _seen(split, newest_items)}


def _seen(split: Split, newest: NDArray[np.int32]) -> NDArray[np.bool_]:
    train, items = split.train.sequences, len(split.train.items)
    values = train.values.astype(np.int64)
    inside = np.diff(np.repeat(np.arange(len(train)), train.lengths)) == 0
    known = (values[:-1] * items + values[1:])[inside]
    return np.isin(newest.astype(np.int64) * items + split.test.items, known)
