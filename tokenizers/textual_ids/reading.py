"""What an identifier generator reads of an item, and what is made of the words it writes."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from bench.data.dataset import ItemTable
from bench.vocabulary import Vocabulary
from textual_ids.words import document_frequency, rank, table


def as_words(items: ItemTable, separator: str) -> list[str]:
    """The lower-case words of every item, its text columns in file order with the separator between them."""
    return [f" {separator} ".join(" ".join(column) for column in columns if column) for columns in table(items)]


def phrases(items: ItemTable, words: int, fewest: int, allowed: Counter[str] | None = None) -> list[str]:
    """Each item's most salient words, by inverse document frequency, title first: at most so many that tell."""
    found = table(items)
    shared_by = document_frequency(found) if allowed is None else allowed
    ranked = [rank(columns, shared_by, len(found), fewest) for columns in found]
    return [" ".join(item.salient[: max(1, min(words, item.informative))]) for item in ranked]


def cleaned(text: str, ended: bool) -> str:
    """The whole words of what was written, with single spaces: unbroken runs of letters, marks, digits and "_". A last
    word that the length limit may have cut is left out.
    """
    found = "".join(letter if _in_word(letter) else " " for letter in text).split()
    if not ended and found and text.endswith(found[-1]):
        del found[-1]
    return " ".join(found)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or unicodedata.category(letter)[0] == "M"


def letters(texts: Sequence[str]) -> str:
    """Every character of the texts, and the digits, one by one."""
    return " ".join(sorted(set("0123456789").union(*map(set, chain.from_iterable(text.split() for text in texts)))))


def read_tokens(vocabulary: Vocabulary, texts: Sequence[str], most: int) -> list[list[int]]:
    """The encoder input of every text: at most ``most`` tokens, the last of them the end token."""
    return [[*tokens[: most - 1], vocabulary.eos] for tokens in vocabulary.encode_batch(texts)]
