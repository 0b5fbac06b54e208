"""The layers of decoder-only models. Modules are called as Transformers calls them, so that adapters fit both.

Shapes: B batch, T target, K keys, H heads, G queries that share a key, D model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbone import causal_inference
from bench.backbone.t5 import RMSNorm
from bench.dropout import Dropout
from bench.linear import linear

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # of every layer
KeysValues = tuple[Tensor, Tensor]  # [B, H/G, K, d_kv] each
Turn = tuple[Tensor, Tensor]  # cosines and signed sines of positions, [B, T, heads, d_kv] each


@dataclass(frozen=True)
class CausalConfig:
    """The shape of a decoder-only model. ``kv_heads`` keys are shared by ``heads`` queries; ``bias`` is that of
    queries, keys and values (Qwen2), ``output_bias`` that of the attention's output. ``tied`` shares the output layer
    with the embeddings. ``scaling`` stretches the rotation of Llama 3.1: factor, low and high frequency factor, old
    context. ``context`` is how many positions it was made for, which is handed on and bounds nothing: rotary positions
    have no table.

    ``whole_words`` are the rows of a table of whole-word embeddings; 0 is a model without one, as published.
    """

    vocabulary: int
    d_model: int
    d_ff: int
    layers: int
    heads: int
    kv_heads: int
    d_kv: int
    bias: bool = True
    output_bias: bool = False
    tied: bool = True
    dropout: float = 0.0
    theta: float = 10000.0
    scaling: tuple[float, float, float, float] | None = None
    epsilon: float = 1e-6
    whole_words: int = 0
    context: int = 32_768


class Projection(nn.Linear):
    """A linear layer, ``[..., inputs]`` to ``[..., outputs]``. Weights in bfloat16 (a frozen base) are multiplied so;
    what goes in and comes out stays as it is.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dtype == torch.bfloat16 != x.dtype:
            return F.linear(x.to(torch.bfloat16), self.weight, self.bias).to(x.dtype)
        return linear(x, self.weight, self.bias)


class Rotary(nn.Module):
    """Rotary positions (Su et al., 2021): pairs of channels turn by an angle that grows with the position."""

    frequency: Tensor

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.heads = config.heads + config.kv_heads
        frequency = config.theta ** -(torch.arange(0, config.d_kv, 2) / config.d_kv)
        self.register_buffer("frequency", stretched(frequency, config.scaling), persistent=False)

    def forward(self, positions: Tensor) -> Turn:
        """``[B, T]`` to tables for all queries and keys, written out where no gradient has to keep them."""
        angles = positions[..., None, None] * self.frequency
        cosines, sines = angles.cos(), angles.sin()
        tables = torch.cat([cosines, cosines], -1), torch.cat([-sines, sines], -1)
        cosines, sines = (table.expand(-1, -1, self.heads, -1) for table in tables)
        return (cosines, sines) if torch.is_grad_enabled() else (cosines.contiguous(), sines.contiguous())


def stretched(frequency: Tensor, scaling: tuple[float, float, float, float] | None) -> Tensor:
    """The frequencies of Llama 3.1 for a longer context: slow ones are divided, fast ones stay, between them both."""
    if scaling is None:
        return frequency
    factor, low, high, context = scaling
    turns = context * frequency / (2 * math.pi)  # within the old context
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequency * (kept + (1 - kept) / factor)


def turned(x: Tensor, turn: Turn) -> Tensor:
    """``x [B, T, heads, d_kv]``, each channel of the first half turned with its partner of the second."""
    first, second = x.chunk(2, -1)
    cosines, sines = (table[:, :, : x.shape[2]].to(x.dtype) for table in turn)
    return x * cosines + torch.cat([second, first], -1) * sines


