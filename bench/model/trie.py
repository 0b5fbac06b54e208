"""A prefix tree of identifiers as flat arrays on the device.

Nodes are numbered breadth first, so the children of a node are contiguous: ``first[n] .. first[n] + count[n]``. A
search carries one node number for each prefix and finds the allowed continuations by a gather, without Python objects.
Leaves are numbered in lexicographic order, so every node covers the contiguous range ``low[n] .. high[n]`` of leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError
from bench.ids.identifiers import TokenIds


@dataclass(frozen=True, eq=False)
class Trie:
    """All tensors but ``leaf_of_item`` and ``item_of_leaf`` are ``[nodes]``; node 0 is the root.

    ``token`` leads into a node (the root's is padding, which starts the decoder); ``item`` is the lowest catalogue
    index with this identifier at a leaf, and -1 elsewhere. ``leaf_of_item`` is ``[items]``, -1 for an item that is not
    in the tree; ``item_of_leaf`` is ``[leaves]``.
    """

    first: Tensor
    count: Tensor
    token: Tensor
    item: Tensor
    low: Tensor
    high: Tensor
    leaf_of_item: Tensor
    item_of_leaf: Tensor
    depth: int

    @cached_property
    def lengths(self) -> Tensor:
        """Tokens of the identifier at each leaf, ``[leaves]``."""
        found = torch.zeros_like(self.item_of_leaf)
        begin, end = 0, 1
        for length in range(self.depth + 1):
            level = slice(begin, end)
            found[self.low[level][self.count[level] == 0]] = length
            begin, end = end, end + int(self.count[level].sum())
        return found

    @classmethod
    def of(cls, ids: TokenIds, variant: int = 0, device: torch.device | str = "cpu") -> Trie:
        """The tree of one variant of identifiers. The end token is a node where lengths differ."""
        return build(with_eos(ids, variant), ids.vocabulary.start).to(device)

    @classmethod
    def among(cls, ids: TokenIds, candidates: NDArray[np.bool_], device: torch.device | str = "cpu") -> Trie:
        """The tree of the ``candidates [items]`` alone, in variant 0; items are still named by catalogue index."""
        if not candidates.any():
            raise BenchError("ranking needs at least one candidate; got none")
        chosen = np.flatnonzero(candidates)
        tree = build(with_eos(ids)[chosen], ids.vocabulary.start)
        items, leaves = torch.from_numpy(chosen), torch.full((len(candidates),), -1)
        leaves[items] = tree.leaf_of_item
        item = torch.where(tree.item < 0, -1, items[tree.item])
        return replace(tree, item=item, leaf_of_item=leaves, item_of_leaf=items[tree.item_of_leaf]).to(device)

    def to(self, device: torch.device | str) -> Trie:
        tensors = {field.name: getattr(self, field.name).to(device) for field in fields(self) if field.name != "depth"}
        return Trie(**tensors, depth=self.depth)

    def paths(self) -> Tensor:
        """The node before every token of every item, ``[items, depth]``; a leaf of the item where it has ended."""
        low, high, leaf = self.low.numpy(), self.high.numpy(), self.leaf_of_item.numpy()
        path, begin, end = np.zeros((len(leaf), self.depth), np.int64), 0, 1
        for depth in range(1, self.depth):
            begin, end = end, end + int(self.count[begin:end].sum())
            node = np.maximum(begin, begin + np.searchsorted(low[begin:end], leaf, side="right") - 1)
            covers = (low[node] <= leaf) & (leaf < high[node])
            path[:, depth] = np.where(covers, node, path[:, depth - 1])
        return torch.from_numpy(path)

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.token)


@dataclass(frozen=True, eq=False)
class Forest:
    """The trees of all variants of identifiers, numbered on from one to the next: what teacher forcing asks of them.

    ``first``, ``count`` and ``token`` are those of the trees; ``paths [variants, items, length]`` is the node before
    every token.
    """

    first: Tensor
    count: Tensor
    token: Tensor
    paths: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Trie]) -> Forest:
        sizes = [len(tree) for tree in trees]
        begins = np.cumsum([0, *sizes[:-1]])
        depth = max(tree.depth for tree in trees)
        paths = [
            np.pad(tree.paths().numpy(), ((0, 0), (0, depth - tree.depth)), mode="edge") + begin
            for tree, begin in zip(trees, begins, strict=True)
        ]
        return cls(
            torch.cat([tree.first + int(begin) for tree, begin in zip(trees, begins, strict=True)]),
            torch.cat([tree.count for tree in trees]),
            torch.cat([tree.token for tree in trees]),
            np.stack(paths),
        )

    def to(self, device: torch.device) -> Forest:
        if self.token.device == device:
            return self
        return Forest(self.first.to(device), self.count.to(device), self.token.to(device), self.paths)


def with_eos(ids: TokenIds, variant: int = 0) -> NDArray[np.int32]:
    """What is generated for every item: ``[items, length]``, -1 beyond the identifier and its end token."""
    tokens, lengths = ids.tokens[variant], ids.lengths[variant]
    width = tokens.shape[1]
    if not ids.appends_eos:
        return np.ascontiguousarray(tokens[:, : lengths[0]])
    codes = np.full((len(tokens), width + 1), -1, np.int32)
    codes[:, :width] = np.where(np.arange(width) < lengths[:, None], tokens, -1)
    codes[np.arange(len(tokens)), lengths] = ids.vocabulary.eos
    return codes


def build(codes: NDArray[np.int32], start: int) -> Trie:
    """The tree over token rows ``[items, length]`` (-1 after the end of a row), rooted at the token ``start``.

    Rows are sorted once; the nodes of a level are the rows where a prefix of that length differs from the row before.
    Memory peaks at little more than the tree: levels are written into its arrays.
    """
    order = np.lexsort(codes.T[::-1])
    rows = codes[order]
    differs = np.ones(rows.shape, bool)
    differs[1:] = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)
    is_leaf = differs[:, -1]
    leaf = np.cumsum(is_leaf) - 1  # leaf number of every sorted row
    sizes = [1, *(size for size in (differs & (rows >= 0)).sum(axis=0).tolist() if size)]
    nodes = _Nodes.of_root(sum(sizes), start, int(leaf[-1]) + 1)
    for column, size in enumerate(sizes[1:]):
        nodes.descend(rows[:, column], differs[:, column], leaf, size)
    del rows, differs
    leaf_of_item = np.empty(len(codes), np.int64)
    leaf_of_item[order] = leaf
    item_of_leaf = order[is_leaf]  # lexsort is stable: the first of equal rows has the lowest index
    return nodes.tree(leaf_of_item, item_of_leaf, len(sizes) - 1)


@dataclass(eq=False)
class _Nodes:
    """The arrays of a tree, of which the nodes before ``end`` are written; the deepest level begins at ``begin``."""

    token: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    count: NDArray[np.int64]
    begin: int = 0
    end: int = 1

    @classmethod
    def of_root(cls, nodes: int, start: int, leaves: int) -> _Nodes:
        token, low, high, count = (np.zeros(nodes, np.int64) for _ in range(4))
        found = cls(token, low, high, count)
        found.token[0], found.high[0] = start, leaves
        return found

    def descend(
        self, tokens: NDArray[np.int32], differs: NDArray[np.bool_], leaf: NDArray[np.int64], size: int
    ) -> None:
        """Write the next level, of ``size`` nodes; all arguments are by sorted row."""
        starts = np.flatnonzero(differs)
        low, token = leaf[starts], tokens[starts]
        alive = token >= 0  # rows that have already ended have no node here
        above, level = slice(self.begin, self.end), slice(self.end, self.end + size)
        self.token[level], self.low[level] = token[alive], low[alive]
        self.high[level] = np.append(low[1:], self.high[0])[alive]
        parent = np.searchsorted(self.low[above], self.low[level], side="right") - 1
        self.count[above] = np.bincount(parent, minlength=self.end - self.begin)
        self.begin, self.end = level.start, level.stop

    def tree(self, leaf_of_item: NDArray[np.int64], item_of_leaf: NDArray[np.int64], depth: int) -> Trie:
        first, item = np.cumsum(self.count), np.full(len(self.count), -1)
        first += 1 - self.count
        ends = self.count == 0
        item[ends] = item_of_leaf[self.low[ends]]
        arrays = {name: getattr(self, name) for name in ("token", "low", "high", "count")}
        arrays |= {"first": first, "item": item, "leaf_of_item": leaf_of_item, "item_of_leaf": item_of_leaf}
        return Trie(**{name: torch.from_numpy(array) for name, array in arrays.items()}, depth=depth)
