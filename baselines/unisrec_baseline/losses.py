"""What UniSRec learns from (arXiv 2206.05941, sections 2.2 and 2.3). Vectors are compared by their cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def similarities(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """``[queries, keys]``: cosines over the temperature."""
    return F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T / temperature


def contrast(sequences: Tensor, keys: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """The mean of -log softmax of each sequence's own key among those of the batch, which is of all data sets.

    ``keys [n, width]`` are the target items (equation 7) or other views of the sequences (equation 8). Rows with the
    same ``targets [n]`` are no negatives of each other: they are right as well.
    """
    logits = similarities(sequences, keys, temperature)
    same = targets[:, None] == targets[None, :]
    same.fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(logits), device=logits.device))


def pre_training(
    sequences: Tensor, items: Tensor, views: Tensor, targets: Tensor, temperature: float, weight: float
) -> Tensor:
    """Sequence and item, and with ``weight`` sequence and sequence (equation 9)."""
    first = contrast(sequences, items, targets, temperature)
    return first + weight * contrast(sequences, views, targets, temperature) if weight else first


def fine_tuning(sequences: Tensor, catalogue: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """-log softmax of the target among all items of the ``catalogue [items, width]`` (equations 10 and 11)."""
    return F.cross_entropy(similarities(sequences, catalogue, temperature), targets)
