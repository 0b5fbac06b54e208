"""Evaluation ranks the whole catalogue, whatever the loss was over: never the target among a few sampled items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.ids.identifiers import Feature, Ids, SlotIds, Template, TokenIds, VectorIds
from bench.model import vector_set
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.training.ranking import evaluate
from bench.vocabulary import Vocabulary

ITEMS, USERS = 300, 40
MARKS = Template("<history>", after="<next>")
SHAPE = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}


def sets(negatives: int) -> VectorIds:
    random = np.random.default_rng(0)
    vectors, known = random.standard_normal((ITEMS, 8)).astype(np.float32), np.ones(ITEMS, bool)
    vocabulary = Vocabulary.private([MARKS.before, MARKS.after])
    return VectorIds((Feature("own", vectors, known, 2),), vocabulary, MARKS, negatives=negatives)


def slots() -> SlotIds:
    codes = np.stack([np.arange(ITEMS) // 20, np.arange(ITEMS) % 20], axis=1).astype(np.int32)
    return SlotIds(codes, (15, 20), Vocabulary.private([MARKS.before, MARKS.after]), MARKS)


def codes() -> TokenIds:
    vocabulary = Vocabulary.private([*(f"a{code}" for code in range(15)), *(f"b{code}" for code in range(20))])
    named = [vocabulary.ids([f"a{item // 20}", f"b{item % 20}"]) for item in range(ITEMS)]
    return TokenIds.from_lists(named, vocabulary)


def untrained(ids: Ids) -> Recommender:
    torch.manual_seed(0)
    return recommender_for(ids, T5(T5Config(ids.vocabulary.size, **SHAPE))).eval()


@pytest.fixture(scope="module")
def targets() -> Targets:
    random = np.random.default_rng(1)
    histories = Sequences.from_rows(random.integers(0, ITEMS, (USERS, 4)))
    return Targets(np.arange(USERS), histories, random.integers(0, ITEMS, USERS).astype(np.int32))


@pytest.mark.parametrize(
    ("ids", "decoder"),
    [(sets(0), "beam"), (sets(5), "beam"), (slots(), "beam"), (codes(), "exact")],
    ids=["sets", "sets with negatives", "slots", "codes"],
)
def test_the_rank_is_that_among_all_items(
    ids: Ids, decoder: str, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_set, "AT_ONCE", 70)  # several stretches of the catalogue
    model = untrained(ids)
    found, _ = evaluate(model, targets, Decoding(decoder), 20, Accelerator(cpu=True))
    whole = model.rank(targets.histories, ITEMS, Decoding(decoder))
    for user, item in enumerate(targets.items.tolist()):
        scores = np.empty(ITEMS)
        scores[whole.items[user]] = whole.scores[user]
        rank = int((scores >= scores[item]).sum())
        told = found.strict[user]
        assert told == rank if rank <= 20 or decoder == "exact" else told > 20
    assert (found.strict > 20).mean() > 0.7  # among a handful of sampled items, nearly all would be in the first 20


def test_what_is_drawn_for_the_loss_draws_nothing_in_evaluation(targets: Targets) -> None:
    model = untrained(sets(5))
    ranked = []
    for seed in range(2):
        torch.manual_seed(seed)
        ranked.append(evaluate(model, targets, Decoding(), 20, Accelerator(cpu=True))[0].strict)
    assert np.array_equal(*ranked)
