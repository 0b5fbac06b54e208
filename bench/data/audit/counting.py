"""Three recommenders that only count, ranked by leave-one-out: what a data set gives away without any model.

A Markov chain reads the newest item, item co-occurrence the set of the newest twenty, popularity nothing. All learn
from each user's sequence without its last two items and are asked for the last. Ranks are 0-based and ``FAR`` where
the target is not among the first ten; among equal scores the target is the last, as in every row of a report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.dataset import Sequences
from bench.data.splits import FEWEST

CUTOFF = 10
FAR = np.iinfo(np.int64).max
NEWEST = 20  # items of a history that co-occurrence looks at
ASKED = 2000  # users that co-occurrence is asked for, a fixed sample: it costs most
ENTRIES = 20_000_000  # cosines that are looked up for them, where items are met with many others
ROWS = 200  # users at a time

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """Leave-one-out over sequences: ``train`` without the last two items of users who have three or more, and for each
    of those users the history, its ``newest`` item and the ``target``, in order of the sequences.
    """

    train: Sequences
    histories: Sequences
    newest: Integers
    targets: Integers
    items: int

    @classmethod
    def of(cls, sequences: Sequences, items: int) -> Task:
        starts, stops = sequences.offsets[:-1], sequences.offsets[1:]
        asked = np.flatnonzero(sequences.lengths >= FEWEST)
        held_out = np.where(sequences.lengths >= FEWEST, 2, 0)
        last = stops[asked] - 1
        return cls(
            sequences.slice(starts, stops - held_out),
            sequences.slice(starts[asked], last),
            sequences.values[last - 1].astype(np.int64),
            sequences.values[last].astype(np.int64),
            items,
        )

    @property
    def popularity(self) -> Integers:
        """``[items]``: training interactions."""
        return np.bincount(self.train.values, minlength=self.items)


def gains(ranks: Integers) -> NDArray[np.float64]:
    """NDCG@10 of one target each."""
    return np.where(ranks < CUTOFF, 1 / np.log2(np.minimum(ranks, CUTOFF) + 2.0), 0.0)


def popularity(task: Task) -> Integers:
    """``[users]``: the rank of the target by training interactions."""
    return _cut(_popular_ranks(task)[task.targets])


def markov(task: Task) -> Integers:
    """``[users]``: the rank of the target by how often it came right after the newest item in training, then by
    popularity, by which is ranked as well whatever never did.
    """
    pairs, counts = transitions(task.train, task.items)
    before, after = pairs // task.items, pairs % task.items
    first = np.searchsorted(before, np.arange(task.items + 1))
    ranks = _within(before, counts, task.popularity[after], first)
    found, at = _positions(pairs, task.newest * task.items + task.targets)
    known = np.diff(first)[task.newest]
    return _cut(np.where(found, ranks[at] if len(pairs) else 0, _after_known(task, pairs, known)))


def _within(before: Integers, counts: Integers, popular: Integers, first: Integers) -> Integers:
    """``[pairs]``: the rank of each pair among those of one ``before``, whose first pairs are at ``first``: how many
    others have at least its count, and of an equal count at least its popularity.
    """
    keys = np.stack([before, counts, popular])
    order = np.lexsort(keys[::-1])
    begins = np.append(True, (np.diff(keys[:, order], axis=1) != 0).any(axis=0))[: len(order)]
    least = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))  # where those equal to it begin
    ranks = np.empty(len(order), np.int64)
    ranks[order] = first[before[order] + 1] - least - 1
    return ranks


def transitions(train: Sequences, items: int) -> tuple[Integers, Integers]:
    """Distinct neighbors ``before * items + after``, ascending, and how often each pair was taken."""
    rows = np.repeat(np.arange(len(train)), train.lengths)
    values = train.values.astype(np.int64)
    steps = (values[:-1] * items + values[1:])[np.diff(rows) == 0]
    pairs, counts = np.unique(steps, return_counts=True)
    return pairs, counts


def seen(pairs: Integers, before: NDArray[np.integer], after: NDArray[np.integer], items: int) -> NDArray[np.bool_]:
    """Which transitions are among those of training."""
    return _positions(pairs, np.asarray(before, np.int64) * items + after)[0]


def cooccurrence(task: Task, asked: int = ASKED) -> Integers:
    """``[at most asked]``: the rank of the target by the summed cosine of its users and those of each item in the
    history, then by popularity; items of the history are left out.
    """
    cosines, popular = _cosines(task), task.popularity
    order = np.random.default_rng(0).permutation(len(task.targets))[:asked]
    histories = task.histories.rows(order).newest(NEWEST)
    entries = np.append(0, np.cumsum(np.diff(cosines.indptr).astype(np.int64)[histories.values]))[histories.offsets[1:]]
    chosen = np.sort(order[: max(1, int((entries <= ENTRIES).sum()))])
    parts = [_by_cosine(task, cosines, popular, chosen[start : start + ROWS]) for start in range(0, len(chosen), ROWS)]
    return _cut(np.concatenate([*parts, np.empty(0, np.int64)]))


def _cut(ranks: Integers) -> Integers:
    return np.where(ranks < CUTOFF, ranks, FAR)


def _popular_ranks(task: Task) -> Integers:
    """``[items]``: how many others are at least as popular."""
    popular = task.popularity
    return len(popular) - np.searchsorted(np.sort(popular), popular) - 1


def _positions(keys: Integers, asked: Integers) -> tuple[NDArray[np.bool_], Integers]:
    """Whether sorted ``keys`` hold what is asked for, and where; the position is 0 where they don't."""
    at = np.searchsorted(keys, asked)
    found = at < len(keys)
    found[found] = keys[at[found]] == asked[found]
    return found, np.where(found, at, 0)


