"""The blocks of a T5 whose linear layers are in bfloat16, for inference on a CPU.

What is added up from layer to layer, norms, attention logits and their softmax are in float32. Attention is written
out: PyTorch's fused kernel is slower in bfloat16 than two batched products with a softmax between them, at the shapes
of a beam (20 queries, 20 to 150 keys: 0.5 to 0.7 of its time in float32, where it is the better one).

Shapes: B batch, T target, K keys, H heads, D model width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from bench.backbone.t5 import Attention, Block, RMSNorm


def serves(tensor: Tensor) -> bool:
    """Whether what has these weights, or made this, is computed here."""
    return tensor.dtype == torch.bfloat16 and tensor.device.type == "cpu" and not torch.is_grad_enabled()


def block(
    layers: Block,
    x: Tensor,
    bias: Tensor,
    past: Tensor | None,
    cross: tuple[Tensor, Tensor] | None,
    cross_mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As ``Block.forward``; the past is ``[B, K, 2, H, d_kv]``, in memory heads first, as the products want it."""
    x, normed = x.float(), norm(layers.attention_norm, x)
    joined = torch.unflatten(layers.attention.key_value(normed), -1, (2, layers.attention.heads, -1))
    joined = joined.permute(2, 0, 3, 1, 4)
    if past is not None:
        joined = torch.cat([past.permute(2, 0, 3, 1, 4), joined], 3)
    x = x + attend(layers.attention, normed, joined[0], joined[1], bias)
    if layers.cross is not None and layers.cross_norm is not None and cross is not None:
        rows = norm(layers.cross_norm, x).view(cross[0].shape[0], -1, x.shape[-1])
        x += attend(layers.cross, rows, *cross, cross_mask).view_as(x)
    x += layers.feed_forward(norm(layers.feed_forward_norm, x))
    return x, joined.permute(1, 3, 0, 2, 4)


def norm(layer: RMSNorm, x: Tensor) -> Tensor:
    """``layer(x)`` in bfloat16, in fewer passes."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale = length.square_().mul_(1 / x.shape[-1]).add_(layer.epsilon).rsqrt_()
    normed: Tensor = (x * scale).mul_(layer.weight).to(torch.bfloat16)
    return normed


def attend(layer: Attention, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """``x [B, T, D]`` attends to ``keys [B, H, K, d_kv]``; ``bias`` is added to the logits ``[B, H, T, K]``."""
    query = torch.unflatten(layer.query(x), -1, (layer.heads, -1)).transpose(1, 2)
    logits = torch.bmm(query.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2)).float().view(*query.shape[:3], -1)
    if bias is not None:
        logits += bias
    weights = F.softmax(logits, dim=-1).to(query.dtype)
    mixed = torch.bmm(weights.flatten(0, 1), values.flatten(0, 1)).view(query.shape)
    attended: Tensor = layer.output(mixed.transpose(1, 2).flatten(-2))
    return attended
