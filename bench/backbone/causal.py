"""Decoder-only language models of our own: Qwen2 (Yang et al., 2024) and Llama (Touvron et al., 2023).

A history is read once: its keys and values are kept for each layer, and whatever is decoded attends to them and to what
was decoded before. All beams of a user share that prefix. Weights are those of Hugging Face checkpoints
(``bench.backbone.causal_files``).

Shapes: B batch, S source, T target, K keys, H heads, G queries that share a key, D model width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.backbone import causal_inference
from bench.backbone.causal_flops import Operations, Pass
from bench.backbone.causal_layers import CausalConfig, Grown, Layer, Projection, Rotary
from bench.backbone.protocol import MASKED, Backbone, Cache, additive
from bench.backbone.t5 import RMSNorm
from bench.dropout import Dropout
from bench.linear import linear


class Read(NamedTuple):
    """What ``encode`` returns: rows of keys beside values of each layer, ``[B, S, H/G · 2·d_kv]``, and the positions
    ``[B, S]``.
    """

    layers: list[Tensor]
    positions: Tensor


@dataclass
class PrefixCache(Cache):
    """``prefix`` is what was read, ``[B, S, H/G · 2·d_kv]`` a layer, the keys of a head beside its values, as ``past``
    is what was decoded. ``hidden [B, 1, 1, S]`` is added to the attention to the prefix, and ``begin [B]`` is the
    position of the first decoded token.
    """

    prefix: list[Tensor]
    hidden: Tensor
    begin: Tensor

    def gathered(self, users: Tensor, past: list[Tensor | None], positions: Tensor) -> PrefixCache:
        prefix = [rows[users] for rows in self.prefix]
        return PrefixCache(len(users), past, positions, prefix, self.hidden[users], self.begin[users])


class Causal(Backbone):
    """Embeddings, layers, a norm and the output layer. What is read and what is decoded are one sequence.

    Under an ``adapter`` (``bench.backbone.lora``) the rest is a frozen base.
    """

    causal = True
    linear_layer = Projection
    adapter: Any = None

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.d_model)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.d_model, config.epsilon)
        self.rotary = Rotary(config)
        self.dropout = Dropout(config.dropout)
        self.head = None if config.tied else Projection(config.d_model, config.vocabulary, bias=False)
        self.whole_words = None
        self._draw()
        if config.whole_words:
            self.grow_whole_words(config.whole_words)

    @torch.no_grad()
    def _draw(self) -> None:
        """Weights by the width of what they read; what is added to the stream is smaller, the more layers add to it."""
        nn.init.normal_(self.embedding.weight, std=self.config.d_model**-0.5)
        for name, module in self.named_modules():
            if isinstance(module, Projection):
                adds = name.endswith(("o_proj", "down_proj"))
                scale = (2 * self.config.layers) ** -0.5 if adds else 1.0
                nn.init.normal_(module.weight, std=scale * module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def signature(self) -> str:
        return f"{self.kind} {self.config!r}{f' {self.adapter!r}' if self.adapter else ''}"

    def resize_vocabulary(self, size: int) -> None:
        super().resize_vocabulary(size)
        self.config = replace(self.config, vocabulary=size)

    def grow_whole_words(self, rows: int) -> None:
        super().grow_whole_words(rows)
        self.config = replace(self.config, whole_words=0 if self.whole_words is None else len(self.whole_words.weight))

    def with_vocabulary(self, size: int) -> Causal:
        """The embeddings are shared with the output layer: so few rows need no layer of their own. The body is this
        one's, not a copy: it may be large.
        """
        fresh = copy.copy(self)
        fresh._modules = dict(self._modules)  # a table of its own, so that this one keeps its embeddings
        fresh.config, fresh.own_from = replace(self.config, vocabulary=size, tied=True), 0
        fresh.embedding, fresh.head = nn.Embedding(size, self.d_model), None
        nn.init.normal_(fresh.embedding.weight, std=self.d_model**-0.5)
        return fresh

    # -- reading and writing ------------------------------------------------------------------------------------------

    def encode(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        item_position_ids: Tensor | None = None,
    ) -> Read:
        x, positions = self._begun(inputs, positions, item_position_ids)
        found: list[Tensor] = []
        turn, bias = self.rotary(positions), self._for_groups(causal_bias(x, mask))
        for number, layer in enumerate(self._layers()):
            if number + 1 == self.config.layers:
                found.append(layer.read(x, turn))
                break
            x, joined = self.through(layer, x, turn, bias)
            found.append(joined)
        return Read(found, positions)

    def _layers(self) -> Iterator[Layer]:
        return (layer for layer in self.layers if isinstance(layer, Layer))

    def hidden_states(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        x, positions = self._begun(tokens, None, self.of_no_item(tokens))
        turn, bias = self.rotary(positions), self._for_groups(causal_bias(x, mask))
        for layer in self.layers:
            x, _ = self.through(layer, x, turn, bias)
        hidden: Tensor = self.norm(x)
        return hidden

    def _begun(
        self, inputs: Tensor, positions: Tensor | None, item_position_ids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings ``[B, S, D]`` and positions ``[B, S]``."""
        x = self.dropout(self.add_whole_words(self.embed(inputs), item_position_ids))
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device)
        return x, positions.expand(len(x), -1)

    def _for_groups(self, bias: Tensor) -> Tensor:
        """``[·, 1, T, K]`` for each of the queries that share a key: ``[·, 1, G·T, K]``, and of a rounded
        copy as many keys more as attention is faster with.
        """
        if causal_inference.serves(self) and all(map(causal_inference.is_rounded, self._layers())):
            bias = causal_inference.filled(bias)
        return bias.repeat(1, 1, self.config.heads // self.config.kv_heads, 1)

    def start(self, memory: Read, mask: Tensor | None = None) -> PrefixCache:
        layers, positions = memory
        if mask is not None and mask.dim() == 3:  # decoders of one row side by side, each with a prefix of its own
            count = mask.shape[1]
            layers = [rows.repeat_interleave(count, 0) for rows in layers]
            positions, mask = positions.repeat_interleave(count, 0), mask.flatten(0, 1)
        seen = positions if mask is None else positions.masked_fill(~mask, -1)
        hidden = layers[0].new_zeros(len(seen), 1, 1, 1) if mask is None else additive(mask)
        nothing = torch.empty(0, dtype=torch.long, device=positions.device)
        return PrefixCache(len(seen), [None] * len(layers), nothing, layers, hidden, seen.amax(1) + 1)

    def decode(
        self, inputs: Tensor, cache: Cache, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        if not isinstance(cache, PrefixCache):
            raise TypeError(f"a decoder-only model decodes behind what it has read; got a {type(cache).__name__}")
        x = self.dropout(self.embed(inputs))
        users, length, _ = x.shape
        if positions is None:
            positions = torch.arange(length, device=x.device) + len(cache.positions)
        keys = torch.cat([cache.positions, positions])
        own = additive((keys > positions[:, None]) * MASKED if mask is None else mask)
        before = cache.hidden.expand(users, 1, length, cache.prefix[0].shape[1])
        bias = torch.cat([before, own.to(before.dtype).expand(users, 1, length, len(keys))], -1)
        turn, bias = self.rotary(cache.begin[:, None] + positions), self._for_groups(bias)
        for number, layer in enumerate(self.layers):
            x, cache.past[number] = self.through(layer, x, turn, bias, cache.past[number], cache.prefix[number])
        cache.positions = keys
        hidden: Tensor = self.norm(x)
        return hidden

    def logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        layer = self.embedding if self.head is None else self.head
        if isinstance(layer, Grown):
            return layer.logits(hidden, rows)
        return linear(hidden, layer.weight if rows is None else layer.weight[rows])

    def flops(self, batch: int, read: int, written: int, logits: int, targets: int = 1) -> int:
        return Operations().model(self, Pass(batch, read, written, logits, targets)).forward

    def training_flops(
        self, batch: int, read: int, written: int, logits: int, targets: int = 1, vectors: bool = False
    ) -> int:
        found = Operations().model(self, Pass(batch, read, written, logits, targets, vectors))
        return found.forward + found.backward

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Whole sequences ``[B, S]`` to logits ``[B, S, vocabulary]``."""
        return self.logits(self.hidden_states(tokens, mask))

    # -- a frozen base ------------------------------------------------------------------------------------------------

    def unfreeze(self) -> None:
        """Under an adapter: itself, and rows and tables that the base does not have."""
        for name, parameter in self.named_parameters():
            own = ".lora_" in name or name.startswith("whole_words.") or self.is_own_row(name)
            if parameter.is_floating_point():
                parameter.requires_grad_(self.adapter is None or own)

    def is_own_row(self, name: str) -> bool:
        """Whether a parameter is of embeddings or an output layer and not the base's."""
        whole = self.own_from == 0 and name in ("embedding.weight", "head.weight")
        return whole or name in ("embedding.rows", "head.rows")

    def copied(self) -> Causal:
        """A copy that may be trained without changing this one; what is frozen is shared."""
        shared = {id(p): p for p in self.parameters() if not p.requires_grad}
        return copy.deepcopy(self, shared)


class Qwen2(Causal):
    """Biases of queries, keys and values; Qwen2.5 is the same."""

    kind = "qwen2"


class Llama(Causal):
    """No biases."""

    kind = "llama"


def causal_bias(x: Tensor, mask: Tensor | None) -> Tensor:
    """``[·, 1, S, S]``: what is added to the attention of ``x [B, S, D]`` to itself, under any mask of the protocol."""
    length = x.shape[1]
    newer = torch.full((length, length), MASKED, device=x.device).triu(1)[None, None]
    return newer if mask is None else newer + additive(mask)
