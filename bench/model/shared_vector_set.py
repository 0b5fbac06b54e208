"""Sets of vectors as identifiers, many targets decoded from one reading of the history (``bench.model.packed``)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.protocol import Backbone, Cache
from bench.data.dataset import Sequences
from bench.ids.identifiers import Variants, VectorIds
from bench.ids.prompts import Prompts
from bench.model.packed import (
    NOWHERE,
    Segments,
    causal_by_item,
    row_width,
    shown_to_targets,
    target_pages,
)
from bench.model.pooling import Cells, ItemPooling
from bench.model.recommender import Batch, Work, required
from bench.model.shared_inputs import SharedSetWriter
from bench.model.shared_set import SharedSetReader
from bench.model.vector_set import VectorSetRecommender


class SharedVectorSetRecommender(SharedSetReader, VectorSetRecommender):
    """As ``VectorSetRecommender``, but reading causally by item, as ``SharedReader`` says.

    What the features add for an item counts for every target that is shown it, as if each had read it alone. With
    ``history=items`` the encoder has one position for each item (``bench.model.pooling``).
    """

    writer: SharedSetWriter

    def __init__(
        self,
        ids: VectorIds,
        backbone: Backbone,
        max_tokens: int = 512,
        template: str = "neutral",
        history: str = "tokens",
    ) -> None:
        super().__init__(ids, backbone, max_tokens, template)
        self.pooling = ItemPooling(backbone.d_model) if history == "items" else None

    # -- what a plan asks ---------------------------------------------------------------------------------------------

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        lengths = self.writer.lengths(histories, prompts)
        if self.pooling is not None:
            lengths = lengths - (self.writer.width - 1) * np.minimum(histories.lengths, self.writer.room[prompts])
        return lengths

    # -- training -----------------------------------------------------------------------------------------------------

    def collate_segments(self, segments: Segments) -> Batch:
        rows, layout = self.layout(segments)
        pages = self.writer.pack(segments.histories, rows, segments.prompts)
        segment, number = (required(pages, name).numpy() for name in ("segments", "item_position_ids"))
        share, inside = np.zeros(segment.shape, np.float32), number > 0
        weights = item_weights(segments, self.ids.reconstruct_over) / self.writer.width
        share[inside] = weights[segments.histories.offsets[segment[inside]] + number[inside] - 1]
        return {
            **self._pooled_pages(pages),
            **target_pages(segments, layout),
            "real": torch.from_numpy(layout.targets),
            "share": torch.from_numpy(share),
            "targets": torch.from_numpy(np.asarray(segments.items, np.int64)),
        }

    def work_of(self, segments: Segments) -> Work:
        lengths, (rows, layout) = self.segment_lengths(segments), self.layout(segments)
        slots = len(self.queries)
        width = row_width(rows, lengths)
        flops = self.backbone.training_flops(layout.height, width, slots, 0, layout.width, vectors=True)
        flops += self.flops_of_items(segments.histories, len(segments.items))
        return Work(flops, int(lengths.sum()), slots * len(segments.items))

    def _shares_of_positions(self, batch: Batch) -> Tensor:
        return required(batch, "share")

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, histories: Sequences, prompts: Prompts = 0) -> dict[str, Tensor | None]:
        return self._pooled_pages(self.writer.pack(histories, np.arange(len(histories)), prompts))

    def _pooled_pages(self, pages: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
        """With the cells of the encoder over items, where that is what reads."""
        segments, numbers = required(pages, "segments"), required(pages, "item_position_ids")
        if self.pooling is None:
            return {**pages, "numbers": numbers}
        return {**pages, **vars(Cells.of(segments.numpy(), numbers.numpy())), "positions": None}

    def _encoded(self, batch: Batch, table: Tensor, rows: Tensor) -> Tensor:
        hidden = super()._encoded(batch, table, rows)
        return hidden[:, required(batch, "real")] if "real" in batch else hidden

    def _memory(self, batch: Batch, read: Tensor) -> Cache:
        segments, numbers = required(batch, "segments"), required(batch, "numbers")
        if self.pooling is not None:
            read = self.pooling(read, required(batch, "cell"), required(batch, "offset"), segments.shape[1])
        mask = causal_by_item(segments, numbers)
        shown = shown_to_targets(segments, numbers, batch) if "owner" in batch else (segments != NOWHERE)[:, None]
        if self.pooling is None:
            mask, shown = self._without_hidden(batch, mask, shown)
        words = None if self.backbone.whole_words is None else numbers.clamp(min=0)
        return self.backbone.start(self.backbone.encode(read, mask, batch["positions"], words), shown)

    def _without_hidden(self, batch: Batch, mask: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Both without slots that say nothing of their item, and under ``paper`` no vector sees the others of its
        item.
        """
        if self.ids.attention == "paper":
            numbers = required(batch, "numbers")
            same = (numbers[..., None] == numbers[..., None, :]) & (numbers[..., None] > 0)
            mask = mask & ~(same & ~torch.eye(numbers.shape[-1], dtype=torch.bool, device=numbers.device))
        visible = self._visible(batch)
        if visible is None:
            return mask, shown
        return mask & visible[:, None], shown & visible[:, None]


def item_weights(segments: Segments, over: str) -> NDArray[np.float64]:
    """How much the loss beside the recommender's own counts for every item of the histories, ``[items]``: once for each
    target that is shown it, divided by the number of items shown, or by the mean number of a target of the batch.
    """
    shown = np.maximum(segments.last - segments.first + 1, 0)
    counts = np.maximum(shown, 1) if over == "example" else np.full(len(shown), max(1, shown.sum()) / len(shown))
    change = np.zeros(len(segments.histories.values) + 1)
    begins = segments.histories.offsets[segments.owners] + segments.first - 1
    np.add.at(change, begins, np.where(shown, 1 / counts, 0))
    np.subtract.at(change, begins + shown, np.where(shown, 1 / counts, 0))
    return np.cumsum(change)[:-1]
