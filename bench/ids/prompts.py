"""Sentences that histories are written in, where identifiers are words of a language model: one, or ten and another.

P5 (Geng et al., 2022) and OpenP5 (Xu et al., 2024) write every training example in a template drawn from ten and keep
an eleventh for zero-shot prompting. The sentences here are our own. They suit identifiers of any wording: each stops
with a colon before the first item, and a full stop or a question mark ends the last. Between items stands the scheme's
own separator, which none of its identifiers contains.

``SENTENCE`` is the one in which identifiers that are words stand unless the contract says otherwise, whoever made them:
then they differ in the words alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.ids.identifiers import Ids, Template

Prompts = NDArray[np.int64] | int  # which of several templates is meant: by example, or for all

SEEN = (
    Template("Chosen so far:", after=". Chosen next:"),
    Template("Earlier:", after=". Later:"),
    Template("A list that grows by one:", after=". Its new last entry:"),
    Template("Somebody's picks in the order they were made:", after=". One pick more:"),
    Template("This line is to be continued:", after=". It goes on with:"),
    Template("One person went through these, oldest first:", after=". Up now:"),
    Template("Reading from left to right we meet:", after=". Which one stands to the right of them all?"),
    Template("A visitor left this trail:", after=". Where does it lead?"),
    Template("Known of a user, from long ago until today:", after=". Tomorrow's guess:"),
    Template("Here a row breaks off:", after=". What was cut away?"),
)
UNSEEN = Template("Somebody's past, told in items:", after=". Told of the days ahead:")
SENTENCE = Template("This user chose", separator=";", after=". Next choice:")


@dataclass(frozen=True)
class PromptSet:
    """``templates``: ranking reads the first, training draws from those whose numbers are in ``trained``."""

    templates: tuple[Template, ...]
    trained: tuple[int, ...]


def prompt_set(ids: Ids, prompts: str) -> PromptSet:
    """``scheme``: the identifiers' own template. ``sampled``: the ten, of which the first is ranked in. ``unseen``: the
    ten for training, and the eleventh for ranking. BenchError where the vocabulary can't write a sentence.
    """
    if prompts == "scheme":
        return PromptSet((ids.template,), trained=(0,))
    ids.vocabulary.require_language_model(f"prompts={prompts}")
    if prompts == "sampled":
        return PromptSet(SEEN, trained=tuple(range(len(SEEN))))
    return PromptSet((UNSEEN, *SEEN), trained=tuple(range(1, len(SEEN) + 1)))
