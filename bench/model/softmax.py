"""Cross-entropy over the catalogue for every slot: at once, in chunks that never are in memory together, or sampled.

Shapes: Q slots, B examples, m items, D width. All three give ``[Q, B]``, the loss of each slot of each example.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.linear import linear

VectorsOf = Callable[[Tensor], Tensor]  # items [n] to their vectors [Q, n, D]


def full(hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
    """Over ``vectors [Q, m, D]`` of all items; ``hidden [Q, B, D]``, ``targets [B]``."""
    pairs = zip(hidden, vectors, strict=True)
    return torch.stack([F.cross_entropy(_product(h, v), targets, reduction="none") for h, v in pairs])


def chunked(hidden: Tensor, vectors_of: VectorsOf, targets: Tensor, items: int, size: int) -> Tensor:
    """The same, ``size`` items at a time: their vectors and logits are made, used, and made again for the gradient."""

    def part(hidden: Tensor, start: int) -> Tensor:
        chunk = torch.arange(start, min(start + size, items), device=hidden.device)
        return _logits(hidden, vectors_of(chunk)).logsumexp(-1)

    parts = [checkpoint(part, hidden, start, use_reentrant=False) for start in range(0, items, size)]
    return torch.stack(parts).logsumexp(0) - _own(hidden, vectors_of(targets))


def sampled(hidden: Tensor, vectors_of: VectorsOf, targets: Tensor, items: int, count: int) -> Tensor:
    """Over each target and ``count`` items drawn uniformly with replacement, the same ones for all examples.

    The others of the catalogue are ``items / count`` times the drawn ones that are not the target: an unbiased estimate
    of the sum under the softmax, so its logarithm is too low by what the estimate scatters.
    """
    drawn = torch.randint(items, (count,), device=targets.device)
    logits = _logits(hidden, vectors_of(drawn)) + math.log(items / count)
    logits = logits.masked_fill(drawn == targets[:, None], float("-inf"))
    own = _own(hidden, vectors_of(targets))
    return torch.cat([logits, own[..., None]], -1).logsumexp(-1) - own


def _logits(hidden: Tensor, vectors: Tensor) -> Tensor:
    """``[Q, B, n]``, in float32 whatever the precision of training."""
    return torch.stack([_product(h, v) for h, v in zip(hidden, vectors, strict=True)])


def _product(hidden: Tensor, vectors: Tensor) -> Tensor:
    return linear(hidden, vectors.contiguous()).float()


def _own(hidden: Tensor, vectors: Tensor) -> Tensor:
    """``[Q, B]``: the logit of each example's own target."""
    return (hidden.float() * vectors.float()).sum(-1)