def _after_known(task: Task, pairs: Integers, known: Integers) -> Integers:
    """``[users]``: ranks of targets that never followed the newest item: after all ``known`` that did, by popularity
    among the rest. Popular items that did follow would only be counted twice. Of at most ``known`` more popular items
    that can be so: a target with twice the cutoff of others before it is far down.
    """
    popular, places = task.popularity, _popular_ranks(task)
    top = np.flatnonzero(places < 2 * CUTOFF)
    ranks = np.full(len(known), FAR)
    users = np.flatnonzero((known < CUTOFF) & (places[task.targets] < 2 * CUTOFF))
    other = ~seen(pairs, np.repeat(task.newest[users], len(top)), np.tile(top, len(users)), task.items)
    before = popular[top] >= popular[task.targets[users]][:, None]  # the target itself among them
    ranks[users] = known[users] + (other.reshape(len(users), len(top)) & before).sum(axis=1) - 1
    return ranks


def _matrix(sequences: Sequences, items: int) -> sparse.csr_array:
    """``[rows, items]``, 1 where a row has the item."""
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    shape = (len(sequences), items)
    made = sparse.csr_array((np.ones(len(rows), np.float32), (rows, sequences.values)), shape=shape)
    made.sum_duplicates()
    made.data[:] = 1
    return made


def _cosines(task: Task) -> sparse.csr_array:
    """``[items, items]`` between the sets of users of two items; none between an item and itself."""
    user_item = _matrix(task.train, task.items)
    users = np.maximum(np.asarray(user_item.sum(axis=0)).ravel(), 1)
    scaled = sparse.csr_array(user_item @ sparse.diags_array(users**-0.5))
    found = sparse.csr_array(scaled.T @ scaled)
    found.setdiag(0)
    found.eliminate_zeros()
    return found


def _by_cosine(task: Task, cosines: sparse.csr_array, popular: Integers, users: Integers) -> Integers:
    histories = task.histories.rows(users).newest(NEWEST)
    scores = sparse.coo_array(sparse.csr_array(_matrix(histories, task.items) @ cosines))
    keys = scores.row.astype(np.int64) * task.items + scores.col
    own = np.repeat(np.arange(len(histories), dtype=np.int64), histories.lengths) * task.items + histories.values
    kept = ~_positions(np.sort(own), keys)[0]
    rows, columns, values = scores.row[kept], scores.col[kept], np.round(scores.data[kept].astype(np.float64), 5)
    targets = task.targets[users]
    reached = np.zeros(len(users))
    hit = columns == targets[rows]
    reached[rows[hit]] = values[hit]
    equal = (values == reached[rows]) & (popular[columns] >= popular[targets][rows]) & ~hit
    ahead = (values > reached[rows]) | equal
    ranks = np.bincount(rows[ahead], minlength=len(users))
    return np.where(reached > 0, ranks, FAR)
