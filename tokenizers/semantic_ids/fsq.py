"""Finite scalar quantization (Mentzer et al., 2023, arXiv 2309.15505): every channel is rounded to one of a few values.

There is no codebook that could fall out of use: the codes of a level are the points of a fixed grid. A level of an
identifier has some channels of its own, whose values together are one code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semantic_ids.autoencoder import AutoEncoder, Training, coding_flops, mlp
from semantic_ids.quantizers import Vectors, checked

MARGIN = 1e-3  # by which the bounds reach beyond the outermost values, so that tanh gets there


@dataclass(frozen=True)
class Grid:
    """The values of each channel of a level: ``sides`` are how many. Whole numbers around 0, as code 0, 1, 2, …"""

    sides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Codes of a level."""
        return math.prod(self.sides)

    def bounded(self, raw: Tensor) -> Tensor:
        """``[..., channels]`` squeezed by tanh into what rounds to the values; 0 stays in the middle (section 3.1)."""
        sides = torch.tensor(self.sides, dtype=raw.dtype, device=raw.device)
        half = (sides - 1) * (1 + MARGIN) / 2
        offset = torch.where(sides % 2 == 0, 0.5, 0.0)  # an even number of values lies around a half
        return torch.tanh(raw + torch.atanh(offset / half)) * half - offset

    def rounded(self, bounded: Tensor) -> Tensor:
        """The nearest values, through which gradients pass unchanged."""
        return bounded + (bounded.round() - bounded).detach()

    def codes(self, values: Tensor) -> Tensor:
        """``[..., channels]`` whole values to the number of their grid point, the last channel counting fastest."""
        found = torch.zeros(values.shape[:-1], dtype=torch.long, device=values.device)
        for side, channel in zip(self.sides, values.unbind(-1), strict=True):
            found = found * side + channel.round().long() + side // 2
        return found

    def points(self) -> Vectors:
        """``[size, channels]``: the values of every code."""
        axes = np.meshgrid(*(np.arange(side) - side // 2 for side in self.sides), indexing="ij")
        return np.stack(axes, -1).reshape(self.size, len(self.sides)).astype(np.float32)


class ScalarAutoEncoder(AutoEncoder):
    """A grid for each level between an encoder and a decoder."""

    def __init__(
        self, vectors: Vectors, levels: int, grid: Grid, seed: int, training: Training, device: str = "cpu"
    ) -> None:
        vectors = checked(vectors)
        super().__init__(vectors, seed, training, device)
        self.grid, self.shape = grid, (levels, len(grid.sides))
        widths = [vectors.shape[1], *training.hidden, levels * len(grid.sides)]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            networks = mlp(widths, training.init), mlp(widths[::-1], training.init)
        self.encoder, self.decoder = (network.to(self.device) for network in networks)
        self.optimizer = training.optimizer_of([*self.encoder.parameters(), *self.decoder.parameters()])

    def step(self, rows: Tensor) -> float:
        batch = self.vectors[rows]
        loss = F.mse_loss(self.decoder(self.grid.rounded(self.bounded(batch)).flatten(1)), batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def step_flops(self, rows: int) -> int:
        return coding_flops(self.encoder, self.decoder, rows)

    def bounded(self, batch: Tensor) -> Tensor:
        """``[B, levels, channels]``: what is rounded."""
        return self.grid.bounded(self.encoder(batch).unflatten(1, self.shape))

    def coded(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bounded = self.bounded(batch)
        values = bounded.round()
        return self.grid.codes(values), bounded[:, -1], self.decoder(values.flatten(1))

    def last_codebook(self) -> Vectors:
        return self.grid.points()
