"""The encoder over items: one position for every history item, the weighted sum of the embeddings of its tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.model.packed import NOWHERE

OFFSETS = 32  # tokens of an item with weights of their own; those behind share the last


@dataclass(frozen=True, eq=False)
class Cells:
    """Which tokens make one position: of each token its ``cell [R, S]`` and ``offset [R, S]`` in it; a cell more than
    there are is that of padding. Of each cell its segment and item number ``[R, C]``.
    """

    cell: Tensor
    offset: Tensor
    segments: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, segments: NDArray[np.int64], numbers: NDArray[np.int64]) -> Cells:
        """A cell for every token of a head, and one for all tokens of an item."""
        begins = np.ones(segments.shape, bool)
        same = (segments[:, 1:] == segments[:, :-1]) & (numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] > 0)
        begins[:, 1:] = ~same
        inside = segments != NOWHERE
        cell = np.cumsum(begins, 1) - 1
        count = int(cell[inside].max(initial=0)) + 1
        columns = np.broadcast_to(np.arange(segments.shape[1]), segments.shape)
        offset = columns - np.maximum.accumulate(np.where(begins, columns, 0), 1)
        pages = np.full((2, len(segments), count), NOWHERE, np.int64)
        at = np.nonzero(begins & inside)
        pages[0][at[0], cell[at]], pages[1][at[0], cell[at]] = segments[at], numbers[at]
        parts = np.where(inside, cell, count), np.minimum(offset, OFFSETS - 1), *pages
        return cls(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


class ItemPooling(nn.Module):
    """Sums the embeddings of an item's tokens, each weighted element by element by where in the item it stands.

    What is learned is the difference of the weights from one, so that weight decay pulls towards the plain sum. Sums
    are divided by the root of the number of tokens: they are as large as one embedding, however long an identifier is.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(OFFSETS, width))

    def forward(self, embedded: Tensor, cell: Tensor, offset: Tensor, count: int) -> Tensor:
        """``embedded [R, S, D]`` to ``[R, count, D]``."""
        rows, _, width = embedded.shape
        flat = (cell + torch.arange(rows, device=cell.device)[:, None] * (count + 1)).flatten()
        weighted = (embedded * (1 + self.weight[offset])).flatten(0, 1)
        summed = weighted.new_zeros(rows * (count + 1), width).index_add(0, flat, weighted)
        tokens = torch.bincount(flat, minlength=rows * (count + 1)).clamp(min=1)
        pooled: Tensor = (summed * tokens.rsqrt()[:, None].to(summed.dtype)).view(rows, count + 1, width)
        return pooled[:, :-1]
