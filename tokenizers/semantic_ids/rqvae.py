"""The residual-quantized auto-encoder (RQ-VAE; Lee et al., 2022, as MTGRec, section 3.2, trains it on item text)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.faiss_library import shards
from bench.flops import product
from semantic_ids.autoencoder import AutoEncoder, Training, coding_flops, mlp, parts
from semantic_ids.quantizers import Vectors, checked, kmeans

EPSILON = 1e-5  # Laplace smoothing of the codes' counts

Given = tuple[Tensor, Tensor]  # what a level was to quantize [B, d], and the codes it chose [B]


class ResidualQuantizer(nn.Module):
    """``levels`` codebooks ``[size, d]``, each quantizing what those before it left over.

    They follow moving averages of the vectors they stand for, not gradients.
    """

    codebook: Tensor
    count: Tensor
    total: Tensor
    unused: Tensor

    def __init__(self, codebooks: Sequence[Vectors]) -> None:
        super().__init__()
        stacked = torch.from_numpy(np.stack(codebooks))
        self.register_buffer("codebook", stacked)
        self.register_buffer("count", torch.ones(stacked.shape[:2]))
        self.register_buffer("total", stacked.clone())
        self.register_buffer("unused", torch.zeros(stacked.shape[:2], dtype=torch.long))  # steps in a row

    def residuals(self, latent: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each level: what is to be quantized ``[B, d]``, the nearest code ``[B]`` and its vector."""
        residual = latent
        for codebook in self.codebook.detach():
            with torch.no_grad():
                code = (codebook.square().sum(1) - 2 * residual @ codebook.T).argmin(1)
            vector = codebook[code]
            yield residual, code, vector
            residual = residual - vector

    def forward(self, latent: Tensor, commitment: str = "all") -> tuple[Tensor, Tensor, list[Given]]:
        """The quantized latent, through which gradients pass unchanged, the mean commitment loss, and what each level
        was given and made of it.
        """
        loss, quantized, given = latent.new_zeros(()), torch.zeros_like(latent), []
        for level, (residual, code, vector) in enumerate(self.residuals(latent)):
            source = residual if commitment == "all" or level == 0 else residual.detach()
            loss = loss + F.mse_loss(source, vector) / len(self.codebook)
            quantized = quantized + vector
            given.append((residual.detach(), code))
        return latent + (quantized - latent).detach(), loss, given

    @torch.no_grad()
    def ema_update(self, given: Sequence[Given], decay: float) -> None:
        """Move the codebooks towards what they stood for in this batch (van den Oord et al., 2017, appendix A)."""
        for level, (residual, code) in enumerate(given):
            size = self.codebook.shape[1]
            self.count[level].lerp_(torch.bincount(code, minlength=size).to(residual), 1 - decay)
            self.total[level].lerp_(torch.zeros_like(self.total[level]).index_add_(0, code, residual), 1 - decay)
            whole = self.count[level].sum()
            smooth = (self.count[level] + EPSILON) / (whole + size * EPSILON) * whole
            self.codebook[level] = self.total[level] / smooth[:, None]

    @torch.no_grad()
    def reset_dead_codes(self, given: Sequence[Given], generator: torch.Generator, after: int) -> None:
        """Give codes that have not been used for ``after`` steps the place of random vectors of the batch."""
        for level, (residual, code) in enumerate(given):
            self.unused[level] += 1
            self.unused[level, code] = 0
            dead = torch.nonzero(self.unused[level] >= after)[:, 0]
            chosen = residual[torch.randint(len(residual), (len(dead),), generator=generator).to(residual.device)]
            self.codebook[level, dead], self.total[level, dead], self.count[level, dead] = chosen, chosen, 1.0
            self.unused[level, dead] = 0


def imbalance(given: Sequence[Tensor], codebooks: Tensor) -> Tensor:
    """How far the mean use of codes is from even: the divergence of it from the uniform distribution, averaged over
    levels, in nats. ``given`` is for each level what it is to quantize, ``[B, d]``.

    The use that one vector makes of a code is the softmax of negative squared distances, in units of their mean to the
    nearest code, so that it has a gradient.
    """
    found = []
    for residual, codebook in zip(given, codebooks, strict=True):
        squares = residual.square().sum(1, keepdim=True) - 2 * residual @ codebook.T + codebook.square().sum(1)
        use = (-squares / squares.detach().amin(1).mean().clamp(min=1e-12)).softmax(1).mean(0)
        found.append((use * (use.clamp(min=1e-12) * len(use)).log()).sum())
    return torch.stack(found).mean()


