"""Linear layers, multiplied by whichever library that PyTorch comes with is fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # x [R, K], weight [N, K], bias [N] to [R, N]
Combined = Callable[[Tensor, Tensor, Tensor, str], Tensor]  # x [R, K], weight [N, K], other [R, N] to [R, N]

TRIED = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def onednn_product() -> Product | None:
    """oneDNN's product by an operator that is PyTorch's own affair; None where it is missing or does something else."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise

        def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            found: Tensor = operator(x, weight, bias, "none", [], "")
            return found

        found = [product(*TRIED, bias).tolist() for bias in (None, torch.tensor([1.0, 2.0, 3.0]))]
        return product if found == [[[11.0, 17.0, 23.0]], [[12.0, 19.0, 26.0]]] else None
    except (AttributeError, RuntimeError, TypeError):  # not there, not built, or called otherwise
        return None


def onednn_combined() -> Combined | None:
    """The same with another tensor added to the product ("add") or multiplied by it ("mul"), in one pass."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise.binary

        def combined(x: Tensor, weight: Tensor, other: Tensor, how: str) -> Tensor:
            found: Tensor = operator(x, other, weight, None, how)
            return found

        found = [combined(*TRIED, torch.tensor([[1.0, 2.0, 3.0]]), how).tolist() for how in ("add", "mul")]
        return combined if found == [[[12.0, 19.0, 26.0]], [[11.0, 34.0, 69.0]]] else None
    except (AttributeError, RuntimeError, TypeError):
        return None


ONEDNN: Product | None = onednn_product()
COMBINED: Combined | None = onednn_combined()
FUSED = (torch.float32, torch.bfloat16)


@torch.library.custom_op("bench::product", mutates_args=())
def opaque_product(x: Tensor, weight: Tensor) -> Tensor:
    """The same to ``torch.compile``, which knows no shapes of oneDNN's operator and must not look into it."""
    return F.linear(x, weight) if ONEDNN is None else ONEDNN(x, weight, None)


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


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x [..., K]`` times the rows of ``weight [N, K]``, plus ``bias [N]``: ``[..., N]``.

    PyTorch leaves float32 products on a CPU to MKL, which does not use the widest instructions of processors that are
    not Intel's. oneDNN does: about twice as fast on an AMD EPYC with AVX-512. Without its operator, which is private to
    PyTorch, the product is PyTorch's own. Weights are handed over as they are; a
    packed copy would go stale with the next optimizer step. What meets weights in bfloat16 is rounded to it, and so is
    the product.
    """
    if weight.dtype == torch.bfloat16 and x.dtype == torch.float32:
        return F.linear(x.to(torch.bfloat16), weight, bias)
    if ONEDNN is None or not is_plain(x):
        found = F.linear(x, weight)
        return found if bias is None else found + bias
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        # contiguous: the gradient of a weight by rows with gaps between them takes oneDNN hundreds of times as long
        rows: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]).contiguous(), weight)  # type: ignore[no-untyped-call]
        found = rows.view(*x.shape[:-1], len(weight))
        return found if bias is None else found + bias
    return ONEDNN(x, weight, bias)


def combined(x: Tensor, weight: Tensor, other: Tensor, how: str) -> Tensor:
    """``linear(x, weight)`` with ``other [..., N]`` added to it ("add") or multiplied by it ("mul"), for inference:
    where oneDNN does both in one pass, the same bits sooner.
    """
    alike = x.dtype == weight.dtype == other.dtype and x.device.type == "cpu" and x.numel() > 0
    if COMBINED is None or not (alike and x.dtype in FUSED) or torch.is_grad_enabled() or is_traced():
        found = linear(x, weight)
        return other + found if how == "add" else other * found
    return COMBINED(x, weight, other, how)


def is_traced() -> bool:
    """Whether something else decides how products are computed: a compiler, or autocast."""
    return torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")


def is_plain(x: Tensor) -> bool:
    """Whether oneDNN's operator takes it as it is."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and x.numel() > 0 and not torch.is_autocast_enabled("cpu")


def _product(x: Tensor, weight: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        compiled: Tensor = opaque_product(x, weight)
        return compiled
    return F.linear(x, weight) if ONEDNN is None else ONEDNN(x, weight, None)


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
