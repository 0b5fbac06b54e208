"""The network of UniSRec (Hou et al., KDD 2022, arXiv 2206.05941, section 2): texts of items go through a mixture of
whitenings, sequences of them through a Transformer. Equations are those of the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.dropout import Dropout
from unisrec_baseline.settings import Settings

INITIAL = 0.02  # standard deviation of weights
LEAST_NOISE = 0.01  # standard deviation of what gates get at least, so that no expert is ever left alone


class Adaptor(nn.Module):
    """Text vectors ``[n, raw]`` to item vectors ``[n, width]``.

    Expert k is a parametric whitening, (x - b_k) W_k (equation 2). Its weight is that of a softmax over x W_2 + noise,
    where the noise is normal, with a standard deviation of softplus(x W_3) and a little more, and there is none but in
    training (equations 3 and 4). Gates begin at zero: all experts are then equally likely. Dropout takes other
    dimensions of a text from every expert, and none from the gates.
    """

    def __init__(self, raw: int, settings: Settings) -> None:
        super().__init__()
        experts = settings.experts
        self.bias = nn.Parameter(torch.zeros(experts, raw))
        self.weight = nn.Parameter(torch.empty(experts, raw, settings.width).normal_(std=INITIAL))
        self.gate, self.noise = nn.Parameter(torch.zeros(raw, experts)), nn.Parameter(torch.zeros(raw, experts))
        self.dropout = Dropout(settings.adaptor_dropout)

    def forward(self, text: Tensor) -> Tensor:
        dropped = self.dropout(text.expand(len(self.weight), *text.shape))
        whitened = dropped @ self.weight - self.bias[:, None] @ self.weight
        return torch.einsum("nk,knw->nw", self.gates(text), whitened)

    def gates(self, text: Tensor) -> Tensor:
        """``[n, experts]``, a distribution."""
        logits = text @ self.gate
        if self.training:
            logits = logits + torch.randn_like(logits) * (F.softplus(text @ self.noise) + LEAST_NOISE)
        return logits.softmax(dim=1)


class Encoder(nn.Module):
    """Item vectors ``[n, length, width]`` to one vector for each sequence ``[n, width]``: that of its last item
    (equations 5 and 6). Nothing looks ahead, so what stands behind the last item of a shorter sequence has no say.
    """

    def __init__(self, length: int, settings: Settings) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(length, settings.width).normal_(std=INITIAL))
        self.norm, self.dropout = nn.LayerNorm(settings.width, eps=1e-12), nn.Dropout(settings.dropout)
        layer = nn.TransformerEncoderLayer(
            settings.width,
            settings.heads,
            settings.inner,
            settings.dropout,
            activation="gelu",
            layer_norm_eps=1e-12,
            batch_first=True,
        )
        layer.dropout = nn.Dropout(0.0)  # PyTorch's own; the published layer has none within its feed-forward part
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        for name, weights in self.layers.named_parameters():
            if weights.ndim > 1:
                nn.init.normal_(weights, std=INITIAL)
            elif name.endswith("bias"):
                nn.init.zeros_(weights)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        length = items.shape[1]
        ahead = torch.ones(length, length, dtype=torch.bool, device=items.device).triu(1)
        hidden = self.layers(self.dropout(self.norm(items + self.positions[:length])), mask=ahead, is_causal=True)
        last: Tensor = hidden[torch.arange(len(items), device=items.device), (lengths - 1).clamp(min=0)]
        return last


class Network(nn.Module):
    """Both together; ``items`` of them have vectors of their own as well, which the transductive variant adds."""

    def __init__(self, raw: int, length: int, settings: Settings, items: int = 0) -> None:
        super().__init__()
        self.adaptor, self.encoder = Adaptor(raw, settings), Encoder(length, settings)
        self.own = nn.Parameter(torch.empty(items, settings.width).normal_(std=INITIAL)) if items else None

    def named(self, text: Tensor, own: Tensor | None = None) -> Tensor:
        """``[n, width]``: items by their text, and by the rows ``own [n]`` of their vectors where those are used."""
        vectors: Tensor = self.adaptor(text)
        return vectors if own is None or self.own is None else vectors + self.own[own]

    def sequences(self, items: Tensor, rows: Tensor, lengths: Tensor) -> Tensor:
        """``[n, width]``: sequences whose items are ``rows [n, length]`` of ``items``; -1 is nothing."""
        padded = F.pad(items, (0, 0, 0, 1))
        found: Tensor = self.encoder(padded[rows], lengths)
        return found
