"""The vectors of items: learned networks over the frozen features of ``VectorIds``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.flops import TRAINING, product
from bench.ids.identifiers import Feature, VectorIds
from bench.linear import linear


class ItemVectors(nn.Module):
    """``[slots, items, D]`` for the whole catalogue or some of its items, slots of the first feature first."""

    def __init__(self, ids: VectorIds, width: int) -> None:
        super().__init__()
        self.features = nn.ModuleList(FeatureVectors(feature, width) for feature in ids.features)

    def forward(self, items: Tensor | None = None) -> Tensor:
        """``items [n]`` to ``[slots, n, D]``, differentiable; None is every item."""
        return torch.cat([feature(items) for feature in self.features], dim=1).transpose(0, 1)

    def auxiliary(self, vectors: Tensor, items: Tensor) -> Tensor:
        """``[n]``: of each of the ``items [n]``, whose ``vectors [slots, n, D]`` are given, the loss beside the
        recommender's own.
        """
        sizes = [feature.slots for feature in self.each]
        parts = zip(self.each, torch.split(vectors, sizes), strict=True)
        return torch.stack([feature.auxiliary(part, items) for feature, part in parts]).sum(0)

    def known(self, items: Tensor) -> Tensor:
        """``items [...]`` to ``[..., slots]``: whether a slot says anything of an item."""
        parts = [feature.known[items].expand(*items.shape, feature.slots) for feature in self.each]
        return torch.cat(parts, -1) > 0

    def training_flops(self, made: int, rebuilt: int) -> int:
        """Of a step that computes the vectors of ``made`` items and rebuilds the features of ``rebuilt`` ones."""
        return sum(feature.training_flops(made, rebuilt) for feature in self.each)

    @property
    def each(self) -> list[FeatureVectors]:
        return [feature for feature in self.features if isinstance(feature, FeatureVectors)]


class FeatureVectors(nn.Module):
    """The slots of one feature: an encoder over its frozen vectors and, where it is trained to rebuild them, a decoder.

    The auto-encoder is that of SETRec (Lin et al., 2025): ReLU between layers; by default Xavier-normal weights and
    zero biases.
    """

    vectors: Tensor
    known: Tensor

    def __init__(self, feature: Feature, width: int) -> None:
        super().__init__()
        self.slots, self.width, self.weight = feature.slots, width, feature.reconstruction
        widths = [feature.vectors.shape[1], *feature.hidden, feature.slots * width]
        self.encoder = mlp(widths, feature.init)
        self.decoder = mlp(widths[::-1], feature.init) if self.weight else None
        # the identifiers hold them: in a checkpoint they would be there again and again
        self.register_buffer("vectors", torch.from_numpy(feature.vectors).float(), persistent=False)
        self.register_buffer("known", torch.from_numpy(feature.known)[:, None].float(), persistent=False)

    def forward(self, items: Tensor | None = None) -> Tensor:
        """``[n, slots, D]``."""
        vectors, known = (self.vectors, self.known) if items is None else (self.vectors[items], self.known[items])
        encoded: Tensor = self.encoder(vectors) * known
        return torch.unflatten(encoded, -1, (self.slots, self.width))

    def training_flops(self, made: int, rebuilt: int) -> int:
        """As of ``ItemVectors``. Features are frozen: the layer that reads them has no gradient of its input."""
        encoder, decoder = _weights(self.encoder), _weights(self.decoder)
        return TRAINING * (product(sum(encoder), made) + product(sum(decoder), rebuilt)) - product(encoder[0], made)

    def auxiliary(self, vectors: Tensor, items: Tensor) -> Tensor:
        """The weighted mean squared error ``[n]`` of what is rebuilt from ``vectors [slots, n, D]``."""
        if self.decoder is None:
            return vectors.new_zeros(len(items))
        rebuilt: Tensor = self.decoder(vectors.transpose(0, 1).flatten(1))
        wrong = (rebuilt.float() - self.vectors[items]).square().mean(-1)
        return self.weight * wrong * self.known[items, 0]


def _weights(network: nn.Module | None) -> list[int]:
    """How many weights the matrix of each linear layer has."""
    return [layer.weight.numel() for layer in (network or nn.Identity()).modules() if isinstance(layer, nn.Linear)]


class Affine(nn.Linear):
    """A linear layer with a bias, multiplied as those of the backbones are."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight) + self.bias


def mlp(widths: Sequence[int], init: str) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them; of two widths it is one linear layer. They start as
    ``Feature.init`` says.
    """
    layers: list[nn.Module] = []
    for above, below in pairwise(widths):
        layer = Affine(above, below)
        if init == "xavier":
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
