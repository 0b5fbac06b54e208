"""Cross-entropy over a catalogue: three ways, against PyTorch's."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.model import softmax

Q, B, M, D = 3, 4, 11, 5


@pytest.fixture
def parts() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden, vectors = torch.randn(Q, B, D, requires_grad=True), torch.randn(Q, M, D, requires_grad=True)
    return hidden, vectors, torch.tensor([0, 10, 3, 3])


def expected(hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
    logits = torch.einsum("qbd,qmd->qbm", hidden, vectors)
    return torch.stack([F.cross_entropy(slot, targets, reduction="none") for slot in logits])


@pytest.mark.parametrize("size", [1, 4, 11, 100])
def test_chunks_and_the_whole_are_one_loss_with_one_gradient(parts: tuple[Tensor, Tensor, Tensor], size: int) -> None:
    hidden, vectors, targets = parts
    ways = [
        expected(*parts),
        softmax.full(*parts),
        softmax.chunked(hidden, lambda items: vectors[:, items], targets, M, size),
    ]
    weights = torch.rand(Q, B)
    grads = [torch.autograd.grad((loss * weights).sum(), (hidden, vectors)) for loss in ways]
    for loss, found in zip(ways[1:], grads[1:], strict=True):
        assert torch.allclose(loss, ways[0], atol=1e-5)
        for mine, theirs in zip(found, grads[0], strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)


def test_a_sample_estimates_the_sum_under_the_softmax_without_bias(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, vectors, targets = (part.detach() for part in parts)
    own = torch.einsum("qbd,qbd->qb", hidden, vectors[:, targets])
    exact = (expected(hidden, vectors, targets) + own).exp()
    torch.manual_seed(1)
    drawn = [softmax.sampled(hidden, lambda items: vectors[:, items], targets, M, 5) + own for _ in range(4000)]
    sums = torch.stack(drawn).exp()
    error = sums.std(0) / math.sqrt(len(sums))
    assert ((sums.mean(0) - exact).abs() < 4.5 * error).all()
    assert (error / exact < 0.05).all()


def test_a_target_that_is_drawn_counts_once(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, vectors, _ = parts
    targets = torch.zeros(B, dtype=torch.long)
    only = vectors[:, :1]
    loss = softmax.sampled(hidden, lambda items: only[:, items], targets, 1, 6)
    assert torch.allclose(loss, torch.zeros(Q, B), atol=1e-6)