class Attention(nn.Module):
    """Grouped-query attention (Ainslie et al., 2023) over rotated keys."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads
        inner, shared = config.heads * config.d_kv, config.kv_heads * config.d_kv
        self.q_proj = Projection(config.d_model, inner, bias=config.bias)
        self.k_proj = Projection(config.d_model, shared, bias=config.bias)
        self.v_proj = Projection(config.d_model, shared, bias=config.bias)
        self.o_proj = Projection(inner, config.d_model, bias=config.output_bias)

    def projected(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """``x [B, T, D]`` to queries ``[B, T, H, d_kv]`` and to rows of keys beside values."""
        return turned(torch.unflatten(self.q_proj(x), -1, (self.heads, -1)), turn), self.keys_values(x, turn)

    def keys_values(self, x: Tensor, turn: Turn) -> Tensor:
        """``[B, K, D]`` to rows of keys beside values, ``[B, K, H/G · 2·d_kv]``."""
        keys = turned(torch.unflatten(self.k_proj(x), -1, (self.kv_heads, -1)), turn)
        values = torch.unflatten(self.v_proj(x), -1, (self.kv_heads, -1))
        return torch.cat([keys, values.to(keys.dtype)], -1).flatten(2)

    def split(self, joined: Tensor) -> KeysValues:
        keys, values = torch.unflatten(joined, 2, (self.kv_heads, -1)).transpose(1, 2).chunk(2, -1)
        return keys, values

    def mixed(self, query: Tensor, found: KeysValues, bias: Tensor) -> Tensor:
        """What ``query [B, T, H, d_kv]`` attends to of keys and values: ``[B, T, H·d_kv]``. Queries that share a key
        stand side by side, so that no key is copied; ``bias [·, 1, G·T, K]`` is added to their logits.
        """
        group, length = self.heads // self.kv_heads, query.shape[1]
        query = torch.unflatten(query.transpose(1, 2), 1, (self.kv_heads, group)).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(query, *found, attn_mask=bias.to(query.dtype))
        mixed = torch.unflatten(mixed, 2, (group, length)).flatten(1, 2)
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, query: Tensor, found: KeysValues, bias: Tensor) -> Tensor:
        """What is attended to, projected: ``[B, T, D]``."""
        attended: Tensor = self.o_proj(self.mixed(query, found, bias))
        return attended


class GatedFeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020)."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.gate_proj = Projection(config.d_model, config.d_ff, bias=False)
        self.up_proj = Projection(config.d_model, config.d_ff, bias=False)
        self.down_proj = Projection(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        transformed: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return transformed


class Layer(nn.Module):
    """Self-attention and feed-forward; each normed before and added after."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedFeedForward(config)
        self.input_layernorm = RMSNorm(config.d_model, config.epsilon)
        self.post_attention_layernorm = RMSNorm(config.d_model, config.epsilon)
        self.dropout = Dropout(config.dropout)

    def read(self, x: Tensor, turn: Turn) -> Tensor:
        """Only the rows of keys and values of ``x``: all that is wanted of the last layer."""
        if causal_inference.serves(self):
            return causal_inference.read(self, x, turn)
        return self.self_attn.keys_values(self.input_layernorm(x), turn)

    def forward(
        self, x: Tensor, turn: Turn, bias: Tensor, past: Tensor | None = None, prefix: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``x`` and what was decoded so far, itself included, as rows of keys beside values; those of what was read are
        the ``prefix``.
        """
        if causal_inference.serves(self):
            return causal_inference.layer(self, x, turn, bias, past, prefix)
        normed = self.input_layernorm(x)
        query, joined = self.self_attn.projected(normed, turn)
        joined = joined if past is None else torch.cat([past, joined], 1)
        keys, values = self.self_attn.split(joined)
        if prefix is not None:
            first = self.self_attn.split(prefix)
            keys, values = torch.cat([first[0], keys], 2), torch.cat([first[1], values], 2)
        x = x + self.dropout(self.self_attn(query, (keys, values), bias))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x))), joined


class Grown(nn.Module):
    """A table of embeddings or an output layer whose rows from ``first`` on are trained, while those before are not."""

    def __init__(self, weight: Tensor, first: int) -> None:
        super().__init__()
        self.base = nn.Parameter(weight[:first].detach(), requires_grad=False)
        self.rows = nn.Parameter(weight[first:].detach().clone())
        self.num_embeddings, self.embedding_dim = weight.shape

    def joined(self) -> Tensor:
        """``[rows, D]``: a copy of both parts, and so no ``weight``, which is read as if it cost nothing."""
        return torch.cat([self.base, self.rows])

    def forward(self, tokens: Tensor) -> Tensor:
        first = len(self.base)
        known = F.embedding(tokens.clamp(max=first - 1), self.base)
        return torch.where(tokens[..., None] < first, known, F.embedding((tokens - first).clamp(min=0), self.rows))

    def logits(self, hidden: Tensor, rows: Tensor | None) -> Tensor:
        if rows is not None:
            return linear(hidden, self(rows))
        return torch.cat([linear(hidden, self.base), linear(hidden, self.rows)], -1)
