"""Ranking in bfloat16: against Transformers on rounded weights, and against itself in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM, T5ForConditionalGeneration

from bench.backbone import causal_files, protocol
from bench.backbone.causal import Qwen2
from bench.backbone.causal_layers import CausalConfig
from bench.backbone.protocol import Backbone
from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, SlotIds, Template, TokenIds, VectorIds
from bench.model.beam import Scoring, TokenScores, beam_search, score_all
from bench.model.recommender import Batch, Decoding, Recommender, TopK, Work, recommender_for
from bench.model.trie import Trie
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]
VOCABULARY = Vocabulary.private([*"abcdefgh"])
CODES = [[3], [3, 4], [5, 6, 7, 8], [5, 6], [9, 3, 3], [4], [10, 10], [6, 5, 4]]
HISTORIES = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [6], [2, 2], [7, 0, 3]])
SOURCE = torch.randint(3, 11, (3, 8), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(8) < torch.tensor([8, 5, 1])[:, None]
NEAR = {"atol": 0.06, "rtol": 0.02}  # bfloat16 keeps 8 bits, and errors of layers add up
KINDS: list[dict[str, Any]] = [{}, {"activation": "gelu_new", "gated": True}, {"tied": False, "scaled": False}]
Q = CausalConfig(vocabulary=VOCABULARY.size, d_model=16, d_ff=32, layers=2, heads=4, kv_heads=2, d_kv=4)


def rounded_values(model: nn.Module) -> None:
    """Linear layers of Transformers with the values that bfloat16 has, in float32."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and name != "lm_head":
            layer.weight.data = layer.weight.data.to(torch.bfloat16).float()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@torch.no_grad()
def test_a_rounded_t5_is_near_transformers_on_rounded_weights(t5: MakeT5, peer: MakePeer, kind: dict[str, Any]) -> None:
    model = t5(vocabulary=VOCABULARY.size, **kind)
    theirs = peer(model)
    rounded_values(theirs)
    written = SOURCE[:, :4]
    expected = theirs(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=written).logits
    found = model.rounded()
    cache = found.start(found.encode(SOURCE, MASK), MASK)
    at_once = found.logits(found.decode(written, cache))
    assert at_once.dtype == torch.float32
    torch.testing.assert_close(at_once, expected, **NEAR)
    cache = found.start(found.encode(SOURCE, MASK), MASK)
    steps = torch.cat([found.decode(token, cache) for token in written.split(1, dim=1)], 1)
    torch.testing.assert_close(found.logits(steps), expected, **NEAR)


@torch.no_grad()
def test_a_rounded_decoder_only_model_is_near_transformers_on_rounded_weights() -> None:
    torch.manual_seed(0)
    model = Qwen2(Q).eval()
    theirs = Qwen2ForCausalLM(Qwen2Config(**causal_files.export_config(model, 0, 1))).eval()
    theirs.load_state_dict(causal_files.export_weights(model), strict=False)
    theirs.tie_weights()
    rounded_values(theirs)
    whole = torch.cat([SOURCE[:1], SOURCE[:1, :4]], 1)  # the row without padding
    expected = theirs(input_ids=whole).logits[:, -4:]
    found = model.rounded()
    cache = found.start(found.encode(SOURCE, MASK), MASK)
    steps = torch.cat([found.decode(token, cache) for token in SOURCE[:, :4].split(1, dim=1)], 1)
    torch.testing.assert_close(found.logits(steps)[:1], expected, **NEAR)
    at_once = found.decode(SOURCE[:, :4], found.start(found.encode(SOURCE, MASK), MASK))
    torch.testing.assert_close(at_once, steps, **NEAR)


