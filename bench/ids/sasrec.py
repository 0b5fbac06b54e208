"""A small SASRec (Kang and McAuley, 2018), trained against the whole catalogue or a sample of it: the source of
collaborative vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.dataset import Sequences, TrainView
from bench.flops import TRAINING, attention, product
from bench.ids.limits import FLOPS, PARAMETER, CatalogueSize, Needs
from bench.linear import linear

CLIP = 5.0


@dataclass(frozen=True)
class Training:
    """How a SASRec of ``width`` is trained; ``history`` are the newest items of a user that it reads. The loss is over
    the whole catalogue, or over so many ``negatives`` drawn for each step.
    """

    width: int = 64
    history: int = 50
    layers: int = 2
    heads: int = 2
    dropout: float = 0.3
    epochs: int = 8
    batch: int = 128
    rate: float = 2e-3
    negatives: int = 0


def training_needs(size: CatalogueSize, plan: Training) -> Needs:
    """Of ``item_vectors``: the item table with its moments, and the scores of a batch; steps over the table, and
    products with all items or those drawn.
    """
    targets = min(plan.batch, size.users) * max(size.history - 1, 1)
    scored = min(plan.negatives, size.items) if plan.negatives else size.items
    table = size.items * plan.width
    steps = plan.epochs * -(-size.users // plan.batch)
    products = 6.0 * plan.epochs * size.users * max(size.history - 1, 1) * (scored + 60 * plan.width) * plan.width
    return Needs(table * (PARAMETER + 8.0) + 16.0 * targets * scored, products / FLOPS + steps * table * 6e-9)


class SasRec(nn.Module):
    """Self-attention over the items so far. Row ``items`` of the table is padding."""

    def __init__(self, items: int, plan: Training) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, plan.width, padding_idx=items)
        self.positions = nn.Embedding(plan.history, plan.width)
        layer = nn.TransformerEncoderLayer(
            plan.width, plan.heads, 4 * plan.width, plan.dropout, F.gelu, batch_first=True, norm_first=True
        )
        last = nn.LayerNorm(plan.width)
        self.blocks = nn.TransformerEncoder(layer, plan.layers, last, enable_nested_tensor=False)
        self.dropout = nn.Dropout(plan.dropout)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, std=plan.width**-0.5)

    def forward(self, histories: Tensor) -> Tensor:
        """``[B, L]``, right-padded, to ``[B, L, width]``: after each item, what the next one's vector should be."""
        length = histories.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=histories.device).triu(1)
        read = self.dropout(self.items(histories) + self.positions.weight[:length])
        found: Tensor = self.blocks(read, mask=later)
        return found


def item_vectors(train: TrainView, plan: Training) -> NDArray[np.float32]:
    """``[items, width]``: the item table of a SASRec trained on the training sequences alone, deterministic by seed."""
    count = len(train.items)
    sequences = train.sequences.newest(plan.history + 1)
    rows = np.flatnonzero(sequences.lengths > 1)
    device = torch.device(train.device)
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(train.seed)
        model = SasRec(count, plan).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=0.01)
        for epoch in range(plan.epochs):
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * (1 + math.cos(math.pi * epoch / plan.epochs)) / 2
            total, seen = 0.0, 0
            for batch in batches(sequences, rows, plan.batch, count, np.random.default_rng([train.seed, epoch])):
                targets = int((batch[:, 1:] < count).sum())
                total, seen = total + step(model, optimizer, batch.to(device), plan.negatives), seen + targets
                train.count_training(1, targets, step_flops(count, plan, batch[:, 1:].shape, targets))
            train.progress(epoch + 1, plan.epochs, {"sasrec loss": total / max(1, seen)})
    found: NDArray[np.float32] = model.items.weight[:count].detach().cpu().numpy().copy()
    return found


def batches(
    sequences: Sequences, rows: NDArray[np.int64], size: int, pad: int, random: np.random.Generator
) -> Iterator[Tensor]:
    """All of ``rows`` in random batches of about equal length, each padded on the right: ``[B, L]``."""
    order = random.permutation(rows)
    order = order[np.argsort(sequences.lengths[order], kind="stable")]
    parts = np.array_split(order, -(-len(order) // size)) if len(order) else []
    for part in random.permutation(len(parts)):
        chosen = [torch.from_numpy(sequences[row].astype(np.int64)) for row in parts[part]]
        yield nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=pad)


def step(model: SasRec, optimizer: torch.optim.Optimizer, batch: Tensor, negatives: int = 0) -> float:
    """One step over every position of a batch; the summed loss."""
    targets = batch[:, 1:]
    inside = targets < model.items.num_embeddings - 1
    hidden = model(batch[:, :-1])[inside]
    if negatives:
        loss = sampled_loss(hidden, model.items, targets[inside], negatives)
    else:
        loss = F.cross_entropy(linear(hidden, model.items.weight[:-1]), targets[inside])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    return float(loss.detach()) * int(inside.sum())


def step_flops(items: int, plan: Training, shape: tuple[int, ...], targets: int) -> int:
    """Floating-point operations of a step's matrix products (``bench.flops``): a batch of ``shape [B, L]``,
    padding included, whose ``targets`` are compared with all ``items`` or with those drawn.
    """
    (batch, length), width = shape, plan.width
    layer = product(12 * width**2, batch * length) + attention(batch, length, length, width)  # 4 d² and 2 · 4 d²
    scores = product(width * (plan.negatives or items), targets)
    return TRAINING * (plan.layers * layer + scores)


def sampled_loss(hidden: Tensor, table: nn.Embedding, targets: Tensor, count: int) -> Tensor:
    """The mean cross-entropy of each of ``hidden [n, width]`` over its target and ``count`` items drawn uniformly with
    replacement, the same ones for all, which stand for all others of the catalogue.
    """
    items = table.num_embeddings - 1
    drawn = torch.randint(items, (count,)).to(targets.device)  # the same ones wherever it is computed
    others = linear(hidden, table(drawn)) + math.log(items / count)
    others = others.masked_fill(drawn == targets[:, None], float("-inf"))
    own = (hidden * table(targets)).sum(-1, keepdim=True)
    return F.cross_entropy(torch.cat([own, others], 1), torch.zeros_like(targets))
