"""Operations of training over a frozen base against PyTorch's own count of the operators that a step really called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import backbone, linear
from bench.backbone.causal import Causal
from bench.backbone.extending import extend
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, SlotIds, Template, TokenIds, VectorIds
from bench.model.recommender import Recommender, recommender_for
from bench.vocabulary import Vocabulary

ITEMS = 24
HISTORIES = Sequences.from_rows([[3], [1, 4, 1], [5, 9, 2, 6, 5], [3, 5]])
TARGETS = np.array([8, 9, 7, 9])
SOME = ("q_proj,v_proj", "k_proj", "down_proj", "o_proj,gate_proj", "q_proj,k_proj,v_proj,o_proj,up_proj,down_proj")
MARKS = Vocabulary.private(["<history>"])


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count knows nothing of oneDNN's private operator."""
    monkeypatch.setattr(linear, "ONEDNN", None)


def counted(call: Callable[[], Any]) -> int:
    """Attention is written out, for its fused kernels count what they compute anew."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return int(counter.get_total_flops())


def adapted(qwen: Path, targets: str, ready: Callable[[Causal], Causal] = lambda model: model) -> Causal:
    model = backbone.load(qwen, 0.0)
    assert isinstance(model, Causal)
    lines = {"backbone": str(qwen), "adapter": "lora", "lora_rank": 3, "lora_targets": targets}
    found = backbone.adapted(ready(model), replace(Contract(), **lines))
    assert isinstance(found, Causal)
    return found


def of_step(recommender: Recommender) -> tuple[int | None, int]:
    """Ours and PyTorch's count of a step."""
    recommender.train()
    rows = np.zeros(len(TARGETS), np.int64)
    work = recommender.work(HISTORIES, TARGETS, recommender.input_lengths(HISTORIES), rows)
    batch = recommender.collate(HISTORIES, TARGETS)
    return work.flops, counted(lambda: recommender(batch).backward())


def named(qwen: Path) -> TokenIds:
    language = backbone.language_of(str(qwen))
    assert language
    return TokenIds.from_lists([language.encode(f"red {number}") for number in range(ITEMS)], language)


@pytest.mark.parametrize("targets", SOME)
def test_a_step_over_a_frozen_base(qwen: Path, targets: str) -> None:
    """Nothing of frozen weights; of what goes in, only where something below learns: none in the first layer."""
    ours, theirs = of_step(recommender_for(named(qwen), adapted(qwen, targets)))
    assert ours == theirs
    whole, _ = of_step(recommender_for(named(qwen), backbone.load(qwen, 0.0)))
    assert ours is not None
    assert whole is not None
    assert 0.4 < ours / whole < 0.8  # of a base this narrow, an adapter of rank 3 is no small part


@pytest.mark.parametrize("targets", ["q_proj,v_proj", "down_proj"])
def test_the_products_of_the_adapter_are_counted(qwen: Path, targets: str) -> None:
    """Also where nothing learns."""
    model, bare = adapted(qwen, targets), backbone.load(qwen, 0.0)
    tokens, written = torch.arange(20, 34).view(2, 7), torch.arange(20, 30).view(2, 5)
    found = counted(lambda: model.logits(model.decode(written, model.start(model.encode(tokens)))))
    assert model.flops(2, 7, 5, 10) == found
    assert found > bare.flops(2, 7, 5, 10)


def with_rows(model: Causal, qwen: Path) -> tuple[Causal, Vocabulary, list[int]]:
    language = backbone.language_of(str(qwen))
    assert language
    vocabulary, rows = language.extended([f"{level}{code}" for level in "ab" for code in range(5)])
    extend(model, language, vocabulary, seed=4)
    return model, vocabulary, rows


def test_a_step_with_rows_of_its_own(qwen: Path) -> None:
    """Rows that the base does not have learn, so that gradients go down to the first layer."""
    _, vocabulary, rows = with_rows(backbone.load(qwen, 0.0), qwen)  # type: ignore[arg-type]
    model = adapted(qwen, "q_proj", lambda model: with_rows(model, qwen)[0])
    codes = [[rows[item // 5], rows[5 + item % 5]] for item in range(ITEMS)]
    ours, theirs = of_step(recommender_for(TokenIds.from_lists(codes, vocabulary), model))
    assert ours == theirs


def test_a_step_with_a_vocabulary_of_its_own_and_whole_words(qwen: Path) -> None:
    codes = Vocabulary.private(f"t{token}" for token in range(14))
    ids = TokenIds.from_lists([[3 + item // 10, 5 + item % 10] for item in range(ITEMS)], codes)

    def ready(model: Causal) -> Causal:
        fresh = model.with_vocabulary(codes.size)
        fresh.grow_whole_words(8)
        return fresh

    ours, theirs = of_step(recommender_for(ids, adapted(qwen, "o_proj", ready)))
    assert ours == theirs


def test_a_step_with_whole_words_over_frozen_words(qwen: Path) -> None:
    """What is read learns and what is decoded does not."""

    def ready(model: Causal) -> Causal:
        model.grow_whole_words(8)
        return model

    ours, theirs = of_step(recommender_for(named(qwen), adapted(qwen, "up_proj", ready)))
    assert ours == theirs


@pytest.mark.parametrize("whole", [False, True])
def test_a_step_on_vectors(qwen: Path, whole: bool) -> None:
    """Sets of vectors and codes in slots go in as they learn."""
    random, known = np.random.default_rng(0), np.ones(ITEMS, bool)
    language = backbone.language_of(str(qwen))
    assert language
    feature = Feature("text", random.standard_normal((ITEMS, 9), np.float32), known, 2, (11,), 0.0)
    codes = np.stack([np.arange(ITEMS) % 4, np.arange(ITEMS) // 4], 1).astype(np.int32)
    for ids in (VectorIds((feature,), language, Template()), SlotIds(codes, (4, 6), language, Template())):
        model = backbone.load(qwen, 0.0) if whole else adapted(qwen, "q_proj,v_proj")
        ours, theirs = of_step(recommender_for(ids, model))  # type: ignore[arg-type]
        assert ours == theirs, type(ids)


def test_a_whole_model_computes_both_gradients_of_every_product(qwen: Path) -> None:
    model = backbone.load(qwen, 0.0)
    assert model.training_flops(4, 9, 3, 12) == 3 * model.flops(4, 9, 3, 12)
    model.embedding = nn.Embedding.from_pretrained(model.embedding.weight)  # frozen, and tied to the output layer
    assert model.training_flops(4, 9, 3, 12) < 3 * model.flops(4, 9, 3, 12)
