"""A decoder-only backbone to hold the protocol to: Transformers' Qwen2 layers, with a loop and a cache of their own.

It stands in for what T5 has not: it reads causally, decodes behind what it has read, and may have a frozen base under
low-rank adapters (LoRA, Hu et al., 2022).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb

from bench.backbone.flops import attention, product
from bench.backbone.protocol import MASKED, Backbone, Cache

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "max_position_embeddings": 256}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}  # two queries share a key

KeysValues = tuple[Tensor, Tensor]  # [B, H, K, d] each


@pytest.fixture(scope="session", autouse=True)
def single_thread(one_thread: None) -> None:
    """Tensors this small are slower on several threads."""


class Read(NamedTuple):
    """What ``encode`` returns: keys and values of each layer, and the positions ``[B, S]``."""

    layers: list[KeysValues]
    positions: Tensor


@dataclass
class PrefixCache(Cache):
    """``prefix`` are keys and values of what was read, ``hidden [B, 1, 1, S]`` is added to the attention to them, and
    ``begin [B]`` is the position of the first decoded token.
    """

    prefix: list[KeysValues]
    hidden: Tensor
    begin: Tensor


class Adapted(nn.Module):
    """A frozen linear layer and a low-rank change of it."""

    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.down), self.up)


class Causal(Backbone):
    kind = "qwen2"

    def __init__(self, model: Qwen2ForCausalLM) -> None:
        super().__init__()
        self.config = model.config
        self.embedding, self.layers, self.norm = model.model.embed_tokens, model.model.layers, model.model.norm
        self.rotary = model.model.rotary_emb
        self.head = None if model.config.tie_word_embeddings else model.lm_head
        self.whole_words = None
        self.adapted = False

    @property
    def signature(self) -> str:
        return f"{self.config.to_json_string()} adapted={self.adapted}"

    def with_vocabulary(self, size: int) -> Causal:
        raise NotImplementedError

    def flops(self, batch: int, read: int, written: int, logits: int, targets: int = 1) -> int:
        matrices = sum(p.numel() for name, p in self.named_parameters() if p.dim() == 2 and "embed" not in name)
        body = product(matrices, batch * (read + written))
        width = self.config.num_attention_heads * self.config.hidden_size // self.config.num_attention_heads
        attended = attention(batch, read + written, read + written, width)
        output = product(self.d_model * self.vocabulary_size, logits)
        return body + self.config.num_hidden_layers * attended + output

    def encode(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        item_position_ids: Tensor | None = None,
    ) -> Read:
        x = self.add_whole_words(self.embed(inputs), item_position_ids)
        users, length, _ = x.shape
        positions = torch.arange(length) if positions is None else positions
        positions = positions.expand(users, -1)
        bias = torch.full((length, length), MASKED).triu(1)[None, None] + additive(mask)
        layers: list[KeysValues] = []
        for layer in self.layers:
            x, joined = self._layer(layer, x, positions, None, None, bias.clamp(min=MASKED))
            layers.append(self._split(joined))
        return Read(layers, positions)

    def start(self, memory: Read, mask: Tensor | None = None) -> PrefixCache:
        layers, positions = memory.layers, memory.positions
        if mask is not None and mask.dim() == 3:  # decoders of one row side by side
            count = mask.shape[1]
            layers = [tuple(part.repeat_interleave(count, 0) for part in layer) for layer in layers]
            positions, mask = positions.repeat_interleave(count, 0), mask.flatten(0, 1)
        read = positions if mask is None else positions.masked_fill(~mask, -1)
        hidden = additive(mask).expand(len(read), 1, 1, -1) if mask is not None else torch.zeros(len(read), 1, 1, 1)
        nothing = torch.empty(0, dtype=torch.long)
        return PrefixCache(len(read), [None] * len(self.layers), nothing, layers, hidden, read.amax(1) + 1)

    def decode(
        self, inputs: Tensor, cache: Cache, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        assert isinstance(cache, PrefixCache)
        x = self.embed(inputs)
        users, length, _ = x.shape
        positions = torch.arange(length) + len(cache.positions) if positions is None else positions
        keys = torch.cat([cache.positions, positions])
        own = additive((keys > positions[:, None]) * MASKED if mask is None else mask)
        prefix = cache.hidden.expand(users, 1, length, cache.prefix[0][0].shape[2])
        bias = torch.cat([prefix, own.expand(users, 1, length, len(keys))], -1)
        places = cache.begin[:, None] + positions
        for number, layer in enumerate(self.layers):
            given = cache.past[number], cache.prefix[number]
            x, cache.past[number] = self._layer(layer, x, places, *given, bias)
        cache.positions = keys
        return self.norm(x)

    def logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        weight = (self.embedding if self.head is None else self.head).weight
        return F.linear(hidden, weight if rows is None else weight[rows])

    def _split(self, joined: Tensor) -> KeysValues:
        """Rows of keys beside values, ``[B, K, H·2·d]``."""
        keys, values = joined.unflatten(2, (HEADS["num_key_value_heads"], -1)).transpose(1, 2).chunk(2, -1)
        return keys, values

    def _layer(
        self, layer: Any, x: Tensor, positions: Tensor, past: Tensor | None, prefix: KeysValues | None, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        attention, normed = layer.self_attn, layer.input_layernorm(x)
        projections = attention.q_proj, attention.k_proj, attention.v_proj
        query, key, value = (
            each(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for each in projections
        )
        query, key = apply_rotary_pos_emb(query, key, *self.rotary(x, positions))
        joined = torch.cat([key, value], -1).transpose(1, 2).flatten(2)
        joined = joined if past is None else torch.cat([past, joined], 1)
        keys, values = self._split(joined)
        if prefix is not None:
            keys, values = torch.cat([prefix[0], keys], 2), torch.cat([prefix[1], values], 2)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, enable_gqa=True)
        x = x + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        return x + layer.mlp(layer.post_attention_layernorm(x)), joined

    # -- a frozen base under adapters ---------------------------------------------------------------------------------

    def adapt(self) -> Causal:
        """Freeze all there is and put adapters on queries and values."""
        self.adapted = True
        for layer in self.layers:
            layer.self_attn.q_proj = Adapted(layer.self_attn.q_proj)
            layer.self_attn.v_proj = Adapted(layer.self_attn.v_proj)
        self.unfreeze()
        return self

    def unfreeze(self) -> None:
        adapters = {id(p) for m in self.modules() if isinstance(m, Adapted) for p in (m.down, m.up)}
        for parameter in self.parameters():
            parameter.requires_grad_(not self.adapted or id(parameter) in adapters)

    def copied(self) -> Causal:
        shared = {id(p): p for p in self.parameters() if not p.requires_grad}
        return copy.deepcopy(self, shared)


def additive(mask: Tensor | None) -> Tensor:
    """Any mask of the protocol as ``[·, 1, ·, K]`` to add to the logits."""
    if mask is None:
        return torch.zeros(1)
    if mask.dtype == torch.bool:
        return (~(mask[:, None] if mask.dim() == 3 else mask[:, None, None])) * MASKED
    return mask.float()[None, None] if mask.dim() == 2 else mask.float()[:, None]


MakeCausal = Callable[..., tuple[Causal, Qwen2ForCausalLM]]


@pytest.fixture(scope="session")
def causal() -> MakeCausal:
    """``causal(vocabulary, seed, tied)``: the backbone, and Transformers' own model with the same weights."""

    def make(vocabulary: int, seed: int = 0, tied: bool = True) -> tuple[Causal, Qwen2ForCausalLM]:
        torch.manual_seed(seed)
        config = Qwen2Config(
            vocab_size=vocabulary, tie_word_embeddings=tied, attn_implementation="eager", **SIZE, **HEADS
        )
        theirs = Qwen2ForCausalLM(config).eval()
        with torch.no_grad():
            for parameter in theirs.parameters():  # larger than they start, so that what is read decides
                parameter.mul_(6)
        return Causal(copy.deepcopy(theirs)).eval(), theirs

    return make
