"""The words of a catalogue's text, and which of them say most about an item."""

from __future__ import annotations

import html
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from bench.data.dataset import ItemTable
from bench.vocabulary import Vocabulary


@dataclass(frozen=True)
class ItemWords:
    """The distinct words of one item: in the order of its text, and the most salient first.

    ``informative`` counts the salient words that say something; behind them stand words in too many tokens, stop words,
    numbers, single letters and words that every item has.
    """

    text: tuple[str, ...]
    salient: tuple[str, ...]
    informative: int


def split(text: str) -> list[str]:
    """Lower-case words: unbroken runs of letters, marks and digits. Anything else separates, as "™" or "/" do."""
    lower = unicodedata.normalize("NFKC", _runs(html.unescape(text))).lower()
    return _runs(unicodedata.normalize("NFKC", lower)).split()  # lower case can undo the normal form


class _Runs(dict[int, str]):
    """What each character is read as, looked up once."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        found = self[code] = letter if unicodedata.category(letter)[0] in "LMN" else " "
        return found


RUNS = _Runs()


def _runs(text: str) -> str:
    return text.translate(RUNS)


def table(items: ItemTable) -> list[list[list[str]]]:
    """The words of every item, column by column: ``table[item][column]``."""
    columns = [[split(text) for text in column] for column in items.text.values()]
    return [[column[item] for column in columns] for item in range(len(items))]


def document_frequency(words: Iterable[list[list[str]]]) -> Counter[str]:
    """In how many items each word occurs."""
    return Counter(word for columns in words for word in dict.fromkeys(chain(*columns)))


def readable(shared_by: Counter[str], vocabulary: Vocabulary) -> Counter[str]:
    """The words that the vocabulary can write without its unknown token."""
    return Counter({word: shared_by[word] for word in tokens_of(shared_by, vocabulary)})


def tokens_of(words: Iterable[str], vocabulary: Vocabulary) -> dict[str, int]:
    """How many tokens each of the words takes that the vocabulary can write."""
    ordered = sorted(words)
    codes = vocabulary.encode_batch([vocabulary.as_name(word) for word in ordered])
    return {word: len(code) for word, code in zip(ordered, codes, strict=True) if code and vocabulary.unk not in code}


def rank(
    columns: list[list[str]],
    shared_by: Counter[str],
    items: int,
    fewest: int,
    tokens: Mapping[str, int] | None = None,
    pieces: int = 0,
) -> ItemWords:
    """The words of one item by salience; words outside ``shared_by`` are left out.

    The first column (the title) comes before the others. Within a column a word counts by its inverse document
    frequency, over the square root of its position: names of brands and lines stand first in a title, and they are what
    items bought one after another share. A word in fewer than ``fewest`` items can't be shared and counts nothing.

    Where the ``tokens`` of words are given, a word counts by its salience per token, and one of more than ``pieces``
    tokens stands behind all others that say something.
    """
    found: dict[str, tuple[bool, bool, int, float, int]] = {}
    for number, column in enumerate(columns):
        for position, word in enumerate(column):
            if word in shared_by and word not in found:
                frequency = shared_by[word]
                tells = math.log(items / frequency) / math.sqrt(1 + position) if frequency >= fewest else 0.0
                count = tokens[word] if tokens else 1
                long = bool(tokens) and count > pieces
                # rounded: that log 8 / √9 and log 2 / √1 are equal must not depend on the last bit
                weight = -round(tells / count, 12)
                found[word] = (is_filler(word) or frequency == items, long, number, weight, position)
    salient = sorted(found, key=found.__getitem__)
    return ItemWords(tuple(found), tuple(salient), sum(not (filler or long) for filler, long, *_ in found.values()))


def is_filler(word: str) -> bool:
    """Stop words, numbers (also with a unit: "12oz") and single Latin letters tell little about an item."""
    return word in ENGLISH_STOP_WORDS or word[0].isdigit() or (len(word) == 1 and word.isascii())
