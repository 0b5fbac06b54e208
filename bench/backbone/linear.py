"""Linear layers, multiplied by whichever library that PyTorch comes with is fastest."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class Linear(nn.Linear):
    """A linear layer without bias, ``[..., inputs]`` to ``[..., outputs]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x [..., K]`` times the rows of ``weight [N, K]``: ``[..., N]``.

    PyTorch leaves float32 products on a CPU to MKL, which does not use the widest instructions of processors that are
    not Intel's. oneDNN does: about twice as fast on an AMD EPYC with AVX-512. Weights are handed over as they are; a
    packed copy would go stale with the next optimiser step.
    """
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() and not torch.is_autocast_enabled("cpu")
    if not (ONEDNN and plain):
        return F.linear(x, weight)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        # contiguous: the gradient of a weight by rows with gaps between them takes oneDNN hundreds of times as long
        rows: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]).contiguous(), weight)  # type: ignore[no-untyped-call]
        return rows.view(*x.shape[:-1], len(weight))
    return _product(x, weight)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return product


class _Product(torch.autograd.Function):
    """``x [R, K]`` times ``weight [N, K]``: oneDNN's operator knows no gradients, which are products again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight = ctx.needs_input_grad
        return (
            _product(above, weight.t()) if to_x else None,
            _product(above.t(), x.t()) if to_weight else None,
        )
