"""Histories become encoder input: token ids are concatenated and spans recorded; nothing is ever tokenised twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.scheme import TokenIds, Variants

Spans = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EncoderInput:
    """``tokens [B, S]``, right-padded; ``mask [B, S]`` is true on tokens, or None where no row is padded.

    ``spans [n, 3]`` are row, start and stop of every history item, rows in order, oldest item first.
    """

    tokens: Tensor
    mask: Tensor | None
    spans: Spans


class HistoryWriter:
    """Writes histories as ``before item separator item … after end`` in the tokens of one set of identifiers."""

    def __init__(self, ids: TokenIds, max_tokens: int = 512) -> None:
        vocabulary, template = ids.vocabulary, ids.template
        self.ids, self.max_tokens = ids, max_tokens
        self.before = np.array(vocabulary.encode(template.before), np.int32)
        self.after = np.array([*vocabulary.encode(template.after), vocabulary.eos], np.int32)
        if len(self.before) + len(self.after) > max_tokens:
            raise BenchError(
                f"the template takes {len(self.before) + len(self.after)} tokens without any history item; "
                f"the encoder reads at most {max_tokens}"
            )
        self.separator = np.array(vocabulary.encode(template.separator), np.int32)
        variants, items, width = ids.tokens.shape
        self.pieces = np.full((variants, items, width + len(self.separator)), vocabulary.pad, np.int32)
        self.pieces[:, :, :width] = ids.tokens
        for place, token in enumerate(self.separator):
            np.put_along_axis(self.pieces, ids.lengths[..., None] + place, token, axis=2)

    def _fitting(self, histories: Sequences, variants: Variants) -> tuple[Sequences, Variants, NDArray[np.int64]]:
        """Histories without the oldest items that do not fit; each item's variant, and its tokens with separator."""
        lengths, each = self._taken(histories, variants)
        room = self.max_tokens - len(self.before) - len(self.after)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        starts, stops = histories.offsets[:-1], histories.offsets[1:]
        first = np.searchsorted(ends, ends[stops] - room - len(self.separator), side="left")
        if (first > starts).any():
            histories = histories.slice(np.maximum(starts, first), stops)
            lengths, each = self._taken(histories, variants)
        lengths[histories.offsets[1:][histories.lengths > 0] - 1] -= len(self.separator)  # none after the newest
        return histories, each, lengths

    def _taken(self, histories: Sequences, variants: Variants) -> tuple[NDArray[np.int64], Variants]:
        each = np.repeat(variants, histories.lengths) if isinstance(variants, np.ndarray) else variants
        return self.ids.lengths[each, histories.values].astype(np.int64) + len(self.separator), each

    def lengths(self, histories: Sequences, variants: Variants = 0) -> NDArray[np.int64]:
        """Tokens of the encoder input of every history, without writing it."""
        histories, _, lengths = self._fitting(histories, variants)
        sums = np.concatenate([[0], np.cumsum(lengths)])
        totals: NDArray[np.int64] = sums[histories.offsets[1:]] - sums[histories.offsets[:-1]]
        return totals + len(self.before) + len(self.after)

    def write(self, histories: Sequences, variants: Variants = 0) -> EncoderInput:
        """The encoder input of a batch of histories, each in its variant of the identifiers."""
        histories, each, lengths = self._fitting(histories, variants)
        rows = np.repeat(np.arange(len(histories)), histories.lengths)
        sums = np.concatenate([[0], np.cumsum(lengths)])
        totals = sums[histories.offsets[1:]] - sums[histories.offsets[:-1]]
        starts = sums[:-1] - np.repeat(sums[histories.offsets[:-1]], histories.lengths) + len(self.before)
        width = int(totals.max(initial=0)) + len(self.before) + len(self.after)
        tokens = np.full((len(histories), width), self.ids.vocabulary.pad, np.int64)
        tokens[:, : len(self.before)] = self.before
        place = np.arange(self.pieces.shape[2])
        inside = place < lengths[:, None]
        columns = (starts[:, None] + place)[inside]
        tokens[np.repeat(rows, lengths), columns] = self.pieces[each, histories.values][inside]
        ends = totals + len(self.before)
        tokens[np.arange(len(histories))[:, None], ends[:, None] + np.arange(len(self.after))] = self.after
        used = ends + len(self.after)
        mask = None if (used == width).all() else torch.from_numpy(np.arange(width) < used[:, None])
        spans = np.stack([rows, starts, starts + self.ids.lengths[each, histories.values]], axis=1)
        return EncoderInput(torch.from_numpy(tokens), mask, spans)
