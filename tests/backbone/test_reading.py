"""Texts as the mean of a backbone's hidden states, against Transformers on one text at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from bench import backbone
from bench.backbone import reading
from bench.backbone.causal import Qwen2
from bench.backbone.causal_layers import CausalConfig
from bench.backbone.reading import mean_states
from bench.backbone.t5 import T5
from bench.data.dataset import silent
from bench.vocabulary import Vocabulary

TEXTS = ["red car", "a much longer text of many tokens, with a number: 12345", "", "blue robot"]


@pytest.mark.parametrize("at_once", [1, 40, 1 << 13])
def test_texts_are_read_as_each_alone(qwen: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", at_once)
    vocabulary = backbone.language_of(str(qwen))
    assert vocabulary is not None
    told: list[int] = []
    found = mean_states(backbone.load(qwen).eval(), vocabulary, TEXTS, lambda done, *_: told.append(done))
    tokenizer, theirs = AutoTokenizer.from_pretrained(qwen), AutoModel.from_pretrained(qwen).eval()
    for row, text in zip(found, TEXTS, strict=True):
        tokens = tokenizer(text or "<|endoftext|>", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            np.testing.assert_allclose(row, theirs(tokens).last_hidden_state[0].mean(0), atol=1e-4)
    assert told[-1] == len(TEXTS)


def test_only_so_many_tokens_are_read(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST", 3)
    vocabulary, model = backbone.language_of(str(qwen)), backbone.load(qwen).eval()
    assert vocabulary is not None
    cut = vocabulary.decode(vocabulary.encode(TEXTS[1])[:3])
    found = mean_states(model, vocabulary, [TEXTS[1], cut], silent)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_an_encoder_reads_with_its_encoder(t5: Callable[..., Any]) -> None:
    model = t5()
    vocabulary = Vocabulary.private("abcdef")
    found = mean_states(model, vocabulary, ["a b c", "d"], silent)
    with torch.no_grad():
        expected = model.encode(torch.tensor([vocabulary.encode("a b c")]))[0].mean(0)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("kind", [T5, Qwen2])
def test_a_model_with_whole_words_reads_a_text_as_what_is_no_item(kind: type[Any], t5: Callable[..., Any]) -> None:
    torch.manual_seed(2)
    sizes = {"d_model": 16, "d_ff": 24, "layers": 2, "heads": 4, "kv_heads": 2, "d_kv": 4}
    model = t5(whole_words=5) if kind is T5 else Qwen2(CausalConfig(vocabulary=40, whole_words=5, **sizes))
    assert model.whole_words is not None
    torch.nn.init.normal_(model.whole_words.weight)
    tokens, mask = torch.tensor([[3, 4, 5], [6, 0, 0]]), torch.tensor([[True] * 3, [True, False, False]])
    with torch.no_grad():
        found = model.eval().hidden_states(tokens, mask)
        embedded, model.whole_words = model.embed(tokens) + model.whole_words.weight[0], None
        torch.testing.assert_close(found, model.hidden_states(embedded, mask))
        assert not torch.allclose(found, model.hidden_states(tokens, mask))
