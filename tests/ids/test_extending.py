"""Codes as new tokens of a language model: behind its words, each its own, and written back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import backbone
from bench.errors import BenchError
from bench.ids.extending import extended
from bench.ids.identifiers import SlotIds, Template, TokenIds
from bench.ids.prompts import NEUTRAL, neutral
from bench.ids.storage import load, save
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary

CODES = Vocabulary.private(["a0", "a1", "b0", "b1", "b2"])


@pytest.fixture(scope="module")
def language(qwen: Path) -> Vocabulary:
    found = backbone.language_of(str(qwen))
    assert found is not None
    return found


def code_ids() -> TokenIds:
    return TokenIds.from_lists([CODES.ids(code) for code in (["a0", "b0"], ["a1", "b2"], ["a1"])], CODES, Template())


def test_bytes_write_every_text_and_one_token_may_pad_and_end(language: Vocabulary) -> None:
    assert language.unk is None
    assert language.pad == language.eos
    assert language.start not in (language.pad, language.eos)
    assert language.tokenizer.id_to_token(language.start) == "<|im_start|>"
    for text in ("red car", "Ünïcode ☃ 漢字", "12.5 % \\ <b>"):
        assert language.decode(language.encode(text)) == text


def test_a_tokenizer_that_pads_to_start_does_so(qwen: Path) -> None:
    found = Vocabulary.of_language_model(qwen, 700, starts_with_pad=True)
    assert found.start == found.pad
    assert found.fingerprint != Vocabulary.of_language_model(qwen, 700, starts_with_pad=False).fingerprint


def test_codes_are_rows_behind_the_words(language: Vocabulary) -> None:
    before, ids = code_ids(), extended(code_ids(), language)
    assert isinstance(ids, TokenIds)
    words = language.tokenizer.get_vocab_size()
    assert ids.vocabulary.size == language.size  # the table has rows that no word needs
    assert ids.code(0) == (words, words + 2)
    assert [ids.vocabulary.decode(ids.code(item)) for item in range(3)] == ["<|a0|><|b0|>", "<|a1|><|b2|>", "<|a1|>"]
    for item in range(3):
        assert ids.vocabulary.encode(ids.vocabulary.decode(ids.code(item))) == list(ids.code(item))
    assert np.array_equal(ids.lengths, before.lengths)
    assert np.array_equal(ids.groups, before.groups)
    assert ids.tokens[0, 2, 1] == language.pad
    assert ids.vocabulary.encode("red car; a0 b1") == language.encode("red car; a0 b1")
    assert neutral(before) == Template()
    assert neutral(ids) == replace(NEUTRAL, separator="")


def test_more_codes_than_spare_rows_make_a_larger_table(language: Vocabulary) -> None:
    vocabulary, rows = language.extended([f"c{number}" for number in range(1000)])
    assert rows == list(range(rows[0], rows[0] + 1000))
    assert vocabulary.size == rows[-1] + 1 > language.size
    with pytest.raises(BenchError, match=r"has a token '<\|c3\|>' already; it cannot be added"):
        vocabulary.extended(["d", "c3"])


def test_users_move_along_and_other_kinds_stay(language: Vocabulary) -> None:
    users = UserIds(np.array([CODES.ids(["b1"])], np.int32), np.ones(1, np.int32))
    ids = extended(replace(code_ids(), users=users), language)
    assert isinstance(ids, TokenIds)
    assert ids.users is not None
    assert ids.vocabulary.decode(ids.users.code(0)) == "<|b1|>"
    slots = SlotIds(np.zeros((2, 1), np.int32), (1,), Vocabulary.private(["x"]), Template("x"))
    words = TokenIds.from_lists([language.encode("red")], language)
    assert extended(slots, language) is slots
    assert extended(words, language) is words


def test_they_are_stored_with_their_vocabulary(language: Vocabulary, tmp_path: Path) -> None:
    ids = extended(code_ids(), language)
    save(ids, tmp_path / "ids.safetensors", {})
    again, _ = load(tmp_path / "ids.safetensors")
    assert again.vocabulary.fingerprint == ids.vocabulary.fingerprint
    assert again.vocabulary.start == language.start
    assert again.vocabulary.unk is None
