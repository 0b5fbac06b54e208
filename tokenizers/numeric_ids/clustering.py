"""The tree of collaborative identifiers: items that the same users took, split until every group is small.

A group is a set of columns of the sparse matrix of users by items; the graph of co-occurrences is never built. Every
split makes two or more parts, so it ends; a graph in pieces and a cluster that takes all have answers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from bench.data.dataset import Sequences, TrainView
from numeric_ids.spectral import DECIMALS, cluster, components, eigenvectors, walk

MOST = 0.9  # of a group's items in one cluster: with more, a split hardly splits, and a tree could get very deep

Numbers = NDArray[np.int64]
Node = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A group that is not split: its way from the root, and its items."""

    path: Node
    items: Numbers


def cluster_paths(train: TrainView, clusters: int, leaf: int, spread: bool) -> tuple[list[Node], Numbers]:
    """The ways to the leaves of the tree, and ``[items]``, in which leaf each item is.

    Items without training interactions are assigned at random, for nothing is known of them: to the smallest leaves
    with ``spread``, as far as these have room, else to a branch beside the clusters, number ``clusters``.
    """
    random = train.random()
    seen = np.unique(train.sequences.values).astype(np.int64)
    unseen = random.permutation(np.setdiff1d(np.arange(len(train.items)), seen))
    found = list(leaves(incidence(train.sequences, len(train.items))[:, seen], seen, (), clusters, leaf, random))
    leaf_of = np.zeros(len(train.items), np.int64)
    if spread:
        assigned = assign_unseen(len(unseen), np.array([len(group.items) for group in found], np.int64), leaf)
        leaf_of[unseen[: len(assigned)]] = assigned
        unseen = unseen[len(assigned) :]
    nothing = sparse.csc_array((0, len(unseen)))
    found += leaves(nothing, unseen, (clusters,), clusters, leaf, random)
    for number, group in enumerate(found):
        leaf_of[group.items] = number
    return [group.path for group in found], leaf_of


def incidence(sequences: Sequences, items: int) -> sparse.csc_array:
    """``[users, items]``: 1 where the user took the item, however often."""
    ones = np.ones(len(sequences.values))
    user_item = sparse.csr_array((ones, sequences.values, sequences.offsets), shape=(len(sequences), items)).tocsc()
    user_item.sum_duplicates()
    user_item.data[:] = 1
    return user_item


def assign_unseen(count: int, sizes: Numbers, leaf: int) -> Numbers:
    """The leaves, of so many ``sizes``, into which ``count`` items go one after the other, each into the one that is
    smallest at the time; fewer items where there is no more room.
    """
    return filled(sizes, 1, min(count, int((leaf - sizes).sum())))


def filled(loads: Numbers, size: int, count: int) -> Numbers:
    """``[count]``: where each of so many things of one ``size`` goes, always to the smallest load at the time and of
    equal ones to the first. ``loads`` are those before it.

    A load takes the values ``load``, ``load + size``, …; what is placed are the smallest of all these values, in order.
    """
    if not count:
        return np.zeros(0, np.int64)
    low, high = int(loads.min()), int(loads.min()) + size * count + 1
    while high - low > 1:  # low: the highest level below which no more than ``count`` values are
        middle = (low + high) // 2
        fits = int(steps_below(loads, size, middle).sum()) <= count
        low, high = (middle, high) if fits else (low, middle)
    times = steps_below(loads, size, low)
    part = np.repeat(np.arange(len(loads)), times)
    value = loads[part] + size * (np.arange(len(part)) - np.repeat(np.cumsum(times) - times, times))
    at_level = np.flatnonzero(loads + size * times == low)
    return np.concatenate([part[np.lexsort((part, value))], at_level])[:count]


def steps_below(loads: Numbers, size: int, level: int) -> Numbers:
    """How many of the values of each load are below a level."""
    return np.maximum(level - loads + size - 1, 0) // size


def leaves(
    user_item: sparse.csc_array, items: Numbers, path: Node, clusters: int, leaf: int, random: np.random.Generator
) -> Iterator[Leaf]:
    """The leaves under a node that holds ``items``, the columns of ``user_item``; none where it holds nothing."""
    if 0 < len(items) <= leaf:
        yield Leaf(path, items)
    elif len(items):
        labels = split(user_item, clusters, random)
        parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        for number, part in enumerate(sorted(parts, key=lambda part: (-len(part), part[0]))):
            yield from leaves(subset(user_item, part), items[part], (*path, number), clusters, leaf, random)


def subset(user_item: sparse.csc_array, columns: Numbers) -> sparse.csc_array:
    """Some items, and of the users those with two or more of them: only they bring items together."""
    rows = user_item[:, columns].tocsr()
    return rows[np.diff(rows.indptr) > 1].tocsc()


def split(user_item: sparse.csc_array, clusters: int, random: np.random.Generator) -> Numbers:
    """``[items]``: part numbers; at least two parts of two or more items, at most ``clusters``.

    A connected graph is clustered. Of a graph in pieces, a piece with most of the items is clustered and the others
    are one part; without such a piece, whole pieces are packed into parts of like size.
    """
    pieces = components(user_item)
    sizes = np.bincount(pieces)
    inside = pieces == sizes.argmax()
    if 2 * inside.sum() <= len(pieces):
        return packed(sizes, clusters)[pieces]
    if inside.all():
        return clustered(user_item, clusters, random)
    labels = np.zeros(len(pieces), np.int64)
    if clusters > 2:
        labels[inside] = 1 + clustered(subset(user_item, np.flatnonzero(inside)), clusters - 1, random)
    else:
        labels[inside] = 1
    return labels


def clustered(user_item: sparse.csc_array, clusters: int, random: np.random.Generator) -> Numbers:
    """Spectral clusters of a connected graph of two or more items.

    Where nearly all items fall into one cluster, the group is instead cut into equal parts along the second
    eigenvector, which runs from one end of the graph to the other, or along a walk where even that is not known.
    """
    count = min(clusters, user_item.shape[1])
    vectors = eigenvectors(user_item, count, random)
    known = vectors.shape[1] > 1
    labels = cluster(vectors) if known else np.zeros(len(vectors), np.int64)
    if np.bincount(labels).max() <= MOST * len(labels):
        return labels
    order = np.argsort(oriented(vectors[:, 1]), kind="stable") if known else walk(user_item)
    return np.asarray(np.argsort(order) * count // len(order))


def oriented(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """An eigenvector to ``DECIMALS`` of its largest entry, the first such entry positive: its sign and its last digits,
    in which items that the same users took may differ, depend on the machine.
    """
    vector = np.round(vector / np.abs(vector).max(), DECIMALS)
    return np.asarray(vector * np.sign(vector[np.abs(vector).argmax()]))


def packed(sizes: Numbers, parts: int) -> Numbers:
    """``[pieces]``: a part for each piece, the largest first, each into the part that is smallest so far."""
    home, loads = np.zeros(len(sizes), np.int64), np.zeros(parts, np.int64)
    order = np.argsort(-sizes, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):  # few: sizes sum to the items
        size = int(sizes[alike[0]])
        home[alike] = filled(loads, size, len(alike))
        loads += size * np.bincount(home[alike], minlength=parts)
    return home
