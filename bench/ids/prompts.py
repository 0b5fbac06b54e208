"""The text around a history: one neutral template for each kind of identifier, or what the contract says otherwise.

Tokens that are words of a language model, and vectors and slots beside one, stand in ``NEUTRAL``. A private vocabulary
has no words: there a history is its identifiers alone, with whatever mark they need between or around them. So schemes
differ in their identifiers and in nothing else. A scheme's own wording is its template, for the recipe of its paper
(``template=scheme``).

P5 (Geng et al., 2022) and OpenP5 (Xu et al., 2024) write every training example in a template drawn from ten and keep
an eleventh for zero-shot prompting (``sampled`` and ``unseen``). The sentences here are our own. Each stops with a
colon before the first item, and a full stop ends the last. Between items stands the identifiers' own separator, which
none of them contains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.ids.identifiers import Ids, Template, TokenIds

Prompts = NDArray[np.int64] | int  # which of several templates is meant: by example, or for all

SEPARATOR = ";"  # of identifiers that are words, unless one contains it
NEUTRAL = Template("The user interacted with these items, oldest first:", SEPARATOR, ". The next item is:")
SEEN = (
    Template("Items the user interacted with:", after=". Next item:"),
    Template("Interaction history:", after=". Predict the next item:"),
    Template("The user chose these items, oldest first:", after=". What will the user choose next?"),
    Template("Given this history of items:", after=". Recommend the next item:"),
    Template("Past items of the user:", after=". Which item comes next?"),
    Template("The user's items in order of time:", after=". The item after these:"),
    Template("So far the user has chosen:", after=". The user will now choose:"),
    Template("Sequence of items:", after=". Continue with the next item:"),
    Template("Recently the user interacted with:", after=". A good recommendation is:"),
    Template("A user has this history:", after=". Recommend one more item:"),
)
UNSEEN = Template("These items were chosen by the user one after another:", after=". Name the item that follows:")


@dataclass(frozen=True)
class PromptSet:
    """``templates``: ranking reads the first, training draws from those whose numbers are in ``trained``."""

    templates: tuple[Template, ...]
    trained: tuple[int, ...]


def prompt_set(ids: Ids, template: str) -> PromptSet:
    """What the contract's line ``template`` comes to for these identifiers.

    ``neutral``: the one for their kind. ``scheme``: the identifiers' own. ``sampled``: the ten, of which the first is
    ranked in. ``unseen``: the ten for training, and the eleventh for ranking. BenchError where the vocabulary can't
    write a sentence.
    """
    if template == "scheme":
        return PromptSet((ids.template,), trained=(0,))
    if template == "neutral":
        return PromptSet((neutral(ids),), trained=(0,))
    ids.vocabulary.require_language_model(f"template={template}")
    if template == "sampled":
        return PromptSet(SEEN, trained=tuple(range(len(SEEN))))
    return PromptSet((UNSEEN, *SEEN), trained=tuple(range(1, len(SEEN) + 1)))


def neutral(ids: Ids) -> Template:
    """The template of this kind of identifiers; the separator stays their own, and others have none."""
    if not ids.vocabulary.language_model:
        return Template(separator=ids.template.separator) if isinstance(ids, TokenIds) else ids.template
    return replace(NEUTRAL, separator=ids.template.separator if isinstance(ids, TokenIds) else "")
