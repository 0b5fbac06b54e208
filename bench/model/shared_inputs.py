"""Histories as encoder input that is read causally by item: many of them in a row, each behind a head of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.dataset import Sequences
from bench.ids.identifiers import Template, TokenIds, Variants
from bench.ids.prompts import Prompts
from bench.model.inputs import EncoderInput, HistoryWriter, Numbers, Ragged
from bench.model.packed import NOWHERE, before_in_row, fill, numbered
from bench.model.set_inputs import SetWriter


@dataclass(frozen=True, eq=False)
class PackedInput(EncoderInput):
    """``segments [R, S]`` says whose position it is, -1 on padding; ``numbers [R, S]`` of which item, from 1, with the
    separator behind it, and 0 in the head.
    """

    segments: Tensor
    numbers: Tensor

    @property
    def item_position_ids(self) -> Tensor:
        """``[R, S]``: as ``numbers``, but 0 on separators."""
        found = np.zeros(self.tokens.shape, np.int64)
        rows, starts, stops = self.spans.T
        fill(found, rows, starts, stops - starts, self.numbers.numpy()[rows, starts])
        return torch.from_numpy(found)


class SharedWriter(HistoryWriter):
    """Writes ``end user separator before item separator item separator …``: any item may be the newest, so that each
    has its separator behind it, and nothing comes after the items.
    """

    def __init__(self, ids: TokenIds, max_tokens: int = 512, templates: Sequence[Template] = ()) -> None:
        super().__init__(ids, max_tokens, [Template(t.before, t.separator) for t in templates or [ids.template]])
        self.after = Ragged(np.empty((len(self.templates), 0), np.int32), np.zeros(len(self.templates), np.int64))
        self.around, self.unwritten = self.before.lengths, 0

    def _heads(self, histories: Sequences) -> Ragged:
        users, end = super()._heads(histories), self.ids.vocabulary.eos
        tokens = np.pad(users.tokens, ((0, 0), (1, 0)), constant_values=end)
        return Ragged(tokens, users.lengths + 1)

    def room(self, histories: Sequences, prompts: Prompts) -> Numbers:
        """Tokens that are left for the items of each history."""
        left: Numbers = self.max_tokens - self.around[prompts] - self._heads(histories).lengths
        return left

    def write(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> PackedInput:
        """Every history in a row of its own."""
        return self.pack(histories, np.arange(len(histories)), variants, prompts)

    def pack(
        self, histories: Sequences, page_rows: Numbers, variants: Variants = 0, prompts: Prompts = 0
    ) -> PackedInput:
        """Histories one behind the other in their ``page_rows``, each in its variant and its template."""
        histories, each, lengths = self.fitting(histories, variants, prompts)
        heads, before = self._heads(histories), self.before.take(np.broadcast_to(prompts, len(histories)))
        rows, numbers = numbered(histories)
        begins = heads.lengths + before.lengths
        used = begins + np.bincount(rows, weights=lengths, minlength=len(histories)).astype(np.int64)
        columns = before_in_row(page_rows, used)
        starts = (columns + begins)[rows] + before_in_row(rows, lengths)
        shape = int(page_rows.max(initial=0)) + 1, int((columns + used).max(initial=1))
        tokens = np.full(shape, self.ids.vocabulary.pad, np.int64)
        heads.put(tokens, page_rows, columns)
        before.put(tokens, page_rows, columns + heads.lengths)
        Ragged(self.pieces[each, histories.values], lengths).put(tokens, page_rows[rows], starts)
        segment, number = np.full(shape, NOWHERE, np.int64), np.zeros(shape, np.int64)
        fill(segment, page_rows, columns, used, np.arange(len(histories)))
        fill(number, page_rows[rows], starts, lengths, numbers)
        spans = np.stack([page_rows[rows], starts, starts + lengths - len(self.separator)], axis=1)
        inside = segment != NOWHERE
        return PackedInput(
            tokens=torch.from_numpy(tokens),
            mask=None if inside.all() else torch.from_numpy(inside),
            spans=spans,
            items=histories.values,
            segments=torch.from_numpy(segment),
            numbers=torch.from_numpy(number),
        )


class SharedSetWriter(SetWriter):
    """Writes ``end before``, then the vectors of each item slot by slot, and nothing after them. Items of
    codes in slots have one vector.
    """

    def _around(self, template: Template) -> tuple[list[int], list[int]]:
        vocabulary = self.ids.vocabulary
        return [vocabulary.eos, *vocabulary.encode(template.before)], []

    def pack(self, histories: Sequences, page_rows: Numbers, prompts: Prompts = 0) -> dict[str, Tensor | None]:
        """Pages ``[R, S]`` of histories one behind the other in their ``page_rows``: what ``SetInput`` has, and the
        segment of each column.
        """
        histories = self.fitting(histories, prompts)
        before = self.before.take(np.broadcast_to(prompts, len(histories)))
        rows, numbers = numbered(histories)
        used = before.lengths + histories.lengths * self.width
        columns = before_in_row(page_rows, used)
        shape = int(page_rows.max(initial=0)) + 1, int((columns + used).max(initial=1))
        tokens = np.full(shape, self.ids.vocabulary.pad, np.int64)
        before.put(tokens, page_rows, columns)
        segment, number, item, slot = (np.full(shape, value, np.int64) for value in (NOWHERE, 0, -1, 0))
        fill(segment, page_rows, columns, used, np.arange(len(histories)))
        starts = (columns + before.lengths)[rows] + (numbers - 1) * self.width
        widths = np.full(len(rows), self.width)
        fill(number, page_rows[rows], starts, widths, numbers)
        fill(item, page_rows[rows], starts, widths, histories.values)
        for offset in range(self.width):
            slot[page_rows[rows], starts + offset] = offset
        positions = np.cumsum(slot == 0, axis=1) - 1
        pages = {"tokens": tokens, "items": item, "slots": slot, "item_position_ids": number, "segments": segment}
        inside = segment != NOWHERE
        return {
            **{name: torch.from_numpy(page) for name, page in {**pages, "positions": positions}.items()},
            "mask": None if inside.all() else torch.from_numpy(inside),
        }
