"""T5 of our own against Transformers', and what it can do beside it: embeddings, positions, masks, one shared cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from bench.backbone import huggingface
from bench.backbone.t5 import MASKED, T5, RelativeBias, T5Config, distance_buckets
from bench.dropout import dropout

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]


def close(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def tokens(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(3, 40, (rows, width), generator=torch.Generator().manual_seed(seed))


def padding(*lengths: int) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def alone(count: int) -> Tensor:
    """The additive mask under which every position sees itself only."""
    return (~torch.eye(count, dtype=torch.bool)) * MASKED


def theirs(peer: T5ForConditionalGeneration, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    return peer(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits


KINDS: list[dict[str, Any]] = [
    {"activation": "relu"},
    {"activation": "gelu_new", "gated": True},
    {"activation": "silu", "gated": True},
    {"activation": "gelu"},
    {"activation": "relu", "gated": True},
]
HEADS: list[dict[str, Any]] = [
    {"tied": True, "scaled": True},
    {"tied": False, "scaled": False},
    {"tied": False, "scaled": True},
    {"tied": True, "scaled": False},
]


@pytest.mark.parametrize("grad", [False, True], ids=["fused", "written-out"])
@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_logits_equal_transformers(
    t5: MakeT5, peer: MakePeer, kind: dict[str, Any], head: dict[str, Any], grad: bool
) -> None:
    ours = t5(**kind, **head)
    source, mask, target = tokens(3, 27), padding(27, 11, 1), tokens(3, 24, seed=1)
    with torch.set_grad_enabled(grad):
        found, expected = ours(source, mask, target), theirs(peer(ours), source, mask, target)
    close(found, expected, 1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize(("layers", "decoder_layers"), [(1, 1), (3, 1), (1, 4)])
def test_logits_equal_with_other_depths(t5: MakeT5, peer: MakePeer, layers: int, decoder_layers: int) -> None:
    ours = t5(seed=2, layers=layers, decoder_layers=decoder_layers)
    source, mask, target = tokens(2, 9), padding(9, 4), tokens(2, 5)
    with torch.no_grad():
        close(ours(source, mask, target), theirs(peer(ours), source, mask, target), 1e-4)


def test_logits_equal_far_beyond_the_furthest_distance(t5: MakeT5, peer: MakePeer) -> None:
    ours = t5(seed=3, buckets=32, max_distance=128)
    source, mask, target = tokens(2, 300), padding(300, 150), tokens(2, 160)
    with torch.no_grad():
        close(ours(source, mask, target), theirs(peer(ours), source, mask, target), 1e-4)


@pytest.mark.parametrize("head", HEADS[:2], ids=str)
@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_every_gradient_equals_transformers(
    t5: MakeT5, peer: MakePeer, kind: dict[str, Any], head: dict[str, Any]
) -> None:
    ours = t5(seed=4, **kind, **head)
    other = peer(ours)
    source, mask, target = tokens(3, 12), padding(12, 7, 3), tokens(3, 6)
    weight = torch.randn(3, 6, 40, generator=torch.Generator().manual_seed(0))
    (ours(source, mask, target) * weight).sum().backward()
    (theirs(other, source, mask, target) * weight).sum().backward()
    expected = {name: parameter.grad for name, parameter in other.named_parameters()}
    for name, parts in huggingface.names(ours):
        gradient = ours.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().max() > 0
        close(gradient, torch.cat([expected[part] for part in parts]), 1e-4)


@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (8, 20), (16, 9), (32, 1000), (6, 7), (4, 9)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_buckets_equal_transformers_at_every_distance(buckets: int, furthest: int, bidirectional: bool) -> None:
    config = T5Config(9, d_model=4, d_kv=2, d_ff=4, heads=1, layers=1, decoder_layers=1)
    bias = RelativeBias(T5Config(**{**vars(config), "buckets": buckets, "max_distance": furthest}), bidirectional)
    with torch.no_grad():
        bias.table.weight[:] = torch.arange(buckets)[:, None]
        offsets = torch.arange(-3 * furthest, 3 * furthest + 1)
        found = bias(torch.tensor([0]), offsets)[0, 0, 0]
    expected = T5Attention._relative_position_bucket(offsets, bidirectional, buckets, furthest)
    assert found.long().tolist() == expected.tolist()


def test_the_first_half_of_the_buckets_is_exact() -> None:
    found = distance_buckets(16, 64)
    assert found[:8].tolist() == list(range(8))
    assert found.diff().min() == 0
    assert (found.diff() <= 1).all()
    assert found[-1] == 15


def test_embeddings_are_as_good_as_ids(t5: MakeT5) -> None:
    model, source, mask, target = t5(), tokens(2, 7), padding(7, 5), tokens(2, 4)
    with torch.no_grad():
        memory = model.encode(source, mask)
        assert torch.equal(memory, model.encode(model.embedding(source), mask))
        found = model.decode(model.embedding(target), model.start(memory, mask))
        assert torch.equal(found, model.decode(target, model.start(memory, mask)))


def test_positions_count_only_by_their_differences(t5: MakeT5) -> None:
    model, source, target, places = t5(), tokens(2, 9), tokens(2, 6), torch.arange(9)
    with torch.no_grad():
        memory = model.encode(source)
        assert torch.equal(memory, model.encode(source, positions=places))
        assert torch.equal(memory, model.encode(source, positions=places + 1000))
        assert torch.equal(memory, model.encode(source, positions=(places + torch.tensor([[5], [70]]))))
        assert (memory - model.encode(source, positions=2 * places)).abs().max() > 0.01
        found = model.decode(target, model.start(memory))
        assert torch.equal(found, model.decode(target, model.start(memory), positions=places[:6] + 1000))


def test_each_row_may_have_positions_of_its_own(t5: MakeT5) -> None:
    model, source = t5(), tokens(2, 6)
    positions = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 3, 6, 9, 30, 90]])
    with torch.no_grad():
        found = model.encode(source, positions=positions)
        for row in range(2):
            close(found[row], model.encode(source[row : row + 1], positions=positions[row])[0])


def test_equal_positions_have_distance_zero(t5: MakeT5) -> None:
    model, source, same = t5(), tokens(1, 6), torch.full((6,), 4)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        bias = model.encoder.bias(same, same)
        assert torch.equal(bias, model.encoder.bias.table.weight[0][None, :, None, None].expand(1, -1, 6, 6))
        # without distances the encoder cannot tell an order
        found = model.encode(source, positions=same)
        close(model.encode(source[:, order], positions=same), found[:, order])
        assert (model.encode(source[:, order])[:, 0] - model.encode(source)[:, 3]).abs().max() > 0.01


@pytest.mark.parametrize("dims", [2, 3])
def test_an_encoder_token_may_be_left_alone_with_itself(t5: MakeT5, dims: int) -> None:
    model, source = t5(), tokens(2, 5)
    mask = alone(5) if dims == 2 else alone(5).expand(2, -1, -1)
    changed = source.clone()
    changed[:, 3] = 39
    with torch.no_grad():
        found, other = model.encode(source, mask), model.encode(changed, mask)
        assert torch.equal(found[:, [0, 1, 2, 4]], other[:, [0, 1, 2, 4]])
        assert not torch.equal(found[:, 3], other[:, 3])
        close(found, torch.cat([model.encode(source[:, place, None]) for place in range(5)], 1))


def test_three_dimensional_masks_differ_from_row_to_row(t5: MakeT5) -> None:
    model, source = t5(), tokens(1, 5).expand(2, -1)
    mask = torch.stack([alone(5), torch.zeros(5, 5)])
    with torch.no_grad():
        found = model.encode(source, mask)
        close(found[0], model.encode(source[:1], alone(5))[0])
        close(found[1], model.encode(source[:1])[0])


def test_parallel_queries_do_not_see_one_another(t5: MakeT5) -> None:
    """An identity that is merely added to the logits would still mix the queries; here not a bit of them mixes."""
    model, source, padded = t5(), tokens(2, 7), padding(7, 3)
    queries = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(5))
    changed = queries.clone()
    changed[:, 2] += 1
    positions = torch.zeros(4, dtype=torch.long)

    def decode(inputs: Tensor, mask: Tensor) -> Tensor:
        cache = model.start(model.encode(source, padded), padded)
        return model.decode(inputs, cache, mask=mask, positions=positions[: inputs.shape[1]])

    with torch.no_grad():
        found, other = decode(queries, alone(4)), decode(changed, alone(4))
        assert torch.equal(found[:, [0, 1, 3]], other[:, [0, 1, 3]])
        assert not torch.equal(found[:, 2], other[:, 2])
        close(found, torch.cat([decode(queries[:, [query]], alone(1)) for query in range(4)], 1))
        open_to_all = torch.zeros(4, 4)
        seen = (decode(queries, open_to_all) - decode(changed, open_to_all)).abs().amax(-1)
        assert (seen > 1e-3).all(), "with an open mask every query, earlier or later, sees the change"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_the_cache_equals_teacher_forcing(t5: MakeT5, peer: MakePeer, chunk: int) -> None:
    model, source, mask, target = t5(), tokens(3, 8), padding(8, 5, 2), tokens(3, 7)
    with torch.no_grad():
        cache = model.start(model.encode(source, mask), mask)
        steps = [model.decode(part, cache) for part in target.split(chunk, dim=1)]
        assert cache.positions.tolist() == list(range(7))
        close(model.logits(torch.cat(steps, 1)), model(source, mask, target))
        close(model.logits(torch.cat(steps, 1)), theirs(peer(model), source, mask, target), 1e-4)


def test_nothing_depends_on_padding_or_on_the_other_rows(t5: MakeT5) -> None:
    model, lengths = t5(), (9, 4, 1)
    source, target = tokens(3, 9), tokens(3, 5)
    with torch.no_grad():
        together = model(source, padding(*lengths), target)
        for row, length in enumerate(lengths):
            one = slice(row, row + 1)
            close(together[row], model(source[one, :length], None, target[one])[0])
            wide = torch.cat([source[one, :length], tokens(1, 20, seed=9)], 1)
            close(together[row], model(wide, padding(length, length + 20)[:1], target[one])[0])


def test_no_mask_is_a_mask_of_tokens_only(t5: MakeT5) -> None:
    model, source, target = t5(), tokens(2, 6), tokens(2, 3)
    with torch.no_grad():
        close(model(source, None, target), model(source, padding(6, 6), target))


def test_a_mask_of_zeros_and_ones_is_refused(t5: MakeT5) -> None:
    model, source = t5(), tokens(2, 6)
    with pytest.raises(TypeError, match=r"bool .* or float .*, not torch.int64"):
        model.encode(source, padding(6, 3).long())


def test_a_row_with_nothing_to_attend_to_stays_finite(t5: MakeT5) -> None:
    model, source = t5(), tokens(2, 6)
    mask = torch.stack([torch.zeros(6, dtype=torch.bool), torch.ones(6, dtype=torch.bool)])
    with torch.no_grad():
        assert model(source, mask, tokens(2, 3)).isfinite().all()


@pytest.mark.parametrize("tied", [True, False])
def test_logits_of_some_rows_are_those_of_all(t5: MakeT5, tied: bool) -> None:
    model, rows = t5(tied=tied), torch.tensor([7, 0, 31])
    hidden = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        close(model.logits(hidden, rows), model.logits(hidden)[..., rows])


def test_half_precision_is_near(t5: MakeT5) -> None:
    model, source, mask, target = t5(), tokens(2, 8), padding(8, 3), tokens(2, 4)
    with torch.no_grad():
        exact = model(source, mask, target)
        rounded = model.to(torch.bfloat16)(source, mask, target)
    assert rounded.dtype == torch.bfloat16
    close(rounded.float(), exact, 0.15)


@pytest.mark.parametrize("grad", [False, True], ids=["fused", "written-out"])
def test_dropout_works_in_training_only(t5: MakeT5, grad: bool) -> None:
    source, mask, target = tokens(2, 8), padding(8, 3), tokens(2, 4)

    def run(model: T5, seed: int) -> Tensor:
        torch.manual_seed(seed)
        with torch.set_grad_enabled(grad):
            return model(source, mask, target)

    model = t5(dropout=0.3)
    assert torch.equal(run(model, 0), run(model, 1))
    model.train()
    assert torch.equal(run(model, 0), run(model, 0))
    assert not torch.equal(run(model, 0), run(model, 1))
    assert torch.equal(run(t5(dropout=0.0).train(), 0), run(t5(dropout=0.0), 1))


def test_dropout_is_everywhere_where_transformers_has_it(
    t5: MakeT5, peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same draws in the same order: one dropout more, fewer or elsewhere would change them all."""

    def drawn(x: torch.Tensor, p: float, training: bool, inplace: bool = False) -> torch.Tensor:
        return dropout(x, p, training)

    monkeypatch.setattr(torch.nn.functional, "dropout", drawn)  # theirs then draws as ours does
    ours = t5(dropout=0.3).train()
    other = peer(ours).train()
    other.set_attn_implementation("eager")  # whose dropout is to be seen
    source, mask, target = tokens(2, 8), padding(8, 3), tokens(2, 4)
    torch.manual_seed(0)
    found = ours(source, mask, target)
    torch.manual_seed(0)
    close(found, theirs(other, source, mask, target), 1e-4)


def test_dropout_keeps_the_mean(t5: MakeT5) -> None:
    """Kept attention weights are scaled up by 1/(1-p), in the fused kernel and written out."""
    attention = t5(dropout=0.5).encoder.blocks[0].attention
    x = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(0))
    bias = torch.zeros(1, 3, 6, 6)
    with torch.no_grad():
        keys, values = attention.keys_values(x)
        exact = attention.eval()(x, keys, values, bias)
        attention.train()
        for learned in (bias, bias.requires_grad_()):
            torch.manual_seed(0)
            drawn = torch.stack([attention(x, keys, values, learned) for _ in range(2000)])
            error = drawn.std(0) / math.sqrt(2000)
            assert ((drawn.mean(0) - exact).abs() < 5 * error).all()
            assert (exact.abs() > 20 * error).any(), "enough draws to tell"
