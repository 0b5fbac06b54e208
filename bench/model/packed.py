"""Rows that hold several histories, each read once, and the targets that are decoded from every one of them.

Under ``training=shared`` the encoder reads a user's training sequence once, causally by item: a token sees those of its
own item and of older ones, never of newer ones. What was read of an item therefore is the same whatever came next, and
every position of the sequence is a target that is decoded from what was read before it. The histories of several users
stand side by side in one row, without padding between them and without seeing each other.

A history is cut into *segments* of at most ``SPAN`` times the longest history that the contract shows. A target sees,
in cross-attention, exactly the newest items that it would be shown alone; only behind the first ``max_history`` items
of a segment may what was read of these items have been read beside older ones.

Shapes: R rows, S positions of a row, N targets of a row at most.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import ItemIndices, Sequences
from bench.ids.identifiers import Variants
from bench.ids.prompts import Prompts
from bench.model.recommender import Batch, Recommender, Work

Numbers = NDArray[np.int64]

SPAN = 2  # histories of the contract's length that a segment is as long as, at most
WIDTH = 64  # positions of a row; attention takes as much for each of them again
NOWHERE = -1  # segment of padding
NOBODY = -2  # segment of what is no target


@dataclass(frozen=True, eq=False)
class Segments:
    """Stretches of sequences, and what is predicted from each.

    Target ``t`` is the catalogue item ``items[t]``. It belongs to row ``owners[t]`` of ``histories`` and is shown the
    items ``first[t]`` to ``last[t]`` of it, counted from 1, none where ``last`` is 0; owners are in order. ``variants``
    and ``prompts`` are those of the segments.
    """

    histories: Sequences
    items: ItemIndices
    owners: Numbers
    first: Numbers
    last: Numbers
    variants: Numbers
    prompts: Numbers

    @classmethod
    def alone(cls, histories: Sequences, items: ItemIndices, variants: Variants, prompts: Prompts) -> Segments:
        """Every history for one target."""
        count = len(histories)
        return cls(
            histories,
            items,
            np.arange(count),
            np.ones(count, np.int64),
            histories.lengths,
            np.broadcast_to(np.asarray(variants, np.int64), count),
            np.broadcast_to(np.asarray(prompts, np.int64), count),
        )

    @property
    def target_variants(self) -> Numbers:
        """In which variant of the identifiers each target is written."""
        return self.variants[self.owners]


class SharedReader(Recommender):
    """A recommender that reads causally by item, and many targets from one reading.

    There is no text behind a history, for it would be behind every item: the template's ``after`` is left out, in
    training as in ranking, and the end token stands first, before the user and the template's ``before``. That head is
    seen by all.
    """

    @abstractmethod
    def item_lengths(self, items: ItemIndices, variants: Variants) -> Numbers:
        """Encoder positions that each item takes."""

    @abstractmethod
    def room(self, histories: Sequences, prompts: Prompts) -> Numbers:
        """Encoder positions that are left for the items of each history beside its head."""

    @abstractmethod
    def segment_lengths(self, segments: Segments) -> Numbers:
        """What rows are packed by: positions that the encoder attends to."""

    @abstractmethod
    def collate_segments(self, segments: Segments) -> Batch:
        """Tensors of a training batch, on the CPU."""

    @abstractmethod
    def work_of(self, segments: Segments) -> Work:
        """What a step of training on these takes, from shapes alone."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where segments stand: ``rows`` and ``columns`` of their first positions; ``height`` rows in all.

    Targets stand in ``slots`` of their ``target_rows``, of which each row has ``width``.
    """

    rows: Numbers
    columns: Numbers
    height: int
    target_rows: Numbers
    slots: Numbers
    width: int

    @classmethod
    def of(cls, rows: Numbers, lengths: Numbers, owners: Numbers) -> Layout:
        """Segments of these ``lengths`` one behind the other in their rows, and their targets."""
        target_rows = rows[owners]
        slots = before_in_row(target_rows, np.ones_like(target_rows))
        width = int(slots.max(initial=0)) + 1
        return cls(rows, before_in_row(rows, lengths), int(rows.max(initial=0)) + 1, target_rows, slots, width)

    @property
    def targets(self) -> Numbers:
        """Of each target, where it stands among all slots of all rows."""
        return self.target_rows * self.width + self.slots


def packed_rows(lengths: Numbers) -> Numbers:
    """The row of every segment: about ``WIDTH`` positions each, or as many as the longest segment has, and all of
    nearly the same length. The longest come first, each into the emptiest row.
    """
    width = max(WIDTH, int(lengths.max(initial=1)))
    count = max(1, -(-int(lengths.sum()) // width))
    loads = [(0, row) for row in range(count)]
    rows = np.zeros(len(lengths), np.int64)
    for segment in np.argsort(-lengths, kind="stable").tolist():
        load, row = loads[0]
        rows[segment] = row
        heapq.heapreplace(loads, (load + int(lengths[segment]), row))
    return rows


def row_width(rows: Numbers, lengths: Numbers) -> int:
    """Positions of the fullest row."""
    return int(np.bincount(rows, weights=lengths).max(initial=1))


def before_in_row(rows: Numbers, lengths: Numbers) -> Numbers:
    """The sum of the lengths that come before each in its row."""
    order = np.argsort(rows, kind="stable")
    sums = np.cumsum(lengths[order]) - lengths[order]
    sorted_rows = rows[order]
    found = np.empty_like(sums)
    found[order] = sums - sums[np.searchsorted(sorted_rows, sorted_rows)]
    return found


def fill(
    page: NDArray[np.integer], rows: Numbers, starts: Numbers, lengths: Numbers, values: NDArray[np.integer]
) -> None:
    """Write each of the ``values`` into so many columns of its row of ``page``, from the start on."""
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    page[np.repeat(rows, lengths), np.repeat(starts, lengths) + inside] = np.repeat(values, lengths)


def numbered(histories: Sequences) -> tuple[Numbers, Numbers]:
    """The row of every item of the histories, and its number there, from 1."""
    rows = np.repeat(np.arange(len(histories)), histories.lengths)
    return rows, np.arange(len(rows)) - histories.offsets[:-1][rows] + 1


def target_pages(segments: Segments, layout: Layout) -> dict[str, Tensor]:
    """``owner``, ``first`` and ``last`` of the targets, ``[R, N]``."""
    pages = {}
    shown = {"owner": (segments.owners, NOBODY), "first": (segments.first, 0), "last": (segments.last, 0)}
    for name, (values, empty) in shown.items():
        page = np.full((layout.height, layout.width), empty, np.int64)
        page[layout.target_rows, layout.slots] = values
        pages[name] = torch.from_numpy(page)
    return pages


def causal_by_item(segments: Tensor, numbers: Tensor) -> Tensor:
    """Which positions see which, ``[R, S, S]`` bool: those of their segment, and of no newer item. Heads have number 0.

    ``[S, S]`` is not given where rows are laid out alike: they seldom are.
    """
    inside = segments[:, :, None] == segments[:, None, :]
    return inside & (numbers[:, None, :] <= numbers[:, :, None])


def shown_to_targets(segments: Tensor, numbers: Tensor, batch: Mapping[str, Tensor | None]) -> Tensor:
    """Which positions each target sees, ``[R, N, S]`` bool."""
    owner, first, last = (_page(batch, name)[..., None] for name in ("owner", "first", "last"))
    segments, numbers = segments[:, None], numbers[:, None]
    return (segments == owner) & (numbers <= last) & ((numbers >= first) | (numbers == 0))


def _page(batch: Mapping[str, Tensor | None], name: str) -> Tensor:
    page = batch[name]
    if page is None:
        raise KeyError(name)
    return page
