"""Identifiers that are paths in a tree: a new token for each step down, and a last one that tells neighbors apart.

The tokens are no words, so the vocabulary is private even where the backbone is a language model. The last token is
of a kind of its own and ends every identifier, so histories need no separator.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.limits import CatalogueSize, Needs, token_bytes
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary
from numeric_ids.categories import category_paths, category_texts
from numeric_ids.clustering import cluster_paths

SPECIAL = 3  # rows of a private vocabulary before its own tokens

Path = tuple[str, ...]
Numbers = NDArray[np.int64]


class Placed(IdScheme):
    """The tokens of an item's path, then its number among the items of the same path: ``<3> <3-17> #5``.

    Items of one path are numbered in random order, for the catalogue's order can tell how old an item is. With
    ``own_token`` the number is replaced by a token that no other item has: ``<3> <3-17> @421``.
    """

    own_token: ClassVar[bool] = False
    each_seconds: ClassVar[float] = 3e-6  # of an item, to make its path and tokens
    no_transfer_reason = "its tokens are nodes of a tree over one catalogue, and an unseen item has none"

    @abstractmethod
    def paths(self, train: TrainView) -> tuple[Sequence[Path], Numbers]:
        """Paths from the root, each as its tokens, of which one may be empty; and ``[items]``, which of them an item
        has.
        """

    depth: ClassVar[int] = 3  # of most paths, the last token included

    def needs(self, size: CatalogueSize) -> Needs:
        rows = size.items if self.own_token else 0
        drawing = "" if size.negatives else "--set negatives=1024, "
        hint = f"use {drawing}numeric/random, or codes such as semantic/rqkmeans" if rows else ""
        return Needs(token_bytes(size, self.depth, rows) + 900.0 * size.items, self.each_seconds * size.items, hint)

    def fit(self, train: TrainView) -> TokenIds:
        paths, path_of = self.paths(train)
        ends = np.arange(len(path_of)) if self.own_token else numbered(path_of, train)
        step_of = {token: step for step, token in enumerate(dict.fromkeys(chain.from_iterable(paths)))}
        names = [*step_of, *map("@{}".format if self.own_token else "#{}".format, range(int(ends.max()) + 1))]
        lengths = np.array([len(path) for path in paths])[path_of]
        codes = padded([[step_of[token] for token in path] for path in paths])[path_of, : lengths.max() + 1]
        codes[np.arange(len(codes)), lengths] = len(step_of) + ends
        inside = codes >= 0
        order, rows = by_appearance(codes[inside], len(names))
        vocabulary = Vocabulary.private(map(names.__getitem__, order.tolist()))
        tokens = np.full(codes.shape, vocabulary.pad, np.int32)
        tokens[inside] = SPECIAL + rows
        return TokenIds(tokens[None], (lengths + 1).astype(np.int32)[None], vocabulary)


def numbered(path_of: Numbers, train: TrainView) -> Numbers:
    """``[items]``: 0, 1, ... within each path, in an order that the seed draws."""
    drawn = train.random().permutation(len(path_of))
    order = drawn[np.argsort(path_of[drawn], kind="stable")]
    counts = np.bincount(path_of)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers


def padded(rows: Sequence[Sequence[int]]) -> Numbers:
    """``[rows, length + 1]``: -1 behind the end of each."""
    found = np.full((len(rows), max(map(len, rows)) + 1), -1)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


def by_appearance(values: Numbers, count: int) -> tuple[Numbers, Numbers]:
    """Of ``values`` below ``count``: those that there are, as they first appear, and each one's number among them."""
    first = np.full(count, len(values))
    first[values[::-1]] = np.arange(len(values))[::-1]  # of equal ones the last assignment, which is the first value
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(values))]
    number = np.empty(count, np.int64)
    number[order] = np.arange(len(order))
    return order, number[values]


@dataclass(frozen=True)
class CollaborativeSettings:
    clusters: int = 20  # groups that a group is split into
    leaf: int = 500  # a group of more items than this is split
    unseen: Literal["branch", "spread"] = "branch"  # items without training interactions: apart, or in the leaves

    def __post_init__(self) -> None:
        for name, least in (("clusters", 2), ("leaf", 1)):
            if getattr(self, name) < least:
                raise BenchError(
                    f"setting of numeric/collaborative '{name}' must be {least} or more; got {getattr(self, name)}"
                )


class Collaborative(Placed):
    """Recursive spectral clusters of the graph of items that the same users took: CID of "How to Index".

    A pair of items weighs as much as there are users with both in their training history. Tokens are those of that
    paper and not of OpenP5: each node of the tree has one of its own, where OpenP5 counts nodes modulo the leaf size
    and so lets unrelated groups share. Items that nobody took in training get ``unseen``: a branch of their own, or
    the smallest leaves; either way in random order, and in leaves no larger than the others.
    """

    name = "numeric/collaborative"
    version = 2
    Settings = CollaborativeSettings
    each_seconds = 3e-4

    def paths(self, train: TrainView) -> tuple[Sequence[Path], Numbers]:
        plan = self.settings
        nodes, leaf_of = cluster_paths(train, plan.clusters, plan.leaf, plan.unseen == "spread")
        steps = ([node[:depth] for depth in range(1, len(node) + 1)] for node in nodes)
        return [tuple(f"<{'-'.join(map(str, step))}>" for step in path) for path in steps], leaf_of


class CollaborativeIndependent(Collaborative):
    """Collaborative clusters, ended by a token of the item's own: CID+IID of "How to Index"."""

    name = "numeric/collaborative+independent"
    own_token = True


@dataclass(frozen=True)
class CategorySettings:
    column: str | None = None  # of the item table; none: the first with a usual name
    separator: Literal["auto", "comma", "space", "whole"] = "auto"  # auto: comma where the column has any


class Category(Placed):
    """The item's categories as the item table lists them, broad to narrow: SemID of "How to Index".

    A name has one token wherever it stands in a path, as in that paper. The root that nearly all items share is left
    out; an item with nothing below it has only its last token. Items without categories share a branch of their own.
    """

    name = "numeric/category"
    Settings = CategorySettings

    def validate_items(self, items: ItemTable) -> None:
        category_texts(items, self.settings.column)

    def paths(self, train: TrainView) -> tuple[Sequence[Path], Numbers]:
        named, path_of = category_paths(train.items, self.settings.column, self.settings.separator)
        return [tuple(f"[{name}]" for name in path) for path in named], path_of


class CategoryIndependent(Category):
    """Categories, ended by a token of the item's own: SemID+IID of "How to Index"."""

    name = "numeric/category+independent"
    own_token = True


class Independent(Placed):
    """One new token for each item, which starts out knowing nothing: IID of "How to Index"."""

    name = "numeric/independent"
    own_token = True
    no_transfer_reason = "every item has a token of its own, and that of an unseen item was never trained"

    def paths(self, train: TrainView) -> tuple[Sequence[Path], Numbers]:
        return [()], np.zeros(len(train.items), np.int64)
