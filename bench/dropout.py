"""Dropout whose random numbers cost little on a processor.

PyTorch draws one number for each element, which takes a quarter of a small model's training. Here one draw of 64 random
bits decides about four elements, each by 16 of them: five to eight times as fast.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANE = 16  # random bits for each element
LEVELS = 1 << LANE


class Dropout(nn.Module):
    """``torch.nn.Dropout``, with random numbers of another kind: in training an element is zero with probability ``p``,
    rounded to 1/65,536, and else divided by the probability of staying.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """``x`` with elements dropped, of any shape; ``x`` itself where nothing is to be dropped.

    Random numbers come from PyTorch's generator of the device, so seeds and checkpoints hold them.
    """
    if not training or p == 0:
        return x
    if x.device.type != "cpu" or not 0 < p < 1:
        return F.dropout(x, p)  # other devices draw in the kernel that needs it
    dropped: Tensor = _Dropout.apply(x, p)  # type: ignore[no-untyped-call]
    return dropped


def kept(x: Tensor, p: float) -> Tensor:
    """By what each element of ``x`` is multiplied: zero, or one over the probability of staying."""
    gone = min(max(round(p * LEVELS), 1), LEVELS - 1)
    draws = torch.empty(-(-x.numel() // (64 // LANE)), dtype=torch.int64).random_(-(2**63), None)
    factors = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(draws.view(torch.int16)[: x.numel()].view(x.shape), gone - LEVELS // 2, out=factors)
    return factors.mul_(LEVELS / (LEVELS - gone))


@torch.library.custom_op("bench::kept", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def opaque_kept(x: Tensor, p: float) -> Tensor:
    """The same to ``torch.compile``, which would draw one number for each element, and must not draw a second time in
    the backward pass. Its own dropout takes three times as long as all else of a small model's step.
    """
    return kept(x, p)


@opaque_kept.register_fake
def _(x: Tensor, p: float) -> Tensor:
    return x.new_empty(x.shape)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        factors = opaque_kept(x, p) if torch.compiler.is_compiling() else kept(x, p)
        ctx.save_for_backward(factors)
        return x * factors

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradient * factors, None
