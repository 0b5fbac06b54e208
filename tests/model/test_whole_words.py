"""Whole-word embeddings: nothing until they are learned, then the same in training and in ranking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.ids.identifiers import Template, TokenIds
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]

VOCABULARY = Vocabulary.private([*"abcdefgh", ";", "?"])
ONE = [[3], [3, 4], [5, 6, 7, 8], [5, 6], [9, 3, 3], [4], [10, 10], [6, 5, 4]]
CODES = np.array([[code + [0] * (4 - len(code)) for code in codes] for codes in (ONE, ONE[::-1])], np.int32)
IDS = TokenIds(CODES, np.array([[len(code) for code in codes] for codes in (ONE, ONE[::-1])], np.int32), VOCABULARY)
HISTORIES = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [6], [2, 2], [7, 0, 3]])
TARGETS, VARIANTS = np.array([6, 2, 0, 5], np.int32), np.array([0, 1, 1, 0])


def make(t5: MakeT5, words: int = 7, learned: bool = True, **changes: Any) -> Recommender:
    model = t5(vocabulary=VOCABULARY.size, whole_words=words, **changes)
    if learned and model.whole_words is not None:
        torch.manual_seed(9)
        nn.init.normal_(model.whole_words.weight)
    ids = TokenIds(IDS.tokens, IDS.lengths, VOCABULARY, Template("h", ";", "?"))
    return recommender_for(ids, model).eval()


def loss(model: Recommender, rows: slice = slice(None)) -> Tensor:
    chosen = np.arange(len(TARGETS))[rows]
    return model(model.collate(HISTORIES.rows(chosen), TARGETS[chosen], VARIANTS[chosen]))


def test_a_table_at_zero_is_the_plain_model_and_learns(t5: MakeT5) -> None:
    plain, words = make(t5, words=0), make(t5, learned=False)
    assert torch.equal(loss(plain), loss(words))
    assert plain.backbone.state_dict().keys() == words.backbone.state_dict().keys() - {"whole_words.weight"}
    table = words.backbone.whole_words
    assert table is not None
    assert not table.weight.any()
    loss(words).backward()
    assert table.weight.grad is not None
    assert table.weight.grad.abs().sum(1).gt(0).tolist() == [True] * 7  # six items and what is no item
    assert not torch.equal(loss(plain), loss(make(t5)))


def test_encoding_adds_a_row_to_every_token(t5: MakeT5) -> None:
    model = make(t5).backbone
    table = model.whole_words
    assert table is not None
    tokens, words = torch.tensor([[3, 4, 5, 1]]), torch.tensor([[1, 1, 2, 0]])
    expected = torch.stack(
        [model.embedding.weight[t] + table.weight[w] for t, w in zip(tokens[0], words[0], strict=True)]
    )
    plain = t5(vocabulary=VOCABULARY.size)
    torch.testing.assert_close(model.encode(tokens, item_position_ids=words), plain.encode(expected[None]))


def test_forgotten_or_superfluous_words_are_refused(t5: MakeT5) -> None:
    tokens = torch.tensor([[3, 4, 1]])
    with pytest.raises(TypeError, match="whole-word embeddings"):
        make(t5).backbone.encode(tokens)
    with pytest.raises(TypeError, match="whole-word embeddings"):
        make(t5, words=0).backbone.encode(tokens, item_position_ids=torch.zeros_like(tokens))


def test_an_example_is_the_same_alone_and_beside_longer_ones(t5: MakeT5) -> None:
    model = make(t5)
    single = [loss(model, slice(row, row + 1)) for row in range(len(TARGETS))]
    torch.testing.assert_close(loss(model), torch.stack(single).sum(), atol=1e-5, rtol=1e-5)


def test_ranking_reads_the_words_that_training_wrote(t5: MakeT5) -> None:
    """P5 gave them in training and forgot them when it was tested: scores here are those of the training loss."""
    model = make(t5)
    found = model.rank(HISTORIES, 8, Decoding("exact"))
    for row in range(len(HISTORIES)):
        for position in range(8):
            item = found.items[row, position]
            batch = model.collate(HISTORIES.rows(np.array([row])), np.array([item], np.int32))
            assert float(found.scores[row, position]) == pytest.approx(-float(model(batch).detach()), abs=1e-4)
    beam = model.rank(HISTORIES, 8, Decoding("beam", 20))
    assert beam.items.tolist() == found.items.tolist()
    np.testing.assert_allclose(beam.scores, found.scores, atol=1e-4)
    assert found.scores.tolist() != make(t5, words=0).rank(HISTORIES, 8, Decoding("exact")).scores.tolist()


def test_behind_the_last_row_numbers_begin_again(t5: MakeT5) -> None:
    """A segment of training holds more items than a history: no number is left that ranking never reads."""
    short, long = make(t5, words=3), make(t5, words=7)
    assert short.backbone.whole_words is not None
    assert long.backbone.whole_words is not None
    with torch.no_grad():
        long.backbone.whole_words.weight.copy_(short.backbone.whole_words.weight[[0, 1, 2, 1, 2, 1, 2]])
    assert torch.equal(loss(short), loss(long))


def test_a_table_grows_and_keeps_what_it_has(t5: MakeT5) -> None:
    model = make(t5).backbone
    assert model.whole_words is not None
    before = model.whole_words.weight.detach().clone()
    model.grow_whole_words(5)
    assert torch.equal(model.whole_words.weight, before)
    model.grow_whole_words(9)
    assert model.config.whole_words == 9
    assert torch.equal(model.whole_words.weight[:7], before)
    assert not model.whole_words.weight[7:].any()
    assert T5(model.config).load_state_dict(model.state_dict())
