"""Number tokens drawn anew: those and no others, in every table, the same for a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.backbone.numbers import number_tokens, redraw_numbers
from bench.backbone.t5 import T5
from bench.errors import BenchError
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]


@pytest.fixture(scope="module")
def vocabulary(t5_tokenizer: Path) -> Vocabulary:
    return Vocabulary.of_language_model(t5_tokenizer, size=32128)


@pytest.fixture(scope="module")
def small() -> Vocabulary:
    """Subwords with a word mark of its own and without a 5, told to be a language model's."""
    texts = ["red car", "car 1 of 2", "12 34 67 89 0", "1 2 3 4 6 7 8 9 0"]
    return replace(Vocabulary.trained(texts, 22), language_model=True)


def test_number_tokens_are_what_numbers_are_written_with(vocabulary: Vocabulary) -> None:
    tokens = number_tokens(vocabulary)
    for number in (0, 7, 10, 1001, 9999, 12_345, 29_999):
        assert set(vocabulary.encode(str(number))) - {3} <= set(tokens)
    texts = {vocabulary.tokenizer.id_to_token(token).lstrip("▁") for token in tokens}
    assert all(text.isdecimal() for text in texts)
    assert set("0123456789") <= texts
    assert tokens == sorted(set(tokens))
    assert vocabulary.eos not in tokens


def test_there_are_as_many_as_openp5_draws(vocabulary: Vocabulary) -> None:
    """It takes the bare word mark, number 3, out of the set, for most words of a title stand behind one."""
    tokens = number_tokens(vocabulary)
    assert len(tokens) == 517
    assert vocabulary.tokenizer.id_to_token(3) == "▁"
    assert 3 not in tokens


def test_a_word_mark_alone_keeps_its_embedding(t5: MakeT5, small: Vocabulary) -> None:
    """And so does the unknown token, where a vocabulary lacks a digit."""
    code = [small.tokenizer.id_to_token(token) for token in small.encode("3719")]
    assert code[0] == "▁"
    assert small.unk in small.encode("5")
    model = t5(vocabulary=small.size)
    before = model.embedding.weight.detach().clone()
    redraw_numbers(model, small, 0)
    changed = (model.embedding.weight != before).any(1).nonzero()[:, 0].tolist()
    names = sorted(small.tokenizer.id_to_token(token).lstrip("▁") for token in changed)
    assert set("123467890") <= set(names)
    assert all(name.isdecimal() for name in names)


@pytest.mark.parametrize("tied", [True, False])
def test_their_rows_and_no_others_are_drawn_from_a_standard_normal(
    t5: MakeT5, vocabulary: Vocabulary, tied: bool
) -> None:
    def redrawn(seed: int) -> dict[str, torch.Tensor]:
        model = t5(vocabulary=32128, tied=tied)
        with torch.no_grad():
            for layer in (model.embedding, model.head):
                if layer is not None:
                    layer.weight.fill_(9.0)
        redraw_numbers(model, vocabulary, seed)
        return dict(model.state_dict())

    found, again, other, plain = redrawn(3), redrawn(3), redrawn(4), t5(vocabulary=32128, tied=tied).state_dict()
    tokens = number_tokens(vocabulary)
    tables = ["embedding.weight"] if tied else ["embedding.weight", "head.weight"]
    for name in tables:
        rows = found[name][tokens]
        assert abs(float(rows.mean())) < 0.05
        assert float(rows.std()) == pytest.approx(1, abs=0.05)
        kept = torch.ones(32128, dtype=torch.bool)
        kept[tokens] = False
        assert (found[name][kept] == 9).all()
        assert torch.equal(found[name], again[name])
        assert not torch.equal(rows, other[name][tokens])
    assert all(torch.equal(found[name], plain[name]) for name in plain if name not in tables)
    if not tied:
        assert not torch.equal(found["embedding.weight"], found["head.weight"])


def test_a_vocabulary_of_its_own_is_refused(t5: MakeT5) -> None:
    with pytest.raises(BenchError, match="reinitialize=numbers needs identifiers in a language model's words"):
        redraw_numbers(t5(), Vocabulary.private("0123456789"), 0)
