"""Interactions on their way from raw files: who took what, when; and the rules that leave some of them out."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.shaping import compact, in_core
from bench.data.registry import Counts
from bench.errors import BenchError

LONGEST = 2**63 - 1  # a time stamp


@dataclass(frozen=True, eq=False)
class Log:
    """Interactions in the order of the file, one array element each: indices into the ids, time stamps as whole
    numbers, and ratings (NaN where there is none).
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]
    ratings: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.user_ids), len(self.item_ids), len(self))

    def rows(self, rows: NDArray[np.integer]) -> Log:
        """These interactions, in this order; users and items without any are gone, ids are sorted."""
        user_ids, users = compact(self.users[rows], self.user_ids)
        item_ids, items = compact(self.items[rows], self.item_ids)
        return Log(user_ids, item_ids, users, items, self.times[rows], self.ratings[rows])


class LogBuilder:
    """Collects interactions in little memory: 32 bytes each."""

    def __init__(self) -> None:
        self._user_of: dict[str, int] = {}
        self._item_of: dict[str, int] = {}
        self._users, self._items, self._times, self._ratings = array("q"), array("q"), array("q"), array("d")

    def add(self, where: str, user: str, item: str, time: int, rating: float = float("nan")) -> None:
        if abs(time) > LONGEST:
            raise BenchError(f"{where}: time stamp {time} is longer than 64 bits")
        self._users.append(self._user_of.setdefault(user, len(self._user_of)))
        self._items.append(self._item_of.setdefault(item, len(self._item_of)))
        self._times.append(time)
        self._ratings.append(rating)

    def build(self) -> Log:
        log = Log(
            tuple(self._user_of),
            tuple(self._item_of),
            np.array(self._users, np.int64),
            np.array(self._items, np.int64),
            np.array(self._times, np.int64),
            np.array(self._ratings, np.float64),
        )
        return log.rows(np.arange(len(log)))


def keep_earliest(log: Log) -> Log:
    """Of several interactions of one user with one item the earliest; of equal time stamps the first of the file."""
    order = np.lexsort((np.arange(len(log)), log.times, log.items, log.users))
    same = (np.diff(log.users[order], prepend=-1) == 0) & (np.diff(log.items[order], prepend=-1) == 0)
    return log.rows(np.sort(order[~same]))


def k_core(log: Log, k: int) -> Log:
    """What is left when users and items with fewer than ``k`` interactions go, until none has."""
    return log.rows(in_core(log.users, log.items, k))
