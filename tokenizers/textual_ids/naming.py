"""Giving every item a name of its own, where what counts is how the recommender reads it: as tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.errors import BenchError
from bench.vocabulary import Vocabulary


def unique_codes(choices: Iterable[Iterable[str]], vocabulary: Vocabulary) -> list[list[int]]:
    """Token ids for each item: the first of its ``choices`` (best first) whose tokens no earlier item has.

    An item whose choices are all taken gets its first choice and a counter ("clue board 2"); one without any choice
    gets the counter alone. Names that differ as text but not as tokens count as one.
    """
    taken: set[tuple[int, ...]] = set()
    counters: Counter[str] = Counter()
    codes = []
    for texts in choices:
        code = next(code for code in _codes(texts, counters, vocabulary) if code not in taken)
        taken.add(code)
        codes.append(list(code))
    return codes


def _codes(texts: Iterable[str], counters: Counter[str], vocabulary: Vocabulary) -> Iterator[tuple[int, ...]]:
    stem = ""
    for text in texts:
        stem = stem or text
        code = tuple(vocabulary.encode(vocabulary.as_name(text)))
        if code and vocabulary.unk not in code:
            yield code
    while True:
        counters[stem] += 1  # kept between items: a thousand items of one text are numbered in one pass
        number = counters[stem] + bool(stem)  # the item that has the stem to itself is the first
        code = tuple(vocabulary.encode(vocabulary.as_name(f"{stem} {number}".strip())))
        if vocabulary.unk in code:
            raise BenchError(f"the vocabulary can't write '{stem} {number}', which would tell two items apart")
        yield code