def test_a_rounded_copy_shares_all_but_its_layers(t5: MakeT5) -> None:
    model = t5(vocabulary=VOCABULARY.size, tied=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy = dict(model.rounded().named_parameters())
    for name, parameter in model.named_parameters():
        layer = name.split(".")[-2]
        multiplied = layer in ("query", "key_value", "output", "inner", "outer")
        assert (copy[name] is parameter) is not multiplied
        assert copy[name].dtype == (torch.bfloat16 if multiplied else torch.float32)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_beam_and_exact_scores_of_a_rounded_model_agree(t5: MakeT5) -> None:
    """They decode other prefixes together, through caches that were cut."""
    ids = TokenIds.from_lists(CODES, VOCABULARY)
    model, trie, scoring = t5(vocabulary=VOCABULARY.size).rounded(), Trie.of(ids), Scoring()
    start = [model.start(model.encode(SOURCE, MASK), MASK) for _ in range(3)]
    every = score_all(model, start[0], trie, scoring)
    in_blocks = score_all(model, start[1], trie, scoring, block=2)
    torch.testing.assert_close(in_blocks, every, **NEAR)
    leaves, scores = beam_search(model, start[2], trie, 8, 8, scoring)
    torch.testing.assert_close(scores, every.gather(1, leaves), **NEAR)


def token_recommender(backbone: Backbone) -> Recommender:
    return recommender_for(TokenIds.from_lists(CODES, VOCABULARY, Template("a", after="b")), backbone)


def vector_recommender(backbone: Backbone) -> Recommender:
    features = np.random.default_rng(0).standard_normal((2, 8, 6), np.float32)
    own, text = (Feature(name, rows, np.ones(8, bool)) for name, rows in zip(("own", "text"), features, strict=True))
    return recommender_for(VectorIds((own, text), VOCABULARY, Template("a b", after="c")), backbone)


def slot_recommender(backbone: Backbone) -> Recommender:
    codes = np.random.default_rng(1).integers(0, 4, (8, 3)).astype(np.int32)
    return recommender_for(SlotIds(codes, (4, 4, 4), VOCABULARY, Template("a b", after="c"), 0.2), backbone)


@pytest.mark.parametrize("make", [token_recommender, vector_recommender, slot_recommender])
@pytest.mark.parametrize("backbone", ["t5", "qwen2"])
def test_every_head_ranks_in_both_precisions(t5: MakeT5, make: Callable[..., Recommender], backbone: str) -> None:
    torch.manual_seed(0)
    model = make(t5(vocabulary=VOCABULARY.size) if backbone == "t5" else Qwen2(Q)).eval()
    whole = model.backbone
    exact = model.rank(HISTORIES, 4, Decoding())
    rough = model.rank(HISTORIES, 4, Decoding(precision="bf16"))
    assert model.backbone is whole
    assert not np.array_equal(rough.scores, exact.scores)
    np.testing.assert_allclose(rough.scores, exact.scores, atol=0.15, rtol=0.05)
    again = model.rank(HISTORIES, 4, Decoding())
    assert np.array_equal(again.scores, exact.scores)
    assert np.array_equal(again.items, exact.items)


def test_the_copy_is_kept_while_weights_are_fixed_and_no_longer(t5: MakeT5, monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = token_recommender(t5(vocabulary=VOCABULARY.size)).eval(), list[int]()
    rounded = T5.rounded
    monkeypatch.setattr(T5, "rounded", lambda self: made.append(1) or rounded(self))
    half = Decoding(precision="bf16")
    with model.fixed_weights():
        first = model.rank(HISTORIES, 4, half)
        assert np.array_equal(model.rank(HISTORIES, 4, half).scores, first.scores)
    assert len(made) == 1
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.mul_(1.5)
    assert not np.array_equal(model.rank(HISTORIES, 4, half).scores, first.scores)
    assert len(made) == 2


class OnceWritten(Recommender):
    """What a plugin writes: it knows of no precision."""

    def __init__(self, inner: Recommender) -> None:
        super().__init__()
        self.ids, self.backbone, self.inner = inner.ids, inner.backbone, inner

    def input_lengths(self, *given: Any) -> Any:
        return self.inner.input_lengths(*given)

    def targets(self, *given: Any) -> int:
        return self.inner.targets(*given)

    def collate(self, *given: Any) -> Batch:
        return self.inner.collate(*given)

    def work(self, *given: Any) -> Work:
        return self.inner.work(*given)

    def forward(self, batch: Batch) -> Tensor:
        found: Tensor = self.inner(batch)
        return found

    def ranked(self, histories: Sequences, k: int, *_: Any) -> TopK:
        assert not torch.is_grad_enabled()
        states = self.backbone.encode(torch.full((len(histories), 3), 4))
        scores, items = states[:, -1, :8].float().sort(1, descending=True)
        return TopK(items[:, :k].numpy(), scores[:, :k].numpy(), np.ones((len(histories), k), bool), False)


def test_a_recommender_of_a_plugin_ranks_in_the_precision_that_is_asked_for(t5: MakeT5) -> None:
    model = OnceWritten(token_recommender(t5(vocabulary=VOCABULARY.size))).eval()
    whole = model.backbone
    with torch.no_grad():
        expected = [
            backbone.encode(torch.full((4, 3), 4))[:, -1, :8].float().amax(1) for backbone in (whole, whole.rounded())
        ]
    for precision, best in zip(("fp32", "bf16"), expected, strict=True):
        assert np.array_equal(model.rank(HISTORIES, 4, Decoding(precision=precision)).scores[:, 0], best.numpy())
    assert not torch.equal(*expected)
    assert model.backbone is whole


class Output(nn.Module):
    """A backbone that is nothing but a large output layer."""

    vocabulary_size = 5000

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)) * scale)

    def logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        return hidden @ (self.weight if rows is None else self.weight[rows]).T

    def rough_logits(self, hidden: Tensor) -> Tensor:
        return self.logits(hidden).to(torch.bfloat16)


@pytest.mark.parametrize("scale", [0.3, 1.0, 20.0])
@torch.no_grad()
def test_scores_over_a_rough_vocabulary_keep_their_digits(scale: float) -> None:
    """As by float64; what is likely is never more than certain, where rounded logits alone say it is."""
    model, generator = Output(scale), torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 3, 16, generator=generator)
    tokens = torch.randint(0, 5000, (2, 3, 7), generator=generator)
    tokens[..., 0] = model.logits(hidden).argmax(-1)
    exists = torch.rand(2, 3, 7, generator=generator) < 0.7
    exists[..., 0], exists[0, 0] = True, False
    scores = TokenScores(model, Trie.of(TokenIds.from_lists(CODES, VOCABULARY)), Scoring())  # type: ignore[arg-type]
    found = scores(hidden, tokens, exists)[exists].double()
    expected = (hidden.double() @ model.weight.double().T).log_softmax(-1).gather(-1, tokens)[exists]
    assert (found <= 1e-6).all()
    torch.testing.assert_close(found, expected, atol=0.02, rtol=1e-4)


@torch.no_grad()
def test_a_large_output_layer_is_rounded_too(t5: MakeT5, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, scoring = TokenIds.from_lists(CODES, VOCABULARY), Scoring()
    found = []
    for large in (VOCABULARY.size + 1, VOCABULARY.size):
        monkeypatch.setattr(protocol, "LARGE", large)
        model = t5(vocabulary=VOCABULARY.size).rounded()
        assert (model.rough is None) == (large > VOCABULARY.size)
        found.append(score_all(model, model.start(model.encode(SOURCE, MASK), MASK), Trie.of(ids), scoring))
    torch.testing.assert_close(found[1], found[0], atol=0.02, rtol=1e-3)
