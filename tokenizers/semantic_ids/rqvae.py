"""The residual-quantised auto-encoder (RQ-VAE; Lee et al., 2022, as MTGRec, section 3.2, trains it on item text)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from semantic_ids.quantisers import Quantised, Vectors, checked, kmeans, relative_error

EPSILON = 1e-5  # Laplace smoothing of the codes' counts

Given = tuple[Tensor, Tensor]  # what a level was to quantise [B, d], and the codes it chose [B]


@dataclass(frozen=True)
class Training:
    """How an RQ-VAE is trained. ``decay`` is of the codebooks' moving averages, per step; the learning rate falls to a
    tenth of its start. ``commitment`` reaches the encoder from ``all`` levels, or as in the published code from the
    ``first`` alone. ``revive`` moves codes that are used less than once in a hundred steps to vectors of the batch.
    """

    hidden: tuple[int, ...]
    latent: int
    epochs: int
    batch: int
    rate: float
    optimiser: Literal["adam", "adagrad"]
    beta: float
    decay: float
    commitment: Literal["all", "first"]
    revive: bool


class ResidualQuantiser(nn.Module):
    """``levels`` codebooks ``[size, d]``, each quantising what those before it left over.

    They follow moving averages of the vectors they stand for, not gradients.
    """

    book: Tensor
    count: Tensor
    total: Tensor

    def __init__(self, books: Sequence[Vectors]) -> None:
        super().__init__()
        stacked = torch.from_numpy(np.stack(books))
        self.register_buffer("book", stacked)
        self.register_buffer("count", torch.ones(stacked.shape[:2]))
        self.register_buffer("total", stacked.clone())

    def residuals(self, latent: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each level: what is to be quantised ``[B, d]``, the nearest code ``[B]`` and its vector."""
        rest = latent
        for book in self.book:
            with torch.no_grad():
                code = (book.square().sum(1) - 2 * rest @ book.T).argmin(1)
            vector = book[code]
            yield rest, code, vector
            rest = rest - vector

    def forward(self, latent: Tensor, commitment: str = "all") -> tuple[Tensor, Tensor, list[Given]]:
        """The quantised latent, through which gradients pass unchanged, the mean commitment loss, and what each level
        was given and made of it.
        """
        loss, quantised, given = latent.new_zeros(()), torch.zeros_like(latent), []
        for level, (rest, code, vector) in enumerate(self.residuals(latent)):
            held = rest if commitment == "all" or level == 0 else rest.detach()
            loss = loss + F.mse_loss(held, vector) / len(self.book)
            quantised = quantised + vector
            given.append((rest.detach(), code))
        return latent + (quantised - latent).detach(), loss, given

    @torch.no_grad()
    def follow(self, given: Sequence[Given], decay: float) -> None:
        """Move the codebooks towards what they stood for in this batch (van den Oord et al., 2017, appendix A)."""
        for level, (rest, code) in enumerate(given):
            size = self.book.shape[1]
            self.count[level].lerp_(torch.bincount(code, minlength=size).to(rest), 1 - decay)
            self.total[level].lerp_(torch.zeros_like(self.total[level]).index_add_(0, code, rest), 1 - decay)
            whole = self.count[level].sum()
            smooth = (self.count[level] + EPSILON) / (whole + size * EPSILON) * whole
            self.book[level] = self.total[level] / smooth[:, None]

    @torch.no_grad()
    def revive(self, given: Sequence[Given], generator: torch.Generator) -> None:
        """Give codes that have fallen out of use the place of random vectors of the batch."""
        for level, (rest, _) in enumerate(given):
            dead = torch.nonzero(self.count[level] < 0.01)[:, 0]
            chosen = rest[torch.randint(len(rest), (len(dead),), generator=generator)]
            self.book[level, dead], self.total[level, dead], self.count[level, dead] = chosen, chosen, 1.0


class ResidualAutoEncoder:
    """Trains in epochs and quantises at any time. Randomness comes from ``seed`` alone."""

    def __init__(self, vectors: Vectors, levels: int, size: int, seed: int, training: Training) -> None:
        vectors = checked(vectors)
        self.training, self.vectors = training, torch.from_numpy(vectors)
        self.generator = torch.Generator().manual_seed(seed)
        widths = [vectors.shape[1], *training.hidden, training.latent]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoder, self.decoder = mlp(widths), mlp(widths[::-1])
        self.quantiser = ResidualQuantiser(self.first_books(levels, size, seed))
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        kind = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}[training.optimiser]
        self.optimiser: torch.optim.Optimizer = kind(weights, lr=training.rate)

    @torch.no_grad()
    def first_books(self, levels: int, size: int, seed: int) -> list[Vectors]:
        """K-means, level by level, on what the untrained encoder makes of the vectors."""
        rest, books = self.encoder(self.vectors).numpy(), []
        for level in range(levels):
            code, book = kmeans(np.ascontiguousarray(rest), size, seed + level)
            books.append(book)
            rest = rest - book[code]
        return books

    def epochs(self) -> Iterator[float]:
        """Train; after every epoch its mean squared error of reconstruction comes out."""
        plan = self.training
        for epoch in range(plan.epochs):
            for group in self.optimiser.param_groups:
                group["lr"] = plan.rate * (1 - 0.9 * epoch / plan.epochs)
            order, error = torch.randperm(len(self.vectors), generator=self.generator), 0.0
            for rows in order.split(plan.batch):  # type: ignore[no-untyped-call]
                error += self.step(self.vectors[rows]) * len(rows)
            yield error / len(self.vectors)

    def step(self, batch: Tensor) -> float:
        quantised, commitment, given = self.quantiser(self.encoder(batch), self.training.commitment)
        reconstruction = F.mse_loss(self.decoder(quantised), batch)
        self.optimiser.zero_grad()
        (reconstruction + self.training.beta * commitment).backward()
        self.optimiser.step()
        self.quantiser.follow(given, self.training.decay)
        if self.training.revive:
            self.quantiser.revive(given, self.generator)
        return float(reconstruction.detach())

    @torch.no_grad()
    def quantise(self, vectors: Vectors) -> Quantised:
        """The codes of vectors, seen in training or not."""
        vectors = checked(vectors)
        levels = list(self.quantiser.residuals(self.encoder(torch.from_numpy(vectors))))
        codes = torch.stack([code for _, code, _ in levels], 1).numpy()
        built = self.decoder(torch.stack([vector for _, _, vector in levels]).sum(0)).numpy()
        book = self.quantiser.book[-1].numpy().copy()
        return Quantised(codes, len(book), levels[-1][0].numpy(), book, relative_error(vectors, vectors - built))


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them; Xavier-normal weights, zero biases."""
    layers: list[nn.Module] = []
    for above, below in pairwise(widths):
        linear = nn.Linear(above, below)
        nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def use(codes: NDArray[np.int64], size: int) -> list[float]:
    """The share of every level's codes that some item has."""
    return [len(np.unique(level)) / size for level in codes.T]
