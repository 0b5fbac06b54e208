"""Eleven sentences: different, safe around any identifier, and only for vocabularies that can write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.prompts import SEEN, SENTENCE, UNSEEN, prompt_set
from bench.vocabulary import Vocabulary

OWN = Template("own", ";", "end")


def test_ten_are_seen_and_one_is_not(t5_tokenizer: Path) -> None:
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    ids = TokenIds.from_lists([[100]], vocabulary, OWN)
    own, sampled, unseen = (prompt_set(ids, name) for name in ("scheme", "sampled", "unseen"))
    assert (own.templates, own.trained) == ((OWN,), (0,))
    assert (len(set(SEEN)), UNSEEN in SEEN) == (10, False)
    assert sampled.templates == SEEN
    assert [sampled.templates[number] for number in sampled.trained] == list(SEEN)
    assert unseen.templates[0] == UNSEEN
    assert [unseen.templates[number] for number in unseen.trained] == list(SEEN)


def test_no_sentence_can_be_taken_for_an_item_or_a_separator(t5_tokenizer: Path) -> None:
    """A colon before the first item, a stop after the last; written without the unknown token."""
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    for template in (*SEEN, UNSEEN):
        assert template.before.endswith(":")
        assert template.after.startswith(". ")
        assert template.after.endswith((":", "?"))
        assert ";" not in template.before + template.after
        assert vocabulary.unk not in vocabulary.encode(template.before) + vocabulary.encode(template.after)
    assert vocabulary.unk not in vocabulary.encode(" ".join(vars(SENTENCE).values()))


@pytest.mark.parametrize("prompts", ["sampled", "unseen"])
def test_a_vocabulary_without_words_is_refused(prompts: str) -> None:
    ids = TokenIds.from_lists([[3]], Vocabulary.private("0123456789"))
    assert prompt_set(ids, "scheme").templates == (ids.template,)
    with pytest.raises(BenchError, match=f"prompts={prompts} needs identifiers in a language model's words, but these"):
        prompt_set(ids, prompts)
