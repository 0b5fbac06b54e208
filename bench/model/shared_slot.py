"""Codes in slots as identifiers, many targets decoded from one reading of the history (``bench.model.packed``)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.backbone.protocol import Cache
from bench.data.dataset import Sequences
from bench.ids.prompts import Prompts
from bench.model.packed import (
    NOWHERE,
    Segments,
    causal_by_item,
    row_width,
    shown_to_targets,
    target_pages,
)
from bench.model.recommender import Batch, Work, required
from bench.model.shared_inputs import SharedSetWriter
from bench.model.shared_set import SharedSetReader
from bench.model.slot import SlotRecommender


class SharedSlotRecommender(SharedSetReader, SlotRecommender):
    """As ``SlotRecommender``, but reading causally by item, as ``SharedReader`` says.

    An item is one position, so that ``history=items`` and ``history=tokens`` are the same.
    """

    writer: SharedSetWriter

    # -- training -----------------------------------------------------------------------------------------------------

    def collate_segments(self, segments: Segments) -> Batch:
        rows, layout = self.layout(segments)
        pages = self.writer.pack(segments.histories, rows, segments.prompts)
        return {
            **pages,
            **target_pages(segments, layout),
            "real": torch.from_numpy(layout.targets),
            "codes": torch.from_numpy(self.ids.codes[segments.items].astype(np.int64)),
        }

    def work_of(self, segments: Segments) -> Work:
        lengths, (rows, layout) = self.segment_lengths(segments), self.layout(segments)
        flops = self.backbone.training_flops(layout.height, row_width(rows, lengths), 1, 0, layout.width, vectors=True)
        targets = len(segments.items)
        return Work(flops + self.flops_of_head(targets), int(lengths.sum()), targets)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, histories: Sequences, prompts: Prompts = 0) -> dict[str, Tensor | None]:
        return self.writer.pack(histories, np.arange(len(histories)), prompts)

    def hidden(self, batch: Batch) -> Tensor:
        """``[B, D]`` of all targets of a training batch, or of every history where there are none."""
        hidden = super().hidden(batch)
        return hidden[required(batch, "real")] if "real" in batch else hidden

    def _memory(self, batch: Batch, read: Tensor) -> Cache:
        segments, numbers = required(batch, "segments"), required(batch, "item_position_ids")
        shown = shown_to_targets(segments, numbers, batch) if "owner" in batch else (segments != NOWHERE)[:, None]
        words = None if self.backbone.whole_words is None else numbers
        states = self.backbone.encode(read, causal_by_item(segments, numbers), batch["positions"], words)
        return self.backbone.start(states, shown)
