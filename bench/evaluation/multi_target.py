"""Metrics of users with several targets, all ranked in one list, as papers with a global-time split define them.

Recall@k is the share of a user's targets among the first k, precision@k the share of targets in these k ranks; NDCG@k
is divided by the gain of an ideal list, which begins with min(targets, k) of them; Hit@k says whether any target is
among the first k, MRR is 1 / rank of the first one. With one target recall is hit, and all are what they always were.

``user_rows [targets]`` numbers the user of each target, ascending from 0, and every user has a target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Own:
    """How the targets of one user lie to each other in its list, all ``[targets]``.

    Targets whose entries tie, or that share an entry, come out of a ranking at one rank, the last of the tie, though a
    list holds one after the other. ``targets_behind`` is how many of a user's targets still follow in such a tie,
    ``entries_behind`` how many of its entries with a target, and ``room_behind`` how far before the end of the tie a
    target stands where every entry that holds targets is as long as they are many, and every other holds one item.
    ``entry`` numbers a user's entries with a target, 1 the best.
    """

    targets_behind: Ints
    entries_behind: Ints
    room_behind: Ints
    entry: Ints


def own(user_rows: Ints, entry_ranks: Floats, codes: Ints, group_size: Ints) -> Own:
    """From the rank of each target's entry, equal for ties, a number for its identifier, and the items that have it.

    Of entries that tie, those come last whose items are more likely targets.
    """
    _, entry_of = np.unique(user_rows * (int(codes.max()) + 1) + codes, return_inverse=True)
    targets = np.bincount(entry_of, np.isfinite(entry_ranks))  # one that is excluded is in no entry
    order = np.lexsort((codes, targets[entry_of] / group_size, entry_ranks, user_rows))
    user_row, rank, code = user_rows[order], entry_ranks[order], codes[order]
    of_user = np.append(True, user_row[1:] != user_row[:-1])
    of_tie = of_user | np.append(True, rank[1:] != rank[:-1])
    of_entry = of_tie | np.append(True, code[1:] != code[:-1])
    target, entry = _number(np.ones(len(order), np.int64), of_user), _number(of_entry.astype(np.int64), of_user)
    last = np.flatnonzero(np.append(of_tie[1:], True))[np.cumsum(of_tie) - 1]
    sorted_ = (target[last] - target, entry[last] - entry, entry[last] - target, entry)
    arrays = [np.empty(len(order), np.int64) for _ in sorted_]
    for array, values in zip(arrays, sorted_, strict=True):
        array[order] = values
    return Own(*arrays)


def _number(steps: Ints, begins: NDArray[np.bool_]) -> Ints:
    """Running sums of ``steps`` that start anew wherever one ``begins``."""
    total = np.cumsum(steps)
    before = (total - steps)[begins]
    return np.asarray(total - before[np.cumsum(begins) - 1], np.int64)


def per_user(ranks: Floats, user_rows: Ints, name: str) -> Floats:
    """``[users]``: a metric by its name, from the ranks of all targets; no two of a user's are equal but ``inf``."""
    kind, k = _parsed(name)
    if kind == "mrr":
        first = np.full(int(user_rows[-1]) + 1, np.inf)
        np.minimum.at(first, user_rows, ranks)
        return np.where(first <= k, 1 / first, 0.0)
    if kind == "hit":
        return (np.bincount(user_rows, ranks <= k) > 0).astype(np.float64)
    return _summed(ranks, np.ones(len(ranks)), user_rows, kind, k)


def expected(entry_ranks: Floats, group_size: Ints, own: Own, user_rows: Ints, name: str) -> Floats:
    """``[users]``: the mean of a metric where every entry shows one of its items, all equally likely.

    ``entry_ranks`` are those of the entries, equal for targets in one entry alone. Recall, precision and NDCG are sums
    over targets, so their means are too. Hit and MRR ask for the first target that is shown: entries are drawn
    independently, so it is in an entry with c targets among n items with probability c / n where none before it
    showed one.
    """
    kind, k = _parsed(name)
    if kind in ("recall", "precision", "ndcg"):
        return _summed(entry_ranks, 1 / group_size, user_rows, kind, k)
    value, none_yet = np.zeros(int(user_rows[-1]) + 1), np.ones(int(user_rows[-1]) + 1)
    within = np.flatnonzero(entry_ranks <= k)
    for number in range(1, int(own.entry[within].max(initial=0)) + 1):
        at = within[own.entry[within] == number]
        shows = np.bincount(user_rows[at], 1 / group_size[at], minlength=len(value))
        rank = np.ones(len(value))
        rank[user_rows[at]] = entry_ranks[at]
        value += none_yet * shows * (1 / rank if kind == "mrr" else 1.0)
        none_yet *= 1 - shows
    return value


def _parsed(name: str) -> tuple[str, float]:
    """The kind and the cutoff of a metric; plain ``mrr`` has none."""
    kind, _, cutoff = name.partition("@")
    return kind, int(cutoff) if cutoff else np.finfo(np.float64).max


def _summed(ranks: Floats, weights: Floats, user_rows: Ints, kind: str, k: float) -> Floats:
    """Recall, precision or NDCG: weighted gains of a user's targets as a part of what they are measured by."""
    counts = np.bincount(user_rows)
    if kind in ("recall", "precision"):
        return np.bincount(user_rows, weights * (ranks <= k)) / (counts if kind == "recall" else k)
    gains = np.where(ranks <= k, weights / np.log2(ranks + 1), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(1, int(k) + 1) + 1))
    return np.asarray(np.bincount(user_rows, gains) / ideal[np.minimum(counts, int(k)) - 1], np.float64)
