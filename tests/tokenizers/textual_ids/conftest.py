"""A small T5 with nothing left at its initial value, a vocabulary of a few words, items that share texts, and what the
naming is defined to do: one text at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from textual_ids.diverse import Search, diverse_beams
from textual_ids.generator import Bootstrap, Writer, bootstrap, unwritable
from textual_ids.reading import read_tokens
from torch import nn

from bench.backbone.t5 import T5, RMSNorm, T5Config
from bench.vocabulary import Vocabulary

TEXTS = (
    *("red car ; toys", "blue car ; toys", "red robot toy", "green puzzle ; games", "red car ; toys", "iron robot"),
    *("wooden puzzle ; games", "red car", "a large and loud iron robot ; toys", "red car ; toys", "small car", "game"),
)
SHAPE: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 2}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors this small are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def words() -> Vocabulary:
    """Subwords of the texts; punctuation and the separator are tokens of their own."""
    letters = "a b c d e f g h i l m n o p r s t u w y z 0 1 2 3 4 5 6 7 8 9 . , - !"
    return Vocabulary.trained([*TEXTS, letters], 90, reserved=[";"])


@pytest.fixture(scope="session")
def t5(words: Vocabulary) -> Callable[..., T5]:
    """``t5(seed, **changes)``: over the vocabulary, in ``eval`` mode, with random norms and position biases."""

    def make(seed: int = 0, **changes: Any) -> T5:
        torch.manual_seed(seed)
        model = T5(T5Config(**{"vocabulary": words.size, "dropout": 0.0, **SHAPE, **changes}))
        for module in model.modules():
            if isinstance(module, RMSNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
        for stack in (model.encoder, model.decoder):
            nn.init.normal_(stack.bias.table.weight)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def writer(t5: Callable[..., T5], words: Vocabulary) -> Callable[..., Writer]:
    """``writer(steps)``: a generator that has learned for so many steps to write names with a little punctuation."""

    @cache
    def make(steps: int = 40) -> Writer:
        made = Writer(t5(1), words, read_tokens(words, TEXTS, 32))
        targets = read_tokens(words, [text.split(" ;")[0].replace(" ", ", ", 1) for text in TEXTS], 32)
        bootstrap(made.model, words, made.sources, targets, Bootstrap(steps, len(TEXTS), 3e-3), seed=0)
        return made

    return make


@pytest.fixture(scope="session")
def oracle() -> SimpleNamespace:
    """The definitions: ``names`` and ``first_free``."""
    return SimpleNamespace(names=slow_names, first_free=first_free)


@dataclass(frozen=True)
class Prefix:
    tokens: list[int]
    ended: bool


def beams(writer: Writer, row: int, search: Search) -> list[Prefix]:
    """The diverse beam search of one text, which ``test_diverse.py`` holds to Transformers' own."""
    vocabulary, source = writer.vocabulary, torch.tensor([writer.sources[row]])
    with torch.no_grad():
        cache = writer.model.start(writer.model.encode(source))
    forbidden = unwritable(vocabulary, writer.model)
    found = diverse_beams(writer.model, cache, search, vocabulary.pad, vocabulary.eos, forbidden)
    lengths, ended = found.lengths[0].tolist(), found.ended[0].tolist()
    tokens = [row[:length] for row, length in zip(found.tokens[0].tolist(), lengths, strict=True)]
    return [Prefix(tokens, ended) for tokens, ended in zip(tokens, ended, strict=True)]


def slow_name(prefix: Prefix, vocabulary: Vocabulary) -> str:
    """The words of a prefix; one that may have been cut is no word."""
    text = vocabulary.decode(prefix.tokens)
    found = list(re.finditer(r"\b\w+\b", text))
    if found and not prefix.ended and found[-1].end() == len(text):
        found.pop()
    return " ".join(match.group() for match in found)


def slow_names(writer: Writer, searches: Sequence[Search]) -> list[list[int]]:
    """Algorithm 1: item after item, level after level, the first candidate whose tokens are free; then a counter."""
    taken: set[tuple[int, ...]] = set()
    named = []
    for row in range(len(writer.sources)):
        levels = (beams(writer, row, search) for search in searches)
        names = (slow_name(prefix, writer.vocabulary) for level in levels for prefix in level)
        named.append(first_free(names, taken, writer.vocabulary))
    return named


def first_free(names: Iterable[str], taken: set[tuple[int, ...]], vocabulary: Vocabulary) -> list[int]:
    """The tokens of the first name that are free, and from now on taken."""
    readable = []
    for name in names:
        if free(name, taken, vocabulary):
            return vocabulary.encode(name)
        readable += [name] if vocabulary.encode(name) and vocabulary.unk not in vocabulary.encode(name) else []
    stem = readable[0] if readable else ""
    for number in range(2 if stem else 1, 999):
        if free(f"{stem} {number}".strip(), taken, vocabulary):
            return vocabulary.encode(f"{stem} {number}".strip())
    raise AssertionError("no name was free")


def free(name: str, taken: set[tuple[int, ...]], vocabulary: Vocabulary) -> bool:
    """Whether nothing else has the tokens of the name, which then are taken."""
    code = tuple(vocabulary.encode(name))
    if not code or vocabulary.unk in code or code in taken:
        return False
    taken.add(code)
    return True
