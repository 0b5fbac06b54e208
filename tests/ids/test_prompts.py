"""The text around a history: neutral, a scheme's own, and the drawn ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.ids.identifiers import Feature, Ids, Template, TokenIds, VectorIds
from bench.ids.prompts import NEUTRAL, SEEN, SEPARATOR, UNSEEN, prompt_set
from bench.vocabulary import Vocabulary

OWN = Template("Numbers:", ",", ". Next number:")


def tokens(vocabulary: Vocabulary, template: Template) -> TokenIds:
    return TokenIds.from_lists([[7], [8]], vocabulary, template)


def vectors(vocabulary: Vocabulary, template: Template) -> VectorIds:
    feature = Feature("text", np.ones((2, 3), np.float32), np.ones(2, bool))
    return VectorIds((feature,), vocabulary, template)


@pytest.fixture
def language(t5_tokenizer) -> Vocabulary:  # type: ignore[no-untyped-def]
    return Vocabulary.of_language_model(t5_tokenizer, 32128)


def test_schemes_of_a_language_model_stand_in_one_sentence_whatever_their_own_wording(language: Vocabulary) -> None:
    everybody: list[Ids] = [
        tokens(language, OWN),
        tokens(language, Template(separator=",")),
        vectors(language, Template("Somebody took:", after=". Then:")),
    ]
    written = [prompt_set(ids, "neutral") for ids in everybody]
    assert {(found.templates[0].before, found.templates[0].after) for found in written} == {
        (NEUTRAL.before, NEUTRAL.after)
    }
    assert [found.templates[0].separator for found in written] == [",", ",", ""]
    assert {found.trained for found in written} == {(0,)}


def test_a_private_vocabulary_has_no_words() -> None:
    private = Vocabulary.private(["a", "b", "c", "d", "e", "f", ",", "<history>", "<next>"])
    bare, marked = Template(separator=","), Template("<history>", after="<next>")
    for ids in (tokens(private, bare), vectors(private, marked)):
        assert prompt_set(ids, "neutral").templates == (ids.template,)
    assert prompt_set(tokens(private, Template("a", ",", "b")), "neutral").templates == (bare,)


def test_the_own_the_ten_and_the_eleventh(language: Vocabulary) -> None:
    ids = tokens(language, OWN)
    own, sampled, unseen = (prompt_set(ids, name) for name in ("scheme", "sampled", "unseen"))
    assert (own.templates, own.trained) == ((OWN,), (0,))
    assert sampled.templates == SEEN
    assert [sampled.templates[number] for number in sampled.trained] == list(SEEN)
    assert unseen.templates[0] == UNSEEN
    assert [unseen.templates[number] for number in unseen.trained] == list(SEEN)


def test_every_sentence_can_be_written_and_told_from_identifiers(language: Vocabulary) -> None:
    assert len({template.before for template in (*SEEN, UNSEEN, NEUTRAL)}) == 12
    for template in (*SEEN, UNSEEN, replace(NEUTRAL, separator="")):
        assert template.before.endswith(":")
        assert template.after.startswith(". ")
        assert template.after.endswith((":", "?"))
        assert SEPARATOR not in template.before + template.after
        assert language.unk not in language.encode(template.before) + language.encode(template.after)


@pytest.mark.parametrize("template", ["sampled", "unseen"])
def test_a_vocabulary_without_words_is_refused(template: str) -> None:
    ids = tokens(Vocabulary.private("0123456789,"), Template(separator=","))
    with pytest.raises(BenchError, match=f"template={template} needs identifiers in a language model's words, but"):
        prompt_set(ids, template)
