"""Rows of interactions thinned out by stated rules: repeats, a k-core, ids that nothing is left of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.sorting import by_user_and_time, ties
from bench.errors import BenchError

Rule = Literal["exact", "first", "last", "keep"]
RULES: dict[str, str] = {
    "exact": "lines with the same user, item and time are one",
    "first": "of a user's interactions with one item the earliest is kept",
    "last": "of a user's interactions with one item the newest is kept",
    "keep": "all are kept",
}


@dataclass(frozen=True)
class Rows:
    """``[rows]`` each: numbers of users and items, and time stamps."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    def take(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        return Rows(self.users[kept], self.items[kept], self.times[kept])


def without_repeats(rows: Rows, rule: Rule) -> Rows:
    """What the rule leaves; of equal rows the first in the file."""
    kept = np.ones(len(rows), bool)
    if rule == "exact":
        order = by_user_and_time(rows.users, rows.times)
        positions, groups = ties(order, rows.users, rows.times)
        tied = order[positions]
        by_item = np.lexsort((tied, rows.items[tied], groups))
        again = (np.diff(groups[by_item]) == 0) & (np.diff(rows.items[tied[by_item]]) == 0)
        kept[tied[by_item[1:]][again]] = False
    elif rule != "keep":
        order = np.lexsort((rows.times, rows.items, rows.users))
        again = (np.diff(rows.users[order]) == 0) & (np.diff(rows.items[order]) == 0)
        kept[order[:-1][again] if rule == "last" else order[1:][again]] = False
    return rows.take(kept)


def core(rows: Rows, k: int) -> Rows:
    """Interactions of users and items that have ``k`` each among those that are left. BenchError where none is."""
    left = in_core(rows.users, rows.items, k)
    if len(rows) and not len(left):
        raise BenchError(f"no {k}-core: no interactions are left of which each user and item has {k}")
    return rows.take(left)


def in_core(users: NDArray[np.integer], items: NDArray[np.integer], k: int) -> NDArray[np.int64]:
    """``[kept]``: the rows that are left when users and items with fewer than ``k`` go, until none has so few."""
    left = np.arange(len(users))
    while True:
        enough = (np.bincount(users[left]) >= k)[users[left]] & (np.bincount(items[left]) >= k)[items[left]]
        if enough.all():
            return left
        left = left[enough]


def positions(users: NDArray[np.int32]) -> NDArray[np.int64]:
    """``[rows]``: the how manyth row of its user each is, from 0."""
    order = np.argsort(users, kind="stable")
    counts = np.bincount(users)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    found = np.empty(len(users), np.int64)
    found[order] = np.arange(len(users)) - np.repeat(starts, counts)
    return found


def compact(codes: NDArray[np.integer], names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The ids that occur, sorted as text, and each row's rank among them."""
    there = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    by_name = sorted(there.tolist(), key=names.__getitem__)
    rank = np.zeros(len(names), np.int64)
    rank[by_name] = np.arange(len(by_name))
    return tuple(names[code] for code in by_name), rank[codes]
