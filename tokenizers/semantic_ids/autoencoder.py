"""What every tokenizer with a network shares: how it is trained, and its epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.flops import TRAINING, product
from semantic_ids.collisions import Codes
from semantic_ids.quantizers import SAMPLE, Quantized, Vectors, checked, part_of_variance, squared_norm

AT_ONCE = 1 << 15  # rows of a large catalogue
Schedule = Literal["linear", "constant"]
Init = Literal["xavier", "pytorch"]


@dataclass(frozen=True)
class Training:
    """How an auto-encoder is trained. The learning rate falls to a tenth of its start (``linear``) or stays
    (``constant``). Linear layers start ``xavier``-normal with zero biases, or as PyTorch makes them (``pytorch``).

    Of codebooks: they have vectors of ``latent`` dimensions. ``decay`` is of their moving averages, per step.
    ``commitment``, whose weight is ``beta``, reaches the encoder from ``all`` levels, or as in the published code from
    the ``first`` alone. ``reset_after`` so many steps without a use a code moves to a vector of the batch (0: never).
    ``balance`` is the weight of ``imbalance``, which the encoder lowers by using all codes alike.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch: int
    rate: float
    schedule: Schedule
    init: Init
    optimizer: Literal["adam", "adagrad"]
    # of codebooks
    latent: int = 0
    beta: float = 0.0
    decay: float = 0.0
    commitment: Literal["all", "first"] = "all"
    reset_after: int = 0
    balance: float = 0.0

    def optimizer_of(self, weights: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        kind = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}[self.optimizer]
        made: torch.optim.Optimizer = kind(weights, lr=self.rate)
        return made

    def rate_in(self, epoch: int) -> float:
        """The learning rate in an epoch, counted from 0."""
        return self.rate * (1 - 0.9 * epoch / self.epochs) if self.schedule == "linear" else self.rate


class AutoEncoder(ABC):
    """Trains in epochs on ``vectors`` and quantizes at any time, on ``device``.

    Randomness comes from ``seed`` alone, and is drawn on the CPU, so that every device sees the same.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, vectors: Vectors, seed: int, training: Training, device: str = "cpu") -> None:
        self.training, self.device = training, torch.device(device)
        self.vectors = torch.from_numpy(vectors).to(self.device)
        self.generator = torch.Generator().manual_seed(seed)

    def epochs(self) -> Iterator[float]:
        """Train; after every epoch its mean squared error of reconstruction comes out."""
        plan = self.training
        for epoch in range(plan.epochs):
            self.begin_epoch(epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = plan.rate_in(epoch)
            order, error = torch.randperm(len(self.vectors), generator=self.generator), 0.0
            for rows in order.split(plan.batch):  # type: ignore[no-untyped-call]
                error += self.step(rows.to(self.device)) * len(rows)
            yield error / len(self.vectors)

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most need nothing
        """What is due before an epoch, counted from 0."""

    @abstractmethod
    def step(self, rows: Tensor) -> float:
        """One step on these rows of the vectors; the mean squared error of their reconstruction."""

    @abstractmethod
    def step_flops(self, rows: int) -> int:
        """Floating-point operations of a step's matrix products on so many rows (``bench.flops``)."""

    def epoch_flops(self) -> int:
        """The same of an epoch."""
        whole, rest = divmod(len(self.vectors), self.training.batch)
        return whole * self.step_flops(self.training.batch) + (self.step_flops(rest) if rest else 0)

    @torch.no_grad()
    def quantize(self, vectors: Vectors) -> Quantized:
        """The codes of vectors, seen in training or not."""
        vectors = checked(vectors)
        codes, residuals, wrong = list[Codes](), list[Vectors](), 0.0
        for rows in parts(len(vectors)):
            code, residual, built = self.coded(torch.from_numpy(vectors[rows]).to(self.device))
            codes.append(code.cpu().numpy())
            residuals.append(residual.cpu().numpy())
            wrong += squared_norm(vectors[rows] - built.cpu().numpy())
        codebook, error = self.last_codebook(), part_of_variance(wrong, vectors)
        return Quantized(np.concatenate(codes), len(codebook), np.concatenate(residuals), codebook, error)

    @abstractmethod
    def coded(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of vectors ``[B, d]``: codes ``[B, levels]``, what the last level was to quantize, and the reconstruction."""

    @abstractmethod
    def last_codebook(self) -> Vectors:
        """``[codes, d]`` of the last level, which training does not change any more."""


def parts(count: int) -> Iterator[slice]:
    """Rows whose layers are in memory together: all where k-means would learn from all, for rounding depends on it."""
    size = count if count <= SAMPLE else AT_ONCE
    return (slice(start, start + size) for start in range(0, count, size))


def coding_flops(encoder: nn.Module, decoder: nn.Module, rows: int) -> int:
    """Of a step through both: what the encoder reads is given, so its first layer computes no gradient for it."""
    first, *others = weights(encoder)
    return (TRAINING - 1) * product(first, rows) + TRAINING * product(sum(others) + sum(weights(decoder)), rows)


def weights(network: nn.Module) -> list[int]:
    """How many each linear layer has, biases aside."""
    return [layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Linear)]


def mlp(widths: Sequence[int], init: Init) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for above, below in pairwise(widths):
        linear = nn.Linear(above, below)
        if init == "xavier":
            nn.init.xavier_normal_(linear.weight)
            nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
