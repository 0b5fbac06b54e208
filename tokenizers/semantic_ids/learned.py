"""Auto-encoders whose codebooks follow gradients (van den Oord et al., 2017, equation 3) and not moving averages.

``ResidualRefiner`` is what RQ-KMeans+ trains (GPR, Zhang et al., 2025): codebooks that begin as those of residual
k-means on the vectors themselves, behind an encoder that begins as the identity. It has the vectors' own width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from semantic_ids.autoencoder import mlp
from semantic_ids.quantizers import Vectors
from semantic_ids.rqvae import Given, ResidualAutoEncoder, ResidualQuantizer


class LearnedQuantizer(ResidualQuantizer):
    """Its codebooks are parameters; what moves them is ``codebook_loss``."""

    codebook: nn.Parameter

    def __init__(self, codebooks: Sequence[Vectors]) -> None:
        super().__init__(codebooks)
        start = self.codebook
        del self.codebook
        self.codebook = nn.Parameter(start)

    def ema_update(self, given: Sequence[Given], decay: float) -> None:
        """Nothing: gradients have moved the codebooks."""

    def codebook_loss(self, given: Sequence[Given]) -> Tensor:
        """The mean squared distance of codes to what they stand for, averaged over levels; of the codes alone."""
        parts = [
            F.mse_loss(codebook[code], residual)
            for codebook, (residual, code) in zip(self.codebook, given, strict=True)
        ]
        return sum(parts[1:], parts[0]) / len(parts)


class LearnedAutoEncoder(ResidualAutoEncoder):
    """A ``ResidualAutoEncoder`` with codebooks that are parameters."""

    quantizer: LearnedQuantizer

    def first_quantizer(self, codebooks: Sequence[Vectors]) -> LearnedQuantizer:
        return LearnedQuantizer(codebooks)

    def with_further(self, loss: Tensor, rows: Tensor, quantized: Tensor, given: Sequence[Given]) -> Tensor:
        return loss + self.quantizer.codebook_loss(given)


class ResidualRefiner(LearnedAutoEncoder):
    """Begins as residual k-means: its untrained codes are those of ``residual_kmeans`` under the same seed.

    Encoder and decoder add to what they are given what a network makes of it, whose last layer begins at zero. GPR
    says so of the encoder; with a decoder that begins at random, what the first steps teach would be noise.
    """

    def networks(self, width: int) -> tuple[nn.Module, nn.Module]:
        widths = [width, *self.training.hidden]
        return (
            Shortcut([*widths, width], self.training.init),
            Shortcut([*widths[:1], *widths[:0:-1], width], self.training.init),
        )


class Shortcut(nn.Module):
    """``x + mlp(x)``, and ``x`` at first."""

    def __init__(self, widths: Sequence[int], init: str) -> None:
        super().__init__()
        self.network = mlp(widths, init)  # type: ignore[arg-type]
        last = self.network[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.network(x)
        return found
