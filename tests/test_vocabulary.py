"""Token spaces: closed lists, subwords of a catalogue, and a real language model's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
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
