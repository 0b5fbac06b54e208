"""T5 (Raffel et al., 2020) of our own: what Transformers' has, and what identifiers need beside it.

Inputs may be token ids or embeddings, positions may be supplied, masks may be any additive matrix, the decoder need not
be causal, and keys and values are cached. With supplied positions and masks, the live prefixes of a beam search are one
more axis of queries over one shared cache (``bench.model.beam``). Weights are those of Hugging Face checkpoints.

Shapes: B batch, S source, T target, K keys, H heads, D model width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbone import t5_rounded
from bench.backbone.protocol import LANES, MASKED, Backbone, Cache, additive
from bench.dropout import Dropout, dropout
from bench.flops import attention, product
from bench.linear import Linear, linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
}


@dataclass(frozen=True)
class T5Config:
    """The shape of a T5. ``tied`` shares the output layer with the embeddings; ``scaled`` divides its input by √D.

    ``whole_words`` are the rows of a table of whole-word embeddings; 0 is a T5 without one, as published.
    """

    vocabulary: int
    d_model: int
    d_kv: int
    d_ff: int
    heads: int
    layers: int
    decoder_layers: int
    activation: str = "relu"
    gated: bool = False
    tied: bool = True
    scaled: bool = True
    dropout: float = 0.1
    buckets: int = 32
    max_distance: int = 128
    epsilon: float = 1e-6
    whole_words: int = 0


@dataclass
class T5Cache(Cache):
    """Keys and values of each decoder layer: of the encoder's output, computed once, and of what was decoded so far.

    ``cross`` are two ``[M, H, S, d_kv]`` a layer for M histories; ``past`` is ``[B, K, 2·H·d_kv]`` a layer, keys beside
    values as one product makes them, so that a step appends whole rows. ``cross_mask`` is ``[M, 1, 1, S]`` where every
    history has one decoder, else ``[M, 1, N, S]`` for its N decoders. Of layers in bfloat16 on a CPU, ``past`` is
    ``[B, K, 2, H, d_kv]``.
    """

    cross: list[tuple[Tensor, Tensor]]
    cross_mask: Tensor | None

    def aligned(self) -> T5Cache:
        keys = self.cross[0][0]
        more = -keys.shape[2] % LANES if keys.device.type == "cpu" else 0
        if not more:
            return self
        cross = [(F.pad(keys, (0, 0, 0, more)), F.pad(values, (0, 0, 0, more))) for keys, values in self.cross]
        mask = keys.new_zeros(len(keys), 1, 1, keys.shape[2]) if self.cross_mask is None else self.cross_mask
        cross_mask = F.pad(mask, (0, more), value=MASKED)
        return replace(self, past=list(self.past), cross=cross, cross_mask=cross_mask)

    def gathered(self, users: Tensor, past: list[Tensor | None], positions: Tensor) -> T5Cache:
        """For histories that have one decoder each."""
        cross = [(keys[users], values[users]) for keys, values in self.cross]
        cross_mask = None if self.cross_mask is None else self.cross_mask[users]
        return T5Cache(len(users), past, positions, cross, cross_mask)


class RMSNorm(nn.Module):
    """Root-mean-square normalization, no mean, no bias; computed in float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], eps=self.epsilon).to(x.dtype) * self.weight


