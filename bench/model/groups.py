"""Items that share an identifier, as what ranks identifiers sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences


class Groups:
    """``groups [items]``: items with the same identifier share a number."""

    def __init__(self, groups: NDArray[np.int64]) -> None:
        self.groups, self.distinct = groups, len(groups) == int(groups.max(initial=-1)) + 1
        self._all = np.arange(len(groups)) if self.distinct else firsts(groups, np.arange(len(groups)))

    def first(self, candidates: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        """The first item of each identifier that a candidate has, in the order of the catalogue."""
        return self._all if candidates is None else firsts(self.groups, np.flatnonzero(candidates))

    def excluded(
        self, first: NDArray[np.int64], without: Sequences | None, candidates: NDArray[np.bool_] | None
    ) -> Callable[[int, int], NDArray[np.bool_]] | None:
        """For a stretch of ``first``, which identifiers have no candidate left without those of the user's row:
        ``[users, stretch]``. None where nobody goes without.
        """
        if without is None:
            return None
        column = np.full(int(self.groups.max()) + 1, -1)
        column[self.groups[first]] = np.arange(len(first))
        counted = self.groups if candidates is None else self.groups[candidates]
        sizes = np.bincount(counted, minlength=len(column))
        pairs = np.unique(np.repeat(np.arange(len(without)), without.lengths) * len(self.groups) + without.values)
        users, items = np.divmod(pairs, len(self.groups))
        if candidates is not None:
            users, items = users[candidates[items]], items[candidates[items]]
        keys, counts = np.unique(users * len(column) + self.groups[items], return_counts=True)
        users, groups = np.divmod(keys, len(column))
        whole = counts == sizes[groups]
        users, columns = users[whole], column[groups[whole]]

        def stretch(start: int, stop: int) -> NDArray[np.bool_]:
            found = np.zeros((len(without), stop - start), bool)
            inside = (columns >= start) & (columns < stop)
            found[users[inside], columns[inside] - start] = True
            return found

        return stretch


def firsts(groups: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of the ``items``, in order, of each group."""
    _, at = np.unique(groups[items], return_index=True)
    return items[np.sort(at)]