class ResidualAutoEncoder(AutoEncoder):
    """Residual codebooks between an encoder and a decoder."""

    def __init__(
        self, vectors: Vectors, levels: int, size: int, seed: int, training: Training, device: str = "cpu"
    ) -> None:
        vectors = checked(vectors)
        super().__init__(vectors, seed, training, device)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoder, self.decoder = (network.to(self.device) for network in self.networks(vectors.shape[1]))
        self.quantizer = self.first_quantizer(self.first_codebooks(levels, size, seed)).to(self.device)
        weights = [*self.encoder.parameters(), *self.decoder.parameters(), *self.quantizer.parameters()]
        self.optimizer = training.optimizer_of(weights)

    def networks(self, width: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder, untrained."""
        widths = [width, *self.training.hidden, self.training.latent]
        return mlp(widths, self.training.init), mlp(widths[::-1], self.training.init)

    def first_quantizer(self, codebooks: Sequence[Vectors]) -> ResidualQuantizer:
        return ResidualQuantizer(codebooks)

    @torch.no_grad()
    def first_codebooks(self, levels: int, size: int, seed: int) -> list[Vectors]:
        """K-means, level by level, on what the untrained encoder makes of the vectors."""
        encoded = [self.encoder(self.vectors[rows]).cpu().numpy() for rows in parts(len(self.vectors))]
        residual, codebooks = np.concatenate(encoded), list[Vectors]()
        del encoded
        for level in range(levels):
            code, codebook = kmeans(residual, size, seed + level, str(self.device))
            codebooks.append(codebook)
            for rows in shards(len(residual)):
                residual[rows] -= codebook[code[rows]]
        return codebooks

    def step(self, rows: Tensor) -> float:
        batch, plan = self.vectors[rows], self.training
        latent = self.encoder(batch)
        quantized, commitment, given = self.quantizer(latent, plan.commitment)
        reconstruction = F.mse_loss(self.decoder(quantized), batch)
        loss = reconstruction + plan.beta * commitment
        if plan.balance:
            loss = loss + plan.balance * self.imbalance(latent)
        self.optimizer.zero_grad()
        self.with_further(loss, rows, quantized, given).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.quantizer.ema_update(given, plan.decay)
        if plan.reset_after:
            self.quantizer.reset_dead_codes(given, self.generator, plan.reset_after)
        return float(reconstruction.detach())

    def step_flops(self, rows: int) -> int:
        """Comparing with all codes needs no gradient; their use has one for what is compared, after another look."""
        looks = 4 if self.training.balance else 1
        return coding_flops(self.encoder, self.decoder, rows) + looks * self.compared(rows)

    def compared(self, rows: int) -> int:
        """Of comparing so many vectors with all codes of all levels, once."""
        return product(self.quantizer.codebook.numel(), rows)

    def imbalance(self, latent: Tensor) -> Tensor:
        """Of the use of the codebooks, which are where they are."""
        given = [residual for residual, _, _ in self.quantizer.residuals(latent)]
        return imbalance(given, self.quantizer.codebook.detach())

    def with_further(self, loss: Tensor, rows: Tensor, quantized: Tensor, given: Sequence[Given]) -> Tensor:
        """The loss and what else a kind of tokenizer adds to it; here nothing."""
        return loss

    def coded(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = list(self.quantizer.residuals(self.encoder(batch)))
        built = self.decoder(torch.stack([vector for _, _, vector in levels]).sum(0))
        return torch.stack([code for _, code, _ in levels], 1), levels[-1][0], built

    def last_codebook(self) -> Vectors:
        codebook: Vectors = self.quantizer.codebook[-1].detach().cpu().numpy().copy()
        return codebook


def use(codes: NDArray[np.int64], size: int) -> list[float]:
    """The share of every level's codes that some item has."""
    return [len(np.unique(level)) / size for level in codes.T]
