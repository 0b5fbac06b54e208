"""Operations counted from shapes against PyTorch's own count of the operators that a step really called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import linear
from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, Template, TokenIds, VectorIds
from bench.model import vector_set
from bench.model.recommender import Recommender, recommender_for
from bench.vocabulary import Vocabulary

ITEMS = 24
HISTORIES = Sequences.from_rows([[3], [1, 4, 1], [5, 9, 2, 6, 5], [3, 5]])
TARGETS = np.array([8, 9, 7, 9])
SHAPE = {"d_model": 16, "d_kv": 6, "d_ff": 20, "heads": 3, "layers": 2, "decoder_layers": 3}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count knows nothing of oneDNN's private operator, nor of fused attention on a CPU."""
    monkeypatch.setattr(linear, "ONEDNN", None)


def counted(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def counts(recommender: Recommender) -> tuple[int | None, int, int, int]:
    """Ours: operations, tokens read, tokens written; and PyTorch's operations."""
    recommender.train()
    rows = np.zeros(len(TARGETS), np.int64)
    work = recommender.work(HISTORIES, TARGETS, recommender.input_lengths(HISTORIES), rows)
    batch = recommender.collate(HISTORIES, TARGETS)
    return work.flops, work.tokens_read, work.tokens_written, counted(lambda: recommender(batch).backward())


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"gated": True, "activation": "gelu_new"}])
def test_a_forward_pass_of_a_t5(changes: dict[str, object]) -> None:
    """With gradients asked for, for only then is attention written out in operators that are counted."""
    model = T5(T5Config(50, **SHAPE, **changes))  # type: ignore[arg-type]
    tokens, written = torch.randint(50, (4, 7)), torch.randint(50, (4, 5))
    assert model.flops(4, 7, 5, 4 * 5) == counted(lambda: model(tokens, None, written))


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
def test_a_step_on_token_sequences(objective: str) -> None:
    vocabulary = Vocabulary.private(f"t{token}" for token in range(14))
    codes = [[3 + item // 10, 5 + item % 10] if item % 3 else [3 + item // 10] for item in range(ITEMS)]
    ids = TokenIds.from_lists(codes, vocabulary)
    model = recommender_for(ids, T5(T5Config(vocabulary.size, **SHAPE)), objective=objective)  # type: ignore[arg-type]
    flops, read, written, expected = counts(model)
    assert flops == expected
    assert read == model.input_lengths(HISTORIES).sum()
    assert written == sum(len(ids.code(item)) + ids.appends_eos for item in TARGETS)


@pytest.mark.parametrize(("negatives", "at_once"), [(0, 1 << 15), (5, 1 << 15), (0, 7)])
@pytest.mark.parametrize("reconstruction", [0.0, 0.5])
def test_a_step_on_sets_of_vectors(
    negatives: int, at_once: int, reconstruction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks, logits are computed twice, of which once is counted."""
    monkeypatch.setattr(vector_set, "AT_ONCE", at_once)
    random = np.random.default_rng(0)
    known = np.ones(ITEMS, bool)
    features = [
        Feature("cf", random.standard_normal((ITEMS, 5), np.float32), known, 1, (), 0.0),
        Feature("text", random.standard_normal((ITEMS, 9), np.float32), known, 2, (11,), reconstruction),
    ]
    vocabulary = Vocabulary.private("ab")
    ids = VectorIds(tuple(features), vocabulary, Template("a"), negatives=negatives)
    model = recommender_for(ids, T5(T5Config(vocabulary.size, **SHAPE)))  # type: ignore[arg-type]
    flops, read, written, expected = counts(model)
    if at_once < ITEMS:
        assert flops is not None
        assert 0.75 * expected < flops < expected
    else:
        assert flops == expected
    assert read == model.input_lengths(HISTORIES).sum()
    assert written == len(TARGETS) * 3
