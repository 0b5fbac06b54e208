"""Histories as encoder input where items are vectors: a column for each vector of an item, one position for an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import SlotIds, Template, VectorIds
from bench.ids.prompts import Prompts
from bench.model.inputs import Numbers, Ragged


@dataclass(frozen=True, eq=False)
class SetInput:
    """What stands in each column of the encoder input; all are ``[B, S]``, right-padded.

    ``tokens`` are those of the template; where an item stands, ``items`` is its catalogue index and ``slots`` which of
    its vectors, else ``items`` is -1. ``item_position_ids`` count the items of a history from 1, the oldest; whatever
    is no item has 0. ``positions`` are those that the backbone is given. ``mask`` is true but on padding, or None where
    no row is padded. Where all rows are laid out alike, ``item_position_ids`` and ``positions`` are ``[S]``.
    """

    tokens: Tensor
    items: Tensor
    slots: Tensor
    item_position_ids: Tensor
    positions: Tensor
    mask: Tensor | None


class SetWriter:
    """Writes histories as ``before``, the vectors of each item slot by slot, ``after``, without an end token. Items of
    codes in slots have one vector.

    ``templates`` give ``before`` and ``after``; BenchError where none of an item's vectors would fit beside one.
    """

    def __init__(self, ids: VectorIds | SlotIds, max_tokens: int, templates: Sequence[Template]) -> None:
        self.ids, self.width = ids, ids.slots if isinstance(ids, VectorIds) else 1
        self.positions_of_repo = isinstance(ids, VectorIds) and ids.attention == "repo"
        texts = [self._around(template) for template in templates]
        self.before, self.after = (Ragged.of(side) for side in zip(*texts, strict=True))
        self.around = self.before.lengths + self.after.lengths
        self.room = (max_tokens - self.around) // self.width  # items
        if self.room.min() < 1:
            raise BenchError(
                f"the template takes {self.around.max()} tokens and every history item {self.width}; the encoder reads "
                f"at most {max_tokens} in all"
            )

    def _around(self, template: Template) -> tuple[list[int], list[int]]:
        """The tokens before and after the items."""
        encode = self.ids.vocabulary.encode
        return encode(template.before), encode(template.after)

    def fitting(self, histories: Sequences, prompts: Prompts) -> Sequences:
        """Histories without the oldest items that do not fit."""
        stops = histories.offsets[1:]
        return histories.slice(stops - np.minimum(histories.lengths, self.room[prompts]), stops)

    def lengths(self, histories: Sequences, prompts: Prompts) -> Numbers:
        """Columns that the encoder input of every history takes, without writing it."""
        taken: Numbers = np.minimum(histories.lengths, self.room[prompts]) * self.width
        return taken + self.around[prompts]

    def write(self, histories: Sequences, prompts: Prompts = 0) -> SetInput:
        """The encoder input of a batch of histories, each in its template."""
        histories, every = self.fitting(histories, prompts), np.arange(len(histories))
        chosen = np.broadcast_to(prompts, len(histories))
        before, after, taken = self.before.take(chosen), self.after.take(chosen), histories.lengths * self.width
        used = before.lengths + taken + after.lengths
        shape = len(histories), int(used.max(initial=1))
        tokens = np.full(shape, self.ids.vocabulary.pad, np.int64)
        before.put(tokens, every, np.zeros_like(every))
        after.put(tokens, every, before.lengths + taken)
        items, slots, item_position_ids = (np.full(shape, value, np.int64) for value in (-1, 0, 0))
        rows = np.repeat(every, taken)
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(taken) - taken, taken)
        at = rows, np.repeat(before.lengths, taken) + inside
        items[at] = np.repeat(histories.values, self.width)
        slots[at], item_position_ids[at] = inside % self.width, inside // self.width + 1
        positions = np.cumsum(slots == 0, axis=1) - 1  # the further vectors of an item take no position of their own
        if self.positions_of_repo:  # words behind the items stand where they would without that
            behind = np.arange(shape[1]) >= (before.lengths + taken)[:, None]
            positions = np.where(behind, np.arange(shape[1]), positions)
        alike = all((lengths == lengths[0]).all() for lengths in (before.lengths, taken, after.lengths))
        kept: int | slice = 0 if alike else slice(None)
        mask: NDArray[np.bool_] = np.arange(shape[1]) < used[:, None]
        return SetInput(
            tokens=torch.from_numpy(tokens),
            items=torch.from_numpy(items),
            slots=torch.from_numpy(slots),
            item_position_ids=torch.from_numpy(item_position_ids[kept]),
            positions=torch.from_numpy(positions[kept]),
            mask=None if mask.all() else torch.from_numpy(mask),
        )