class Attention(nn.Module):
    """Multi-head attention without biases and without 1/√d scaling, as T5 has it."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        inner = config.heads * config.d_kv
        self.heads, self.dropout = config.heads, config.dropout
        self.query = Linear(config.d_model, inner)
        self.key_value = Linear(config.d_model, 2 * inner)
        self.output = Linear(inner, config.d_model)
        nn.init.normal_(self.query.weight, std=(config.d_model * config.d_kv) ** -0.5)
        nn.init.normal_(self.key_value.weight, std=config.d_model**-0.5)
        nn.init.normal_(self.output.weight, std=inner**-0.5)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, K, D]`` to two ``[B, H, K, d_kv]``."""
        return self.split(self.key_value(x))

    def split(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Keys beside values, ``[B, K, 2·H·d_kv]``, to a view of each ``[B, H, K, d_kv]``."""
        key, value = torch.unflatten(joined, -1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return key, value

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """``x [B, T, D]`` attends to ``keys [B, H, K, d_kv]``; ``bias`` is added to the logits ``[B, H, T, K]``."""
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        dropped = self.dropout if self.training else 0.0
        learned = bias is not None and bias.requires_grad
        # The fused kernels learn no bias, and drop only where there is no processor to do it cheaper.
        if learned or (dropped and x.device.type == "cpu"):
            logits = query @ keys.transpose(-1, -2)
            weights = F.softmax((logits if bias is None else logits + bias).float(), dim=-1).to(query.dtype)
            mixed = dropout(weights, self.dropout, self.training) @ values
        else:
            bias = None if bias is None else bias.to(query.dtype)
            mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, dropout_p=dropped, scale=1.0)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return attended


class FeedForward(nn.Module):
    """Two layers with an activation between, optionally gated (T5 1.1)."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        in_half = config.gated and config.activation == "relu"  # autograd lets no part of a tensor change in place
        self.activation = torch.relu if in_half else ACTIVATIONS[config.activation]
        self.gated = config.gated
        self.dropout = Dropout(config.dropout)
        self.inner = Linear(config.d_model, config.d_ff * (2 if config.gated else 1))
        self.outer = Linear(config.d_ff, config.d_model)
        nn.init.normal_(self.inner.weight, std=config.d_model**-0.5)
        nn.init.normal_(self.outer.weight, std=config.d_ff**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.activation is torch.relu_ and not self.gated and not torch.is_grad_enabled():
            rectified: Tensor = self.outer(self.inner.rectified(x))
            return rectified
        hidden = self.inner(x)
        if self.gated:
            gate, linear = hidden.chunk(2, dim=-1)
            hidden = self.activation(gate) * linear
        else:
            hidden = self.activation(hidden)
        transformed: Tensor = self.outer(self.dropout(hidden))
        return transformed


class Block(nn.Module):
    """Self-attention, cross-attention (decoder only), feed-forward; each normed before and added after."""

    def __init__(self, config: T5Config, decoder: bool) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = RMSNorm(config.d_model, config.epsilon)
        self.cross = Attention(config) if decoder else None
        self.cross_norm = RMSNorm(config.d_model, config.epsilon) if decoder else None
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = RMSNorm(config.d_model, config.epsilon)
        self.dropout = Dropout(config.dropout)

    def attend(self, x: Tensor, past: Tensor | None, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention over the past and ``x``; returns the new past as well."""
        normed = self.attention_norm(x)
        joined: Tensor = self.attention.key_value(normed)
        if past is not None:
            joined = torch.cat([past, joined], 1)
        return x + self.dropout(self.attention(normed, *self.attention.split(joined), bias)), joined

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        past: Tensor | None = None,
        cross: tuple[Tensor, Tensor] | None = None,
        cross_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        if t5_rounded.serves(self.attention.query.weight):
            return t5_rounded.block(self, x, bias, past, cross, cross_mask)
        x, past = self.attend(x, past, bias)
        if self.cross is not None and self.cross_norm is not None and cross is not None:
            rows = self.cross_norm(x).view(cross[0].shape[0], -1, x.shape[-1])  # decoders of one history side by side
            x = x + self.dropout(self.cross(rows, *cross, cross_mask).view_as(x))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), past


class RelativeBias(nn.Module):
    """A learned bias for each head and bucket of relative distance; distances share buckets logarithmically."""

    bucket: Tensor

    def __init__(self, config: T5Config, bidirectional: bool) -> None:
        super().__init__()
        self.bidirectional, self.furthest = bidirectional, config.max_distance
        self.table = nn.Embedding(config.buckets, config.heads)
        nn.init.normal_(self.table.weight, std=config.d_model**-0.5)
        buckets = config.buckets // 2 if bidirectional else config.buckets
        self.buckets = buckets
        self.register_buffer("bucket", distance_buckets(buckets, config.max_distance), persistent=False)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Positions ``[T]`` and ``[K]`` to ``[1, H, T, K]``; ``[B, T]`` and ``[B, K]`` to ``[B, H, T, K]``."""
        if queries.dim() == 1 and keys.dim() == 1:
            queries, keys = queries[None], keys[None]
        offset = keys[..., None, :] - queries[..., :, None]
        distance = offset.abs() if self.bidirectional else (-offset).clamp(min=0)
        bucket = self.bucket[distance.clamp(max=self.furthest)]
        if self.bidirectional:
            bucket = bucket + (offset > 0) * self.buckets
        bias: Tensor = self.table(bucket)
        return bias.permute(0, 3, 1, 2)


def distance_buckets(buckets: int, furthest: int) -> Tensor:
    """Bucket of every distance 0..furthest: the first half one each, then logarithmically wider ones."""
    exact = buckets // 2
    distance = torch.arange(furthest + 1)
    spread = torch.log(distance.clamp(min=1).float() / exact) / math.log(furthest / exact) * (buckets - exact)
    return torch.where(distance < exact, distance, (exact + spread.long()).clamp(max=buckets - 1))


class Stack(nn.Module):
    """Blocks under one relative bias, then a norm."""

    def __init__(self, config: T5Config, decoder: bool) -> None:
        super().__init__()
        self.bias = RelativeBias(config, bidirectional=not decoder)
        layers = config.decoder_layers if decoder else config.layers
        self.blocks = nn.ModuleList(Block(config, decoder) for _ in range(layers))
        self.norm = RMSNorm(config.d_model, config.epsilon)
        self.dropout = Dropout(config.dropout)


class T5(Backbone):
    """Encoder, decoder, shared embeddings and output layer."""

    kind = "t5"

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.d_model)
        self.encoder = Stack(config, decoder=False)
        self.decoder = Stack(config, decoder=True)
        self.head = None if config.tied else Linear(config.d_model, config.vocabulary)
        nn.init.normal_(self.embedding.weight)
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=config.d_model**-0.5)
        self.whole_words = None
        if config.whole_words:
            self.grow_whole_words(config.whole_words)

    @property
    def signature(self) -> str:
        return repr(self.config)

    def grow_whole_words(self, rows: int) -> None:
        super().grow_whole_words(rows)
        self.config = replace(self.config, whole_words=0 if self.whole_words is None else len(self.whole_words.weight))

    def resize_vocabulary(self, size: int) -> None:
        super().resize_vocabulary(size)
        self.config = replace(self.config, vocabulary=size)

    def with_vocabulary(self, size: int) -> T5:
        """The embeddings are shared with the output layer: so few rows need no layer of their own."""
        fresh = T5(replace(self.config, vocabulary=size, tied=True, scaled=True))
        kept = {name: t for name, t in self.state_dict().items() if not name.startswith(("embedding.", "head."))}
        fresh.load_state_dict(kept, strict=False)
        return fresh

    def undecayed(self) -> Iterator[nn.Parameter]:
        """The norms, and the biases of relative positions."""
        for module in self.modules():
            if isinstance(module, RMSNorm | RelativeBias):
                yield from module.parameters()

    def encode(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        item_position_ids: Tensor | None = None,
    ) -> Tensor:
        """Hidden states ``[B, S, D]``."""
        x = self.add_whole_words(self.embed(inputs), item_position_ids)
        x = self.encoder.dropout(x)
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device)
        bias = _biased(self.encoder.bias(positions, positions), mask).to(x.dtype)
        for block in self.encoder.blocks:
            x, _ = self.through(block, x, bias)
        hidden: Tensor = self.encoder.dropout(self.encoder.norm(x))
        return hidden

    def hidden_states(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.encode(tokens, mask, item_position_ids=self.of_no_item(tokens))

    def start(self, memory: Tensor, mask: Tensor | None = None) -> T5Cache:
        readers = (block.get_submodule("cross") for block in self.decoder.blocks)
        cross = [reader.keys_values(memory) for reader in readers if isinstance(reader, Attention)]
        if t5_rounded.serves(cross[0][0]):  # each step multiplies them, and wants them side by side
            cross = [(keys.contiguous(), values.contiguous()) for keys, values in cross]
        cross_mask = None if mask is None else _biased(memory.new_zeros(1), mask).to(memory.dtype)
        positions = torch.empty(0, dtype=torch.long, device=memory.device)
        decoders = len(memory) * (1 if cross_mask is None else cross_mask.shape[2])
        return T5Cache(decoders, [None] * len(cross), positions, cross, cross_mask)

    def decode(
        self, inputs: Tensor, cache: Cache, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        if not isinstance(cache, T5Cache):
            raise TypeError(f"a T5 decodes against a cache that it started itself; got {type(cache).__name__}")
        x = self.decoder.dropout(self.embed(inputs))
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device) + len(cache.positions)
        keys = torch.cat([cache.positions, positions])
        if mask is None:
            mask = (keys[None, :] > positions[:, None]) * MASKED
        bias = _biased(self.decoder.bias(positions, keys), mask).to(x.dtype)
        visible = cache.cross_mask
        if visible is not None and visible.shape[2] > 1:
            visible = visible.repeat_interleave(x.shape[1], 2)
        for layer, block in enumerate(self.decoder.blocks):
            given = cache.past[layer], cache.cross[layer], visible
            x, cache.past[layer] = self.through(block, x, bias, *given)
        cache.positions = keys
        hidden: Tensor = self.decoder.dropout(self.decoder.norm(x))
        return hidden

    def logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        weight = self.embedding.weight if self.head is None else self.head.weight
        return linear(self._scaled(hidden), weight if rows is None else weight[rows])

    def rough_logits(self, hidden: Tensor) -> Tensor | None:
        return super().rough_logits(self._scaled(hidden))

    def _scaled(self, hidden: Tensor) -> Tensor:
        return hidden * self.config.d_model**-0.5 if self.config.scaled else hidden

    def flops(self, batch: int, read: int, written: int, logits: int, targets: int = 1) -> int:
        c, inner = self.config, self.config.heads * self.config.d_kv
        pair = 2 * c.d_model * inner  # weights of queries and outputs; keys and values have as many
        feed_forward = c.d_model * c.d_ff * (3 if c.gated else 2)
        encoder = product(2 * pair + feed_forward, batch * read) + attention(batch, read, read, inner)
        decoders = batch * targets
        decoder = product(3 * pair + feed_forward, decoders * written) + attention(decoders, written, written, inner)
        cross = product(pair, batch * read) + attention(decoders, written, read, inner)
        output = product(c.d_model * c.vocabulary, logits)
        return c.layers * encoder + c.decoder_layers * (decoder + cross) + output

    def forward(self, inputs: Tensor, mask: Tensor | None, targets: Tensor) -> Tensor:
        """Teacher forcing: source ``[B, S]``, its mask, decoder input ``[B, T]`` to logits ``[B, T, vocabulary]``."""
        return self.logits(self.decode(targets, self.start(self.encode(inputs, mask), mask)))


def _biased(bias: Tensor, mask: Tensor | None) -> Tensor:
    """A bias ``[·, H, T, K]`` plus a mask, as ``additive`` takes it."""
    return bias if mask is None else bias + additive(mask)
