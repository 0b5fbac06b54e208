"""Histories become encoder input: token ids are concatenated and spans recorded; nothing is ever tokenized twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import ItemIndices, Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds, Variants
from bench.ids.prompts import Prompts

Spans = NDArray[np.int64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EncoderInput:
    """``tokens [B, S]``, right-padded; ``mask [B, S]`` is true on tokens, or None where no row is padded.

    ``spans [n, 3]`` are row, start and stop of every history item, rows in order, oldest item first; ``items [n]`` are
    these items.
    """

    tokens: Tensor
    mask: Tensor | None
    spans: Spans
    items: ItemIndices

    @property
    def item_position_ids(self) -> Tensor:
        """``[B, S]``: all tokens of one history item have its number, 1 for the oldest; whatever is no item has 0."""
        rows, starts, stops = self.spans.T
        item_numbers = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        found = np.zeros(self.tokens.shape, np.int64)
        same = np.repeat(item_numbers[:, None], (stops - starts).max(initial=0), axis=1)
        Ragged(same, stops - starts).put(found, rows, starts)
        return torch.from_numpy(found)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths: of row ``r`` of ``tokens [n, width]`` the first ``lengths[r]`` count."""

    tokens: NDArray[np.integer]
    lengths: Numbers

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        lengths = np.array([len(row) for row in rows])
        tokens = np.zeros((len(rows), lengths.max()), np.int32)
        for row, tokens_of_row in zip(tokens, rows, strict=True):
            row[: len(tokens_of_row)] = tokens_of_row
        return cls(tokens, lengths)

    def take(self, rows: Numbers) -> Ragged:
        return Ragged(self.tokens[rows], self.lengths[rows])

    def put(self, page: NDArray[np.integer], rows: Numbers, starts: Numbers) -> None:
        """Write each row into the row of ``page`` named in ``rows [n]``, from the column in ``starts [n]`` on."""
        offset = np.arange(self.tokens.shape[1])
        inside = offset < self.lengths[:, None]
        page[np.repeat(rows, self.lengths), (starts[:, None] + offset)[inside]] = self.tokens[inside]


