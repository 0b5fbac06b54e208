"""K-means whose clusters all have the same size, for catalogues of any size (OneRec, Deng et al., 2025, section 3.1).

OneRec fills its clusters one after another, each with the nearest items that are left, so that the last one gets what
nobody wanted. Here items are assigned as a market clears: every item bids for the cluster that is best for it at the
prices of now, a full cluster keeps its highest bidders, and its price rises to the lowest of their bids. That is the
auction of Bertsekas and Castanon (1989) for a transportation problem: where it ends, the summed distance is within
``items x epsilon`` of the least there is. An item is looked at only while it is without a cluster.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_ids.collisions import Codes, Distances
from semantic_ids.quantizers import (
    Quantized,
    Vectors,
    kmeans,
    residual_kmeans,
    squared_distances,
)

ROUNDS = 6  # of moving the centroids
BIDDING = 300  # rounds of an auction before what is left is given what has room
PRECISION = 1e-2  # the last epsilon, as a part of the mean distance of an item to its nearest centroid
SHRINK = 5.0  # of epsilon from one auction to the next
AT_ONCE = 1 << 15  # items whose distances are in memory together


def capacities(items: int, size: int) -> NDArray[np.int64]:
    """``[size]``: as equal as can be, the first clusters one larger where the items can't be divided."""
    return np.full(size, items // size) + (np.arange(size) < items % size)


def balanced_kmeans(vectors: Vectors, size: int, seed: int, device: str = "cpu") -> tuple[Codes, Vectors]:
    """The cluster of every vector, of which all have the same number or one more, and their means.

    It begins at the centroids of k-means. Prices of one round are where the next one begins.
    """
    code, centroids = kmeans(vectors, size, seed, device)
    room, price = capacities(len(vectors), len(centroids)), np.zeros(len(centroids))
    for _ in range(ROUNDS):
        before = code
        code, price = assigned(vectors, centroids, room, price)
        centroids = means(vectors, code, len(centroids))
        if np.array_equal(code, before):
            break
    return code, centroids


def assigned(
    vectors: Vectors, centroids: Vectors, room: NDArray[np.int64], price: NDArray[np.float64] | None = None
) -> tuple[Codes, NDArray[np.float64]]:
    """The cluster of every vector, exactly ``room [clusters]`` in each, and the prices that it comes to.

    The squared distances sum to the least that there is, up to ``epsilon`` for each vector. Prices are found in a few
    auctions, each with a smaller epsilon than the one before: a small one from the start would take bids without end.
    """
    nearest, mean = distances_in_brief(vectors, centroids)
    epsilon = PRECISION * max(nearest, 1e-6 * mean, 1e-12)
    first = max(epsilon, mean / SHRINK if price is None else epsilon * SHRINK)
    price = np.zeros(len(centroids)) if price is None else price - price.min()
    steps = epsilon * SHRINK ** np.arange(int(np.ceil(np.log(first / epsilon) / np.log(SHRINK))), -1.0, -1.0)
    for step in steps:
        auction = Auction(room, price, len(vectors), step)
        held(auction, vectors, centroids, 0 if step == steps[-1] else len(vectors) // 200)
        price = auction.price
    auction.settle(lambda rows: squared_distances(vectors[rows], centroids))
    return auction.code, price


def held(auction: Auction, vectors: Vectors, centroids: Vectors, few: int) -> None:
    """Bids are taken until no more than a ``few`` vectors are without a cluster, or for ``BIDDING`` rounds."""
    for _ in range(BIDDING):
        waiting = np.flatnonzero(auction.code < 0)
        if len(waiting) <= few:
            return
        for rows in np.split(waiting, range(AT_ONCE, len(waiting), AT_ONCE)):
            auction.bid(rows, squared_distances(vectors[rows], centroids))


def distances_in_brief(vectors: Vectors, centroids: Vectors) -> tuple[float, float]:
    """The mean squared distance of a vector to its nearest centroid, and to any."""
    starts = range(0, len(vectors), AT_ONCE)
    parts = (squared_distances(vectors[start : start + AT_ONCE], centroids) for start in starts)
    brief = np.concatenate([np.stack([part.min(1), part.mean(1)]) for part in parts], axis=1)
    nearest, mean = brief.mean(1, dtype=np.float64).tolist()
    return nearest, mean


def means(vectors: Vectors, code: Codes, size: int) -> Vectors:
    """``[size, d]``: of each cluster the mean of what is in it."""
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(size))
    sums = np.add.reduceat(vectors[order].astype(np.float64), starts)
    return (sums / np.bincount(code, minlength=size)[:, None]).astype(np.float32)


class Auction:
    """Who has which cluster (``code [items]``, -1 for none), at which ``price [clusters]``."""

    def __init__(self, room: NDArray[np.int64], price: NDArray[np.float64], items: int, epsilon: float) -> None:
        self.room, self.price, self.epsilon = room, price.copy(), epsilon
        self.code: Codes = np.full(items, -1, np.int64)
        self.offer = np.zeros(items)  # what whoever has a cluster bid for it
        self.holders: list[NDArray[np.int64]] = [np.empty(0, np.int64) for _ in room]

    def bid(self, rows: NDArray[np.int64], cost: NDArray[np.float32]) -> None:
        """Let items bid that have no cluster: for the best, up to where the second best is as good."""
        cost = cost + self.price
        every = np.arange(len(rows))
        wanted = cost.argmin(1)
        best = cost[every, wanted].copy()
        cost[every, wanted] = np.inf
        second = cost.min(1) if cost.shape[1] > 1 else best
        self.offer[rows] = self.price[wanted] + second - best + self.epsilon
        order = np.argsort(wanted, kind="stable")
        clusters, starts = np.unique(wanted[order], return_index=True)
        for cluster, bidders in zip(clusters.tolist(), np.split(rows[order], starts[1:]), strict=True):
            self._clear(cluster, bidders)

    def _clear(self, cluster: int, bidders: NDArray[np.int64]) -> None:
        """A cluster with more bidders than room keeps the highest; full, it costs the lowest of their bids."""
        there, room = np.concatenate([self.holders[cluster], bidders]), int(self.room[cluster])
        if len(there) > room:
            there = there[np.lexsort((there, -self.offer[there]))]
            self.code[there[room:]] = -1
        self.holders[cluster] = there = there[:room]
        self.code[there] = cluster
        if len(there) == room:
            self.price[cluster] = self.offer[there].min(initial=np.inf)

    def settle(self, distances: Distances) -> None:
        """Give whoever is still without a cluster the nearest that has room, in order."""
        left = self.room - np.bincount(self.code[self.code >= 0], minlength=len(self.room))
        for item in np.flatnonzero(self.code < 0):
            self.code[item] = np.where(left > 0, distances(np.array([item]))[0], np.inf).argmin()
            left[self.code[item]] -= 1


def residual_balanced(vectors: Vectors, levels: int, size: int, seed: int, device: str = "cpu") -> Quantized:
    """Balanced k-means on what the levels before left over: in every level all codes have as many items."""
    return residual_kmeans(vectors, levels, size, seed, device, balanced_kmeans)
