"""Token spaces: closed lists, subwords of a catalogue, and a real language model's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.vocabulary import Vocabulary

TEXTS = ["lego city police car", "lego city fire car", "barbie doll house", "barbie car", "0123456789"] * 3


def test_a_private_vocabulary_numbers_its_tokens_from_three() -> None:
    vocabulary = Vocabulary.private(["<a>", "<b>", ";"])
    assert (vocabulary.size, vocabulary.pad, vocabulary.eos, vocabulary.unk) == (6, 0, 1, 2)
    assert vocabulary.ids(["<b>", "<a>"]) == [4, 3]
    assert vocabulary.encode("<a> ; <c>") == [3, 5, vocabulary.unk]
    assert vocabulary.encode("") == []


def test_a_token_that_is_not_there_is_named() -> None:
    with pytest.raises(BenchError, match=r"tokens \['c'\] are not in this vocabulary of 5 rows"):
        Vocabulary.private("ab").ids(["a", "c"])


@given(st.lists(st.text("legocitypbarhus", min_size=1, max_size=8), min_size=1, max_size=6))
def test_trained_subwords_lose_nothing(words: list[str]) -> None:
    vocabulary = Vocabulary.trained(TEXTS, 60)
    text = " ".join(words)
    assert vocabulary.unk not in vocabulary.encode(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_trained_subwords_are_whole_words_where_rows_allow() -> None:
    assert len(Vocabulary.trained(TEXTS, 200).encode("lego city police")) == 3
    assert len(Vocabulary.trained(TEXTS, 40).encode("lego city police")) > 3


def test_a_trained_vocabulary_keeps_to_its_rows() -> None:
    assert Vocabulary.trained(TEXTS, 40, reserved=[";"]).size == 40
    with pytest.raises(BenchError, match="of 20 rows is too small: the characters alone need 31"):
        Vocabulary.trained(["abcdefghijklmnopqrstuvwxyz"], 20, reserved=[";"])


def test_a_reserved_token_never_joins_its_neighbors() -> None:
    vocabulary = Vocabulary.trained([*TEXTS, "car; car; car; doll;"], 60, reserved=[";"])
    (separator,) = vocabulary.encode(";")
    assert vocabulary.encode("car;doll") == [*vocabulary.encode("car"), separator, *vocabulary.encode("doll")]
    assert separator not in vocabulary.encode("lego city police car")


def test_batches_equal_single_texts() -> None:
    vocabulary = Vocabulary.trained(TEXTS, 60)
    assert vocabulary.encode_batch(TEXTS) == [vocabulary.encode(text) for text in TEXTS]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_training_is_the_same_in_another_process(threads: str) -> None:
    script = f"from bench.vocabulary import Vocabulary; print(Vocabulary.trained({TEXTS!r}, 50).fingerprint)"
    paths = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": paths, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
    found = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == Vocabulary.trained(TEXTS, 50).fingerprint


def test_fingerprints_tell_vocabularies_apart() -> None:
    prints = {Vocabulary.private("ab").fingerprint, Vocabulary.private("abc").fingerprint}
    assert len(prints | {Vocabulary.trained(TEXTS, 50).fingerprint, Vocabulary.trained(TEXTS, 51).fingerprint}) == 4
    assert Vocabulary.private("ab").fingerprint in prints


def test_t5_is_read_with_its_special_rows(t5_tokenizer: Path) -> None:
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    assert (vocabulary.size, vocabulary.pad, vocabulary.eos, vocabulary.unk) == (32128, 0, 1, 2)
    assert vocabulary.language_model
    assert vocabulary.eos not in vocabulary.encode("lego city")
    assert vocabulary.decode(vocabulary.encode("lego city")) == "lego city"
    assert vocabulary.unk in vocabulary.encode("日本")


def test_a_folder_without_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"^no tokenizer in .*; copy tokenizer\.json or spiece\.model there") as caught:
        Vocabulary.of_language_model(tmp_path, size=10)
    assert "\n" not in str(caught.value)


def test_a_word_of_an_identifier_is_the_same_tokens_wherever_it_stands(qwen: Path) -> None:
    """In bytes, a word behind a space is another token than at the beginning of a text: Ġstar, star."""
    vocabulary = Vocabulary.of_language_model(qwen, size=700, starts_with_pad=False)
    assert vocabulary.marks_words_by_space
    for one, two in (("lego", "star"), ("a", "b"), ("12", "907")):
        written = [vocabulary.encode(vocabulary.as_name(text)) for text in (f"{one} {two}", f"{two} {one}")]
        assert sorted(written[0]) == sorted(written[1])
        assert [vocabulary.decode(tokens) for tokens in written] == [f"{one} {two}", f"{two} {one}"]
        assert vocabulary.encode(f"{one} {two}") != written[0]
        between = vocabulary.encode(";" + vocabulary.as_name(one))  # as histories are written
        assert between == [*vocabulary.encode(";"), *vocabulary.encode(vocabulary.as_name(one))]
    assert vocabulary.as_name("") == ""


def test_vocabularies_that_mark_every_word_write_identifiers_as_they_are(t5_tokenizer: Path) -> None:
    for vocabulary in (
        Vocabulary.of_language_model(t5_tokenizer, size=32128),
        Vocabulary.private("ab"),
        Vocabulary.trained(TEXTS, size=90),
    ):
        assert not vocabulary.marks_words_by_space
        assert vocabulary.as_name("lego star") == "lego star"
        assert vocabulary.decode(vocabulary.encode("a b")) in ("a b", "ab")


def test_a_vocabulary_of_bytes_that_puts_a_space_before_every_text_is_left_alone(qwen: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(qwen / "tokenizer.json"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert not Vocabulary(tokenizer, 700, 0, 0, None, language_model=True).marks_words_by_space
    table = {"\u2581": 0, "a": 1, "b": 2, "\u2581a": 3, "\u2581b": 4}
    legacy = tokenizers.Tokenizer(tokenizers.models.BPE(table, [("\u2581", "a"), ("\u2581", "b")]))
    legacy.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("\u2581"), tokenizers.normalizers.Replace(" ", "\u2581")]
    )  # Llama 2's
    assert legacy.encode("a b").ids == [3, 4]
    letters = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, " ": 2, "?": 3}, unk_token="?"))
    letters.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    assert letters.encode("a b").ids == [0, 2, 1]
    assert not Vocabulary(letters, 4, 0, 0, None, language_model=True).marks_words_by_space
    assert not Vocabulary(legacy, 5, 0, 0, None, language_model=True).marks_words_by_space


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused(qwen: Path) -> None:
    """It ended in a traceback when a text was read."""
    most = max(Vocabulary.of_language_model(qwen, 700, starts_with_pad=False).tokenizer.get_vocab().values())
    Vocabulary.of_language_model(qwen, most + 1, starts_with_pad=False)
    with pytest.raises(BenchError, match=rf"writes token {most}, and the model has {most} rows of embeddings; these"):
        Vocabulary.of_language_model(qwen, most, starts_with_pad=False)
