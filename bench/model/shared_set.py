"""What sets of vectors and codes in slots share where many targets are decoded from one reading of the history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemIndices, Sequences
from bench.ids.identifiers import Template, Variants
from bench.ids.prompts import Prompts
from bench.model.packed import Layout, Numbers, Segments, SharedReader, packed_rows
from bench.model.recommender import Batch, Work
from bench.model.shared_inputs import SharedSetWriter


class SharedSetReader(SharedReader):
    """A shared reader of items that each take as many positions as the ``writer`` gives them."""

    writer: SharedSetWriter

    def _writer(self, max_tokens: int, templates: Sequence[Template]) -> SharedSetWriter:
        return SharedSetWriter(self.ids, max_tokens, templates)  # type: ignore[arg-type]

    def item_lengths(self, items: ItemIndices, variants: Variants) -> Numbers:
        return np.full(len(items), self.writer.width)

    def room(self, histories: Sequences, prompts: Prompts) -> Numbers:
        return np.broadcast_to(self.writer.room[prompts] * self.writer.width, len(histories))

    def segment_lengths(self, segments: Segments) -> Numbers:
        return self.input_lengths(segments.histories, segments.variants, segments.prompts)

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        fitting = self.writer.fitting(histories, prompts)
        return self.collate_segments(Segments.alone(fitting, items, variants, prompts))

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        return self.work_of(Segments.alone(self.writer.fitting(histories, 0), items, variants, 0))

    def layout(self, segments: Segments) -> tuple[Numbers, Layout]:
        """The row of each segment, and where they and their targets stand."""
        lengths = self.segment_lengths(segments)
        rows = packed_rows(lengths)
        return rows, Layout.of(rows, lengths, segments.owners)
