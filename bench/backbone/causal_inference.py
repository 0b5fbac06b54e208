"""A layer of a decoder-only model where no gradient is wanted: the same sums in fewer passes over memory.

What a product is added to or multiplied by goes through the processor with the product itself, queries, keys and values
are one product where they are small, and what was read, what was decoded and what is new are put side by side once.
Layers in bfloat16 are multiplied so, while what is added up from layer to layer, norms, positions and attention are in
float32: at the shapes of a beam PyTorch's fused attention is the faster one there.

Shapes: B batch, T target, K keys, H heads, G queries that share a key, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbone import causal_layers
from bench.backbone.protocol import LANES, MASKED
from bench.linear import combined, linear

if TYPE_CHECKING:
    from bench.backbone.causal_layers import Attention, Layer, Projection, Turn
    from bench.backbone.t5 import RMSNorm

JOINT = 1 << 16  # weights that are multiplied as one matrix: to put so few side by side takes no time
ATTENDING = ("q_proj", "k_proj", "v_proj", "o_proj")


def serves(part: nn.Module) -> bool:
    """Whether a layer is computed here."""
    return not (part.training or torch.is_grad_enabled() or torch.compiler.is_compiling())


def filled(bias: Tensor) -> Tensor:
    """``bias [·, 1, T, K]`` with so many keys more, which nobody sees, that none are left over. It changes in which
    order weights are summed, and so the last bits.
    """
    more = -bias.shape[-1] % LANES if bias.device.type == "cpu" else 0
    return F.pad(bias, (0, more), value=MASKED) if more else bias


def layer(
    parts: Layer, x: Tensor, turn: Turn, bias: Tensor, past: Tensor | None, prefix: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As ``Layer.forward``."""
    half = is_rounded(parts)
    query, own = projected(parts.self_attn, normed(parts.input_layernorm, x, half), turn)
    before = 0 if prefix is None else prefix.shape[1]
    rows, known = beside([prefix, past, own], bias.shape[-1])
    mixed = parts.self_attn.mixed(query, parts.self_attn.split(rows), bias)
    x = added(parts.self_attn.o_proj, mixed.to(torch.bfloat16) if half else mixed, x)
    hidden = normed(parts.post_attention_layernorm, x, half)
    gate = F.silu(parts.mlp.gate_proj(hidden), inplace=True)
    kept = rows[:, before:known]
    if prefix is not None:
        kept = kept.clone()  # a view would hold a copy of the prefix for as long as what was decoded is kept
    return added(parts.mlp.down_proj, multiplied(parts.mlp.up_proj, hidden, gate), x), kept


def read(parts: Layer, x: Tensor, turn: Turn) -> Tensor:
    """As ``Layer.read``."""
    attention = parts.self_attn
    found = side_by_side((attention.k_proj, attention.v_proj), normed(parts.input_layernorm, x, is_rounded(parts)))
    keys, values = torch.unflatten(found, -1, (2 * attention.kv_heads, -1)).chunk(2, 2)
    return torch.cat([causal_layers.turned(keys, turn), values], -1).flatten(2)


def is_rounded(parts: Layer) -> bool:
    """Whether all that a layer multiplies with is in bfloat16, and nothing but weights and biases."""
    named = ((parts.self_attn if name in ATTENDING else parts.mlp, name) for name in causal_layers.LINEAR)
    return all(is_plain(getattr(inside, name), torch.bfloat16) for inside, name in named)


def is_plain(part: nn.Module, dtype: torch.dtype) -> TypeGuard[Projection]:
    """Whether it is nothing but weights and biases, of this type."""
    return type(part) is causal_layers.Projection and part.weight.dtype == dtype


def normed(norm: RMSNorm, x: Tensor, half: bool) -> Tensor:
    found: Tensor = norm(x)
    return found.to(torch.bfloat16) if half else found


def projected(attention: Attention, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
    """As ``Attention.projected``."""
    heads, shared = attention.heads, attention.kv_heads
    found = side_by_side((attention.q_proj, attention.k_proj, attention.v_proj), x)
    both, values = torch.unflatten(found, -1, (heads + 2 * shared, -1)).split_with_sizes([heads + shared, shared], 2)
    query, keys = causal_layers.turned(both, turn).split_with_sizes([heads, shared], 2)
    return query, torch.cat([keys, values], -1).flatten(2)


def side_by_side(parts: Sequence[nn.Module], x: Tensor) -> Tensor:
    """What the layers make of ``x [..., inputs]``, in float32 at least; by one product where they are small."""
    kind = x.dtype if x.dtype == torch.bfloat16 else torch.float32
    plain = [part for part in parts if is_plain(part, kind)]
    if len(plain) < len(parts) or sum(part.weight.numel() for part in plain) > JOINT:
        found = torch.cat([part(x) for part in parts], -1)
    else:
        weights: list[Tensor] = [part.weight for part in plain]
        biases: list[Tensor] = [part.bias for part in plain if part.bias is not None]
        found = linear(x, torch.cat(weights), torch.cat(biases) if biases else None)
    return found.float() if found.dtype == torch.bfloat16 else found


def beside(parts: Sequence[Tensor | None], width: int) -> tuple[Tensor, int]:
    """Rows ``[B, ·, N]`` one behind the other, zeros behind them up to ``width``: ``[B, width, N]``, and how many there
    were.
    """
    rows = [part for part in parts if part is not None]
    known = sum(part.shape[1] for part in rows)
    if known < width:
        rows.append(rows[-1].new_zeros(len(rows[-1]), width - known, rows[-1].shape[2]))
    return torch.cat(rows, 1) if len(rows) > 1 else rows[0], known


def added(part: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """``part(x) + other``."""
    if is_plain(part, x.dtype) and part.bias is None:
        return combined(x, part.weight, other, "add")
    found: Tensor = part(x)
    return other + found


def multiplied(part: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """``part(x) * other``."""
    if is_plain(part, x.dtype) and part.bias is None:
        return combined(x, part.weight, other, "mul")
    found: Tensor = part(x)
    return found.mul_(other)
