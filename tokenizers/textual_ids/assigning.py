"""A name of its own for every text: IDGenRec's Algorithm 1, computed in batches.

One text after the other takes the first free name among ten candidates; where none is free, the search is repeated with
a higher diversity penalty, and after nine of them for longer names. Candidates don't depend on what is taken. So those
of the first level are found for all texts at once, those of further levels for the texts that turn out to need them,
and the names are given again from the first text on: the result is that of the sequential algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.vocabulary import Vocabulary
from textual_ids.diverse import Search
from textual_ids.naming import unique_codes

PENALTIES = 9  # levels of one length
LONGER = 10  # tokens, from one length to the next
Candidates = Callable[[Sequence[int], Search], list[list[str]]]


def levels(lengths: int, groups: int) -> list[Search]:
    """The searches of Algorithm 1 in order, for so many lengths."""
    return [
        Search(float(penalty), 1 + LONGER * length, 1 + LONGER * (length + 1), groups)
        for length in range(lengths)
        for penalty in range(1, PENALTIES + 1)
    ]


def assign(
    texts: Sequence[int], candidates: Candidates, searches: Sequence[Search], vocabulary: Vocabulary
) -> list[list[int]]:
    """Token ids of a name for each of ``texts``, which are numbered by content: no two names have the same tokens.

    ``candidates`` are asked for the distinct texts that need them; what the vocabulary can't write is none. A text
    without a free name at the last level gets its first candidate and a counter, one without any the counter alone.
    """
    known: dict[int, list[list[str]]] = {text: [] for text in dict.fromkeys(texts)}
    needed = list(known)
    while True:
        for level in sorted({len(known[text]) for text in needed}):
            rows = [text for text in needed if len(known[text]) == level]
            for text, names in zip(rows, candidates(rows, searches[level]), strict=True):
                codes = vocabulary.encode_batch([vocabulary.as_name(name) for name in names])
                known[text].append(
                    [name for name, code in zip(names, codes, strict=True) if vocabulary.unk not in code]
                )
        short: dict[int, None] = {}
        named = unique_codes((_choices(text, known, len(searches), short) for text in texts), vocabulary)
        needed = list(short)
        if not needed:
            return named


def _choices(text: int, known: dict[int, list[list[str]]], most: int, short: dict[int, None]) -> Iterator[str]:
    """The names of a text, level by level; one whose next level is not known yet is noted as ``short``."""
    for names in known[text]:
        yield from names
    if len(known[text]) < most:
        short[text] = None
