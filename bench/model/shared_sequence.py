"""Token sequences as identifiers, many targets decoded from one reading of the history (``bench.model.packed``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.protocol import Backbone, Cache
from bench.data.dataset import ItemIndices, Sequences
from bench.ids.identifiers import Template, TokenIds, Variants
from bench.ids.prompts import Prompts
from bench.model.inputs import EncoderInput
from bench.model.packed import (
    NOWHERE,
    Layout,
    Numbers,
    Segments,
    SharedReader,
    causal_by_item,
    packed_rows,
    row_width,
    shown_to_targets,
    target_pages,
)
from bench.model.pooling import Cells, ItemPooling
from bench.model.recommender import Batch, Work, required
from bench.model.sequence import IGNORED, SequenceRecommender
from bench.model.shared_inputs import PackedInput, SharedWriter


class SharedSequenceRecommender(SequenceRecommender, SharedReader):
    """As ``SequenceRecommender``, but reading causally by item, as ``SharedReader`` says.

    With ``history=items`` the encoder has one position for each item of the history and each token of its head
    (``bench.model.pooling``). All segments of a batch are read in one variant of the identifiers each, in which their
    targets are written too.
    """

    writer: SharedWriter

    def __init__(
        self,
        ids: TokenIds,
        backbone: Backbone,
        max_tokens: int = 512,
        objective: str = "vocabulary",
        template: str = "neutral",
        history: str = "tokens",
        temperature: float = 1.0,
        negatives: int = 0,
    ) -> None:
        super().__init__(ids, backbone, max_tokens, objective, template, temperature, negatives)
        self.pooling = ItemPooling(backbone.d_model) if history == "items" else None

    def _writer(self, max_tokens: int, templates: Sequence[Template]) -> SharedWriter:
        return SharedWriter(self.ids, max_tokens, templates)

    # -- what a plan asks ---------------------------------------------------------------------------------------------

    def item_lengths(self, items: ItemIndices, variants: Variants) -> Numbers:
        lengths: Numbers = self.ids.lengths[variants, items].astype(np.int64)
        return lengths + len(self.writer.separator)

    def room(self, histories: Sequences, prompts: Prompts) -> Numbers:
        return self.writer.room(histories, prompts)

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        if self.pooling is None:
            return self.writer.lengths(histories, variants, prompts)
        kept, _, _ = self.writer.fitting(histories, variants, prompts)
        heads: Numbers = self.writer.max_tokens - self.writer.room(histories, prompts)
        return heads + kept.lengths

    def segment_lengths(self, segments: Segments) -> Numbers:
        return self.input_lengths(segments.histories, segments.variants, segments.prompts)

    # -- training -----------------------------------------------------------------------------------------------------

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        return self.collate_segments(Segments.alone(histories, items, variants, prompts))

    def collate_segments(self, segments: Segments) -> Batch:
        rows = packed_rows(self.segment_lengths(segments))
        layout = Layout.of(rows, self.segment_lengths(segments), segments.owners)
        source = self.writer.pack(segments.histories, rows, segments.variants, segments.prompts)
        written = self.writing(segments.items, segments.target_variants)
        empty = {"labels": IGNORED, "nodes": 0, "predicted": False}
        pages = {name: spread(tensor, layout, empty[name]) for name, tensor in written.items()}
        return {**self.reading(source), **target_pages(segments, layout), **pages}

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        return self.work_of(Segments.alone(histories, items, variants, 0))

    def work_of(self, segments: Segments) -> Work:
        lengths, items, variants = self.segment_lengths(segments), segments.items, segments.target_variants
        rows = packed_rows(lengths)
        layout, predictions = Layout.of(rows, lengths, segments.owners), self.targets(items, variants)
        flops = self.backbone.training_flops(
            layout.height,
            row_width(rows, lengths),
            int(self.steps[variants, items].max()),
            0 if self.negatives else predictions,
            layout.width,
        )
        written = int((self.labels[variants, items] != IGNORED).sum())
        return Work(flops + self.flops_of_drawn(predictions), int(lengths.sum()), written)

    # -- reading ------------------------------------------------------------------------------------------------------

    def reading(self, source: EncoderInput) -> Batch:
        if not isinstance(source, PackedInput):
            raise TypeError(f"what is read causally is packed; got {type(source).__name__}")
        words = None if self.backbone.whole_words is None else source.item_position_ids
        batch: dict[str, Tensor | None] = {"tokens": source.tokens}
        if self.pooling is None:
            return {
                **batch,
                "segments": source.segments,
                "numbers": source.numbers,
                "item_position_ids": words,
            }
        cells = Cells.of(source.segments.numpy(), source.numbers.numpy())
        words = None if words is None else cells.numbers.clamp(min=0)
        return {**batch, **vars(cells), "item_position_ids": words}

    def _encoded(self, batch: Batch) -> Cache:
        """Decoders of all targets of a training batch, ``R·N`` of them, and of every history where there are none."""
        segments, numbers, inputs = required(batch, "segments"), required(batch, "numbers"), required(batch, "tokens")
        if self.pooling is not None:
            cell, offset = required(batch, "cell"), required(batch, "offset")
            inputs = self.pooling(self.backbone.embed(inputs), cell, offset, segments.shape[1])
        mask, words = causal_by_item(segments, numbers), batch["item_position_ids"]
        memory = self.backbone.encode(inputs, mask, item_position_ids=words)
        shown = shown_to_targets(segments, numbers, batch) if "owner" in batch else segments != NOWHERE
        return self.backbone.start(memory, shown)

    def extra_state(self) -> dict[str, Tensor]:
        return {} if self.pooling is None else {"pooling.weight": self.pooling.weight}


def spread(targets: Tensor, layout: Layout, empty: int | bool) -> Tensor:
    """``[targets, …]`` to all slots of all rows, ``[R·N, …]``; ``empty`` where there is no target."""
    pages = torch.full((layout.height * layout.width, *targets.shape[1:]), empty, dtype=targets.dtype)
    pages[torch.from_numpy(layout.targets)] = targets
    return pages
