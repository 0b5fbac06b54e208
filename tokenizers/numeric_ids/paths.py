"""Identifiers that are paths in a tree: a new token for each step down, and a last one that tells neighbors apart.

The tokens are no words, so the vocabulary is private even where the backbone is a language model. The last token is
of a kind of its own and ends every identifier, so histories need no separator.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.limits import CatalogueSize, Needs, token_bytes
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary
from numeric_ids.categories import category_paths, category_texts
from numeric_ids.clustering import cluster_paths

Path = tuple[str, ...]


class Placed(IdScheme):
    """The tokens of an item's path, then its number among the items of the same path: ``<3> <3-17> #5``.

    Items of one path are numbered in random order, for the catalogue's order can tell how old an item is. With
    ``own_token`` the number is replaced by a token that no other item has: ``<3> <3-17> @421``.
    """

    own_token: ClassVar[bool] = False
    each_seconds: ClassVar[float] = 3e-5  # of an item, to make its path
    no_transfer_reason = "its tokens are nodes of a tree over one catalogue, and an unseen item has none"

    @abstractmethod
    def paths(self, train: TrainView) -> Sequence[Path]:
        """``[items]``: the tokens of each item's path from the root, which may be empty and may be shared."""

    depth: ClassVar[int] = 3  # of most paths, the last token included

    def needs(self, size: CatalogueSize) -> Needs:
        hint = "use numeric/random, or codes such as semantic/rqkmeans" if self.own_token else ""
        rows = size.items if self.own_token else 0
        return Needs(token_bytes(size, self.depth, rows) + 900.0 * size.items, self.each_seconds * size.items, hint)

    def fit(self, train: TrainView) -> TokenIds:
        paths = self.paths(train)
        ends = [f"@{item}" for item in range(len(paths))] if self.own_token else numbered(paths, train)
        codes = [(*path, end) for path, end in zip(paths, ends, strict=True)]
        vocabulary = Vocabulary.private(dict.fromkeys(token for code in codes for token in code))
        return TokenIds.from_lists([vocabulary.ids(code) for code in codes], vocabulary)


def numbered(paths: Sequence[Path], train: TrainView) -> list[str]:
    """``[items]``: ``#0``, ``#1``, ... within each path, in an order that the seed draws."""
    counts: Counter[Path] = Counter()
    ends = [""] * len(paths)
    for item in train.random().permutation(len(paths)).tolist():
        ends[item] = f"#{counts[paths[item]]}"
        counts[paths[item]] += 1
    return ends


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

    def paths(self, train: TrainView) -> Sequence[Path]:
        nodes = cluster_paths(train, self.settings.clusters, self.settings.leaf, self.settings.unseen == "spread")
        return [tuple(f"<{'-'.join(map(str, node[:depth]))}>" for depth in range(1, len(node) + 1)) for node in nodes]


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

    def paths(self, train: TrainView) -> Sequence[Path]:
        named = category_paths(train.items, self.settings.column, self.settings.separator)
        return [tuple(f"[{name}]" for name in path) for path in named]


class CategoryIndependent(Category):
    """Categories, ended by a token of the item's own: SemID+IID of "How to Index"."""

    name = "numeric/category+independent"
    own_token = True


class Independent(Placed):
    """One new token for each item, which starts out knowing nothing: IID of "How to Index"."""

    name = "numeric/independent"
    own_token = True
    no_transfer_reason = "every item has a token of its own, and that of an unseen item was never trained"

    def paths(self, train: TrainView) -> Sequence[Path]:
        return [()] * len(train.items)
