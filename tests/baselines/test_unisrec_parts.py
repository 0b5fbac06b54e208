"""The parts of UniSRec against formulas written out one number at a time: adaptor, encoder, losses, views, words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from unisrec_baseline import losses
from unisrec_baseline.examples import (
    NOTHING,
    Padded,
    distinct,
    fewer_words,
    other_view,
    padded,
    without_items,
    without_words,
)
from unisrec_baseline.network import Adaptor, Encoder, Network
from unisrec_baseline.settings import Settings

from bench.data.dataset import Sequences
from bench.errors import BenchError

SMALL = Settings(width=4, experts=3, layers=2, heads=2, inner=6, dropout=0.0, adaptor_dropout=0.0)


def scrambled(module: torch.nn.Module, seed: int = 0) -> Any:
    """Every parameter random, so that none is hidden by its first value."""
    torch.manual_seed(seed)
    for weights in module.parameters():
        torch.nn.init.normal_(weights)
    return module.eval()


# -- adaptor ----------------------------------------------------------------------------------------------------------


def by_hand(adaptor: Adaptor, text: NDArray[Any]) -> list[list[float]]:
    """Sums over numbers: softmax(x W_2) of the experts, each (x - b) W."""
    bias, weight, gate = (
        getattr(adaptor, name).detach().double().numpy().tolist() for name in ("bias", "weight", "gate")
    )
    found = []
    for x in text.tolist():
        logits = [sum(x[r] * gate[r][k] for r in range(len(x))) for k in range(len(bias))]
        total = sum(math.exp(logit) for logit in logits)
        row = [0.0] * len(weight[0][0])
        for k, logit in enumerate(logits):
            for w in range(len(row)):
                white = sum((x[r] - bias[k][r]) * weight[k][r][w] for r in range(len(x)))
                row[w] += math.exp(logit) / total * white
        found.append(row)
    return found


def test_an_item_is_a_mixture_of_whitenings() -> None:
    adaptor = scrambled(Adaptor(5, SMALL))
    text = torch.randn(7, 5)
    assert np.allclose(adaptor(text).detach(), by_hand(adaptor, text.double().numpy()), atol=1e-4)


def test_one_expert_is_the_whitening_of_its_bias() -> None:
    """With the mean as bias and the axes of the covariance as weights, vectors come out with the identity."""
    random = np.random.default_rng(0)
    text = random.normal(size=(500, 4)) @ random.normal(size=(4, 4)) + 3
    variances, axes = np.linalg.eigh(np.cov(text.T, bias=True))
    adaptor = Adaptor(4, Settings(width=4, experts=1, adaptor_dropout=0.0)).double().eval()
    adaptor.bias.data[0] = torch.from_numpy(text.mean(axis=0))
    adaptor.weight.data[0] = torch.from_numpy(axes / np.sqrt(variances))
    white = adaptor(torch.from_numpy(text)).detach().numpy()
    assert np.allclose(white.mean(axis=0), 0, atol=1e-9)
    assert np.allclose(np.cov(white.T, bias=True), np.eye(4))


def test_gates_are_noisy_in_training_alone_and_equal_at_first() -> None:
    adaptor, text = Adaptor(5, SMALL), torch.randn(6, 5)
    adaptor.eval()
    assert torch.allclose(adaptor.gates(text), torch.full((6, 3), 1 / 3))
    adaptor.train()
    torch.manual_seed(1)
    noisy = adaptor.gates(text)
    torch.manual_seed(1)
    noise = torch.randn(6, 3)
    expected = (noise * (math.log(2) + 0.01)).exp()  # the softplus of zero, and the least noise
    assert torch.allclose(noisy, expected / expected.sum(dim=1, keepdim=True))


def test_gradients_are_those_of_finite_differences() -> None:
    adaptor = scrambled(Adaptor(3, SMALL)).double()
    text = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(adaptor, (text,))


# -- encoder ----------------------------------------------------------------------------------------------------------


def attended(encoder: Encoder, items: Tensor) -> Tensor:
    """One sequence without padding, written out: positions, norm, heads, feed-forward, each behind a norm."""
    hidden = norm(items + encoder.positions[: len(items)], encoder.norm)
    for layer in encoder.layers.layers:
        weights, bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
        query, key, value = (hidden @ weights.T + bias).chunk(3, dim=1)
        heads = []
        for h in range(2):
            part = slice(2 * h, 2 * h + 2)
            mixed = []
            for at in range(len(items)):
                logits = key[: at + 1, part] @ query[at, part] / math.sqrt(2)
                mixed.append(logits.softmax(0) @ value[: at + 1, part])
            heads.append(torch.stack(mixed))
        out = torch.cat(heads, dim=1) @ layer.self_attn.out_proj.weight.T + layer.self_attn.out_proj.bias
        hidden = norm(hidden + out, layer.norm1)
        inner = torch.nn.functional.gelu(hidden @ layer.linear1.weight.T + layer.linear1.bias)
        hidden = norm(hidden + inner @ layer.linear2.weight.T + layer.linear2.bias, layer.norm2)
    return hidden[-1]


def norm(x: Tensor, module: torch.nn.LayerNorm) -> Tensor:
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-12).sqrt() * module.weight + module.bias


@pytest.mark.parametrize("gradients", [True, False])
def test_a_sequence_is_read_up_to_its_last_item(gradients: bool) -> None:
    encoder = scrambled(Encoder(5, SMALL))
    items = torch.randn(3, 5, 4)
    lengths = torch.tensor([5, 2, 1])
    with torch.set_grad_enabled(gradients):
        found = encoder(items, lengths)
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(found[row], attended(encoder, items[row, :length]), atol=1e-4)


def test_rows_do_not_depend_on_each_other_or_on_padding() -> None:
    network = scrambled(Network(5, 6, SMALL))
    items = network.named(torch.randn(8, 5))
    together = padded(Sequences.from_rows([[1, 2, 3, 4], [5], [], [7, 0]]))
    whole = network.sequences(items, torch.from_numpy(together.rows), torch.from_numpy(together.lengths))
    for row, history in enumerate([[1, 2, 3, 4], [5], [], [7, 0]]):
        alone = padded(Sequences.from_rows([history]))
        found = network.sequences(items, torch.from_numpy(alone.rows), torch.from_numpy(alone.lengths))
        assert torch.allclose(found[0], whole[row], atol=1e-5)
    assert torch.isfinite(whole).all()


def test_items_have_vectors_of_their_own_where_these_are_asked_for() -> None:
    network, text = scrambled(Network(5, 6, SMALL, items=4)), torch.randn(4, 5)
    inductive = network.named(text)
    both = network.named(text, torch.tensor([0, 1, 2, 3]))
    assert torch.allclose(both - inductive, network.own)
    assert Network(5, 6, SMALL).own is None


# -- losses -----------------------------------------------------------------------------------------------------------


def cosine(a: list[float], b: list[float]) -> float:
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths


def contrast_by_hand(queries: Any, keys: Any, targets: list[int], temperature: float) -> float:
    total = 0.0
    for j, query in enumerate(queries):
        logits = [math.exp(cosine(query, key) / temperature) for key in keys]
        others = [logit for i, logit in enumerate(logits) if targets[i] != targets[j]]
        total -= math.log(logits[j] / (logits[j] + sum(others)))
    return total / len(queries)


def fixed(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("targets", [[0, 1, 2, 3, 4], [7, 1, 7, 7, 2], [3, 3, 3, 3, 3]])
def test_contrast_leaves_out_those_who_want_the_same_item(targets: list[int]) -> None:
    queries, keys = fixed(1, 5, 3), fixed(2, 5, 3)
    found = losses.contrast(queries, keys, torch.tensor(targets), 0.3)
    assert float(found) == pytest.approx(contrast_by_hand(queries.tolist(), keys.tolist(), targets, 0.3))


def test_gradients_of_the_contrast_are_those_of_finite_differences() -> None:
    queries, keys = fixed(1, 4, 3).requires_grad_(), fixed(2, 4, 3).requires_grad_()
    targets = torch.tensor([0, 1, 0, 2])
    assert torch.autograd.gradcheck(lambda a, b: losses.contrast(a, b, targets, 0.5), (queries, keys))


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_pre_training_adds_the_contrast_of_views(weight: float) -> None:
    sequences, items, views = fixed(1, 4, 3), fixed(2, 4, 3), fixed(3, 4, 3)
    targets = [5, 6, 5, 8]
    found = losses.pre_training(sequences, items, views, torch.tensor(targets), 0.07, weight)
    first = contrast_by_hand(sequences.tolist(), items.tolist(), targets, 0.07)
    second = contrast_by_hand(sequences.tolist(), views.tolist(), targets, 0.07)
    assert float(found) == pytest.approx(first + weight * second)


def test_fine_tuning_is_against_the_whole_catalogue() -> None:
    sequences, catalogue = fixed(1, 3, 4), fixed(2, 6, 4)
    found = losses.fine_tuning(sequences, catalogue, torch.tensor([5, 0, 5]), 0.07)
    expected = 0.0
    for row, target in zip(sequences.tolist(), [5, 0, 5], strict=True):
        logits = [math.exp(cosine(row, item) / 0.07) for item in catalogue.tolist()]
        expected -= math.log(logits[target] / sum(logits)) / 3
    assert float(found) == pytest.approx(expected)


# -- views ------------------------------------------------------------------------------------------------------------


def items_of(found: Padded) -> list[list[int]]:
    assert all((row[length:] == NOTHING).all() for row, length in zip(found.rows, found.lengths, strict=True))
    return [row[:length].tolist() for row, length in zip(found.rows, found.lengths, strict=True)]


def test_histories_are_padded_behind() -> None:
    found = padded(Sequences.from_rows([[3, 1], [], [2]]))
    assert found.rows.tolist() == [[3, 1], [NOTHING, NOTHING], [2, NOTHING]]
    assert items_of(found) == [[3, 1], [], [2]]


def test_a_fifth_of_the_items_is_dropped_in_order_and_one_stays() -> None:
    rows = [list(range(start, start + 1 + start % 9)) for start in range(900)]
    whole = padded(Sequences.from_rows(rows))
    found = items_of(without_items(whole, 0.2, np.random.default_rng(0)))
    for row, kept in zip(rows, found, strict=True):
        assert kept
        assert [item for item in row if item in kept] == kept
    long = [(len(kept), len(row)) for row, kept in zip(rows, found, strict=True) if len(row) > 4]
    assert sum(kept for kept, _ in long) / sum(length for _, length in long) == pytest.approx(0.8, abs=0.02)
    assert items_of(without_items(padded(Sequences.from_rows([[1, 2], []])), 0.99, np.random.default_rng(0)))[1] == []


def test_fewer_words_are_behind_all_items() -> None:
    assert items_of(without_words(padded(Sequences.from_rows([[3, 1], [0]])), 10)) == [[13, 11], [10]]


def test_a_view_lacks_items_or_words() -> None:
    whole = padded(Sequences.from_rows([[item, item + 1, item + 2] for item in range(500)]))
    found = items_of(other_view(whole, 600, (0.5, 0.1), np.random.default_rng(0)))
    words = [row for row in found if min(row) >= 600]
    assert all(len(row) == 3 for row in words)
    assert all(max(row) < 600 for row in found if row not in words)
    assert len(words) / 500 == pytest.approx(0.1, abs=0.04)


def test_every_item_is_read_once() -> None:
    first, second = np.array([[4, 2], [4, NOTHING]]), np.array([7, 2])
    items, (a, b) = distinct(first, second)
    assert items.tolist() == [2, 4, 7]
    assert a.tolist() == [[1, 0], [1, NOTHING]]
    assert b.tolist() == [2, 0]


def test_words_are_dropped_but_not_all() -> None:
    texts = ["a b c d e f g h i j"] * 300 + ["only", ""]
    found = fewer_words(texts, 0.2, np.random.default_rng(0))
    assert found[-2:] == ["only", ""]
    kept = [len(text.split()) for text in found[:300]]
    assert np.mean(kept) == pytest.approx(8, abs=0.2)
    assert all(
        set(text.split()) <= set("abcdefghij") and list(text.split()) == sorted(text.split()) for text in found[:300]
    )
    assert fewer_words(["x y z"], 0.999999, np.random.default_rng(0))[0] in ("x", "y", "z")


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width": 5}, "setting 'width' must be a multiple of heads, 2; got 5"),
        ({"temperature": 0.0}, "setting 'temperature' must be above 0; got 0.0"),
        ({"item_drop": 1.0}, "setting 'item_drop' must be at least 0 and below 1; got 1.0"),
        ({"experts": 0}, "setting 'experts' must be 1 or more; got 0"),
        ({"pretrain_fraction": 1.5}, "setting 'pretrain_fraction' must be none, or from 0 to 1; got 1.5"),
        ({"sequence_weight": -1.0}, "setting 'sequence_weight' must be 0 or more; got -1.0"),
        ({"learning_rate": 0.0}, "setting 'learning_rate' must be above 0; got 0.0"),
    ],
)
def test_settings_that_cannot_be(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError) as caught:
        Settings(**changed)
    assert str(caught.value) == said
