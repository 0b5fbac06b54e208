"""Floating-point operations of the matrix products of a transformer, counted from shapes; a multiply-add is two.

One formula for every backbone, and for what schemes and baselines train of their own: each weight matrix is applied to
so many rows, and each attention compares so many queries with so many keys. Norms, activations, softmax and biases are
not counted, as is usual. What a step over a frozen base takes depends on which gradients it computes
(``bench.backbone.causal_flops``).
"""

from __future__ import annotations

TRAINING = 3  # forward, and as much again for the gradients of the inputs and for those of the weights


def product(weights: int, rows: int) -> int:
    """``rows`` vectors through matrices of so many ``weights`` in all."""
    return 2 * weights * rows


def attention(batch: int, queries: int, keys: int, width: int) -> int:
    """Logits and mixed values of ``batch`` sequences; ``width`` is that of all heads together."""
    return 4 * batch * queries * keys * width
