"""Items whose text a vocabulary cannot write: a number alone is no textual identifier, and never passes for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.vocabulary import Vocabulary
from textual_ids.words import document_frequency, table

MOST = 0.2  # share of the catalogue that may be numbered under the name of a textual scheme


def numbered(items: ItemTable, vocabulary: Vocabulary | None) -> tuple[str, ...]:
    """What a reader of the result should know: how many items have no word that the vocabulary can write."""
    without = sum(_without(items, vocabulary))
    line = f"{without:,} of {len(items):,} items have no word that {_whose(vocabulary)} can write: they are numbered"
    return (line,) if without else ()


def refuse_numbers(scheme: str, without: Sequence[bool]) -> None:
    """BenchError where more than ``MOST`` of the items are ``without`` a word."""
    count = sum(without)
    if count > MOST * len(without):
        raise BenchError(
            f"{count:,} of {len(without):,} items have no word that the vocabulary can write, so {scheme} would number "
            f"them, which is no textual identifier (at most {MOST:.0%} may be); give a backbone that writes the "
            "language of the catalogue, such as an mT5, or use a numeric scheme"
        )


def refuse_unwritten(scheme: str, items: ItemTable, vocabulary: Vocabulary | None) -> None:
    """The same, from the text of the items."""
    refuse_numbers(scheme, _without(items, vocabulary))


def _without(items: ItemTable, vocabulary: Vocabulary | None) -> list[bool]:
    """``[items]``: which have no word that the vocabulary can write."""
    words = table(items)
    known = document_frequency(words)
    if vocabulary is not None:
        known = readable(known, vocabulary)
    return [not any(word in known for column in columns for word in column) for columns in words]


def _whose(vocabulary: Vocabulary | None) -> str:
    return "a vocabulary" if vocabulary is None else "the backbone's vocabulary"


def readable(shared_by: Counter[str], vocabulary: Vocabulary) -> Counter[str]:
    """The words that the vocabulary can write without its unknown token."""
    words = sorted(shared_by)
    codes = vocabulary.encode_batch(words)
    return Counter(
        {word: shared_by[word] for word, code in zip(words, codes, strict=True) if code and vocabulary.unk not in code}
    )
