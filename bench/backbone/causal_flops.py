"""Floating-point operations of a decoder-only model, counted product by product.

Trained whole, a model computes two gradients for every product, that of what goes in and that of the weight. Over a
frozen base it computes only some: none of frozen weights, and none of what goes in where nothing below it learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from bench.backbone.causal_layers import Grown, Layer
from bench.flops import attention, product

if TYPE_CHECKING:
    from bench.backbone.causal import Causal


@dataclass(frozen=True)
class Pass:
    """``batch`` rows of ``read`` tokens, ``targets`` of ``written`` tokens for each of them, and ``logits`` hidden
    states through the output layer. ``vectors``: what goes in are vectors that learn, not embeddings of tokens alone.
    """

    batch: int
    read: int
    written: int
    logits: int
    targets: int = 1
    vectors: bool = False


@dataclass
class Operations:
    """Of a forward pass, and of the gradients behind it. Methods say whether a gradient of what they give is wanted,
    from ``wanted``, whether one of what they are given is.
    """

    forward: int = 0
    backward: int = 0

    def model(self, model: Causal, given: Pass) -> Operations:
        """The last layer reads a history only as far as keys and values; output layers see what is written alone."""
        embedded = given.vectors or _learns(model.embedding)
        x, found = embedded or model.whole_words is not None, list[bool]()
        layers = [layer for layer in model.layers if isinstance(layer, Layer)]
        for layer in layers[:-1]:
            x, keys_values = self.layer(layer, given.batch, given.read, given.read, x)
            found.append(keys_values)
        found.append(self.keys_values(layers[-1], given.batch * given.read, x or _learns(layers[-1].input_layernorm)))
        x, keys = embedded, given.read + given.written
        for layer, prefix in zip(layers, found, strict=True):
            x, _ = self.layer(layer, given.batch * given.targets, given.written, keys, x, prefix)
        self.linear(model.head or model.embedding, given.logits, x or _learns(model.norm))
        return self

    def layer(
        self, layer: Layer, batch: int, queries: int, keys: int, wanted: bool, prefix: bool = False
    ) -> tuple[bool, bool]:
        """What comes out, and keys and values, those of the ``prefix`` before them included."""
        rows, inner = batch * queries, layer.self_attn
        normed = wanted or _learns(layer.input_layernorm)
        found = self.keys_values(layer, rows, normed) or prefix
        width = inner.heads * _outputs(inner.k_proj) // inner.kv_heads
        mixed = self.attention(attention(batch, queries, keys, width), self.linear(inner.q_proj, rows, normed), found)
        wanted |= self.linear(inner.o_proj, rows, mixed)
        normed = wanted or _learns(layer.post_attention_layernorm)
        gated = [self.linear(part, rows, normed) for part in (layer.mlp.gate_proj, layer.mlp.up_proj)]
        wanted |= self.linear(layer.mlp.down_proj, rows, any(gated))
        return wanted, found

    def keys_values(self, layer: Layer, rows: int, wanted: bool) -> bool:
        """They lie side by side in one tensor, and so have gradients both or neither."""
        keys, values = (self.linear(part, rows, wanted) for part in (layer.self_attn.k_proj, layer.self_attn.v_proj))
        return keys or values

    def attention(self, both: int, query: bool, keys_values: bool) -> bool:
        """``both`` products, of queries with keys and of their weights with values, take as long."""
        self.forward += both
        self.backward += both // 2 * (query + 2 * keys_values + (query or keys_values))
        return query or keys_values

    def linear(self, layer: Any, rows: int, wanted: bool) -> bool:
        """A linear layer, a table as one, and either over an adapter or with rows of its own."""
        if isinstance(layer, Grown):
            self.product(layer.base.numel(), rows, wanted, False)
            return self.product(layer.rows.numel(), rows, wanted, True)
        if not hasattr(layer, "base_layer"):
            return self.product(layer.weight.numel(), rows, wanted, _learns(layer))
        self.linear(layer.base_layer, rows, wanted)
        for name in layer.lora_A:
            self.linear(layer.lora_A[name], rows, wanted)
            self.linear(layer.lora_B[name], rows, True)
        return True

    def product(self, weights: int, rows: int, wanted: bool, learns: bool) -> bool:
        self.forward += product(weights, rows)
        self.backward += (wanted + learns) * product(weights, rows)
        return wanted or learns


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters(recurse=False))


def _outputs(layer: Any) -> int:
    return int(layer.out_features)
