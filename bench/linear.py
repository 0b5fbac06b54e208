"""Linear layers, multiplied by whichever library that PyTorch comes with is fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Product = Callable[[Tensor, Tensor], Tensor]  # x [R, K], weight [N, K] to [R, N]


def onednn_product() -> Product | None:
    """oneDNN's product by an operator that is PyTorch's own affair; None where it is missing or does something else."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise

        def product(x: Tensor, weight: Tensor) -> Tensor:
            found: Tensor = operator(x, weight, None, "none", [], "")
            return found

        x, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
        return product if product(x, weight).tolist() == [[11.0, 17.0, 23.0]] else None
    except (AttributeError, RuntimeError, TypeError):  # not there, not built, or called otherwise
        return None


ONEDNN: Product | None = onednn_product()


@torch.library.custom_op("bench::product", mutates_args=())
def opaque_product(x: Tensor, weight: Tensor) -> Tensor:
    """The same to ``torch.compile``, which knows no shapes of oneDNN's operator and must not look into it."""
    return F.linear(x, weight) if ONEDNN is None else ONEDNN(x, weight)


@opaque_product.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


class Linear(nn.Linear):
    """A linear layer without bias, ``[..., inputs]`` to ``[..., outputs]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)

    def rectified(self, x: Tensor) -> Tensor:
        """ReLU of it, for inference: oneDNN takes it in one pass with the product."""
        half = self.weight.dtype == torch.bfloat16 and x.device.type == "cpu" and bool(x.numel())
        plain = half or (is_plain(x) and self.weight.dtype == torch.float32)
        if ONEDNN is None or not plain or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return torch.relu_(self(x))
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.weight.dtype), self.weight, None, "relu", [], "")
        return found


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x [..., K]`` times the rows of ``weight [N, K]``: ``[..., N]``.

    PyTorch leaves float32 products on a CPU to MKL, which does not use the widest instructions of processors that are
    not Intel's. oneDNN does: about twice as fast on an AMD EPYC with AVX-512. Without its operator, which is private to
    PyTorch, the product is PyTorch's own. Weights are handed over as they are; a
    packed copy would go stale with the next optimizer step. What meets weights in bfloat16 is rounded to it, and so is
    the product.
    """
    if weight.dtype == torch.bfloat16 and x.dtype == torch.float32:
        return F.linear(x.to(torch.bfloat16), weight)
    if ONEDNN is None or not is_plain(x):
        return F.linear(x, weight)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        # contiguous: the gradient of a weight by rows with gaps between them takes oneDNN hundreds of times as long
        rows: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]).contiguous(), weight)  # type: ignore[no-untyped-call]
        return rows.view(*x.shape[:-1], len(weight))
    return ONEDNN(x, weight)


def is_plain(x: Tensor) -> bool:
    """Whether oneDNN's operator takes it as it is."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and x.numel() > 0 and not torch.is_autocast_enabled("cpu")


def _product(x: Tensor, weight: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        compiled: Tensor = opaque_product(x, weight)
        return compiled
    return F.linear(x, weight) if ONEDNN is None else ONEDNN(x, weight)


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