class HistoryWriter:
    """Writes histories as ``before item separator item … after end`` in the tokens of one set of identifiers.

    ``before`` and ``after`` are those of one of the ``templates``, by default the identifiers' only one. The separator
    always is the identifiers' own, which none of them contains. Where the identifiers have users and a history names
    its user, ``user separator`` stands at the very beginning; neither that nor the template is ever dropped for room.
    """

    def __init__(self, ids: TokenIds, max_tokens: int = 512, templates: Sequence[Template] = ()) -> None:
        vocabulary, templates = ids.vocabulary, templates or [ids.template]
        self.ids, self.max_tokens, self.templates = ids, max_tokens, templates
        self.before = Ragged.of([vocabulary.encode(template.before) for template in templates])
        self.after = Ragged.of([[*vocabulary.encode(template.after), vocabulary.eos] for template in templates])
        self.around = self.before.lengths + self.after.lengths
        self.separator = np.array(vocabulary.encode(ids.template.separator), np.int32)
        self.unwritten = len(self.separator)  # no separator stands behind the newest item
        self.pieces = self._separated(ids.tokens, ids.lengths)
        self.users = None
        if ids.users is not None:
            lengths = ids.users.lengths.astype(np.int64) + len(self.separator)
            self.users = Ragged(self._separated(ids.users.tokens, ids.users.lengths), lengths)
        self._refuse_narrow()

    def _refuse_narrow(self) -> None:
        longest = 0 if self.users is None else int(self.users.lengths.max(initial=0))
        if self.around.max() + longest > self.max_tokens:
            what = f"the template takes {self.around.max()} tokens without any history item"
            user = f" and the longest identifier of a user {longest}" if longest else ""
            raise BenchError(f"{what}{user}; the encoder reads at most {self.max_tokens}")

    def _separated(self, tokens: NDArray[np.int32], lengths: NDArray[np.int32]) -> NDArray[np.int32]:
        """``tokens [..., n, width]`` with the separator behind each of them, that is longer by its tokens."""
        *rest, width = tokens.shape
        pieces = np.full((*rest, width + len(self.separator)), self.ids.vocabulary.pad, np.int32)
        pieces[..., :width] = tokens
        for offset, token in enumerate(self.separator):
            np.put_along_axis(pieces, lengths[..., None] + offset, token, axis=-1)
        return pieces

    def renamed(self, ids: TokenIds) -> HistoryWriter:
        """A writer of the same templates and users for other identifiers of items in the same vocabulary."""
        writer = type(self)(ids, self.max_tokens, self.templates)
        writer.users = self.users
        return writer

    def _heads(self, histories: Sequences) -> Ragged:
        """What stands before the template: the user's identifier and a separator, or nothing."""
        if self.users is None or histories.user_rows is None:
            return Ragged(np.empty((len(histories), 0), np.int32), np.zeros(len(histories), np.int64))
        return self.users.take(histories.user_rows)

    def fitting(
        self, histories: Sequences, variants: Variants, prompts: Prompts
    ) -> tuple[Sequences, Variants, Numbers]:
        """Histories without the oldest items that do not fit; each item's variant, and its tokens with separator."""
        lengths, each = self._taken(histories, variants)
        room = self.max_tokens - self.around[prompts] - self._heads(histories).lengths
        ends = np.concatenate([[0], np.cumsum(lengths)])  # tokens before each item, those of other histories included
        starts, stops = histories.offsets[:-1], histories.offsets[1:]
        # the oldest item from which on all fit, were nothing else before it: it may belong to an earlier history
        first = np.searchsorted(ends, ends[stops] - room - self.unwritten, side="left")
        if (first > starts).any():
            histories = histories.slice(np.maximum(starts, first), stops, histories.user_rows)
            lengths, each = self._taken(histories, variants)
        lengths[histories.offsets[1:][histories.lengths > 0] - 1] -= self.unwritten
        return histories, each, lengths

    def _taken(self, histories: Sequences, variants: Variants) -> tuple[Numbers, Variants]:
        each = np.repeat(variants, histories.lengths) if isinstance(variants, np.ndarray) else variants
        return self.ids.lengths[each, histories.values].astype(np.int64) + len(self.separator), each

    def lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> Numbers:
        """Tokens of the encoder input of every history, without writing it."""
        histories, _, lengths = self.fitting(histories, variants, prompts)
        sums = np.concatenate([[0], np.cumsum(lengths)])
        totals: Numbers = sums[histories.offsets[1:]] - sums[histories.offsets[:-1]]
        return totals + self.around[prompts] + self._heads(histories).lengths

    def write(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> EncoderInput:
        """The encoder input of a batch of histories, each in its variant of the identifiers and its template."""
        histories, each, lengths = self.fitting(histories, variants, prompts)
        every, chosen = np.arange(len(histories)), np.broadcast_to(prompts, len(histories))
        head, before, after = self._heads(histories), self.before.take(chosen), self.after.take(chosen)
        begins = head.lengths + before.lengths
        rows = np.repeat(every, histories.lengths)
        sums = np.concatenate([[0], np.cumsum(lengths)])
        starts = sums[:-1] - (sums[histories.offsets[:-1]] - begins)[rows]
        ends = sums[histories.offsets[1:]] - sums[histories.offsets[:-1]] + begins
        used = ends + after.lengths
        width = int(used.max(initial=1))
        tokens = np.full((len(histories), width), self.ids.vocabulary.pad, np.int64)
        head.put(tokens, every, np.zeros_like(every))
        before.put(tokens, every, head.lengths)
        Ragged(self.pieces[each, histories.values], lengths).put(tokens, rows, starts)
        after.put(tokens, every, ends)
        mask = None if (used == width).all() else torch.from_numpy(np.arange(width) < used[:, None])
        spans = np.stack([rows, starts, starts + self.ids.lengths[each, histories.values]], axis=1)
        return EncoderInput(torch.from_numpy(tokens), mask, spans, histories.values)
