"""Number tokens drawn anew: those and no others, in every table, the same for a seed."""

from __future__ import annotations

from collections.abc import Callable
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


def test_number_tokens_are_what_numbers_are_written_with(vocabulary: Vocabulary) -> None:
    tokens = number_tokens(vocabulary)
    for number in (0, 7, 10, 1001, 9999, 12_345, 29_999):
        assert set(vocabulary.encode(str(number))) <= set(tokens)
    texts = {vocabulary.tokenizer.id_to_token(token).lstrip("▁") for token in tokens}
    assert all(text == "" or text.isdecimal() for text in texts)
    assert {"", *"0123456789"} <= texts
    assert tokens == sorted(set(tokens))
    assert vocabulary.eos not in tokens


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
    with pytest.raises(BenchError, match="reinitialise=numbers needs identifiers in a language model's words"):
        redraw_numbers(t5(), Vocabulary.private("0123456789"), 0)
