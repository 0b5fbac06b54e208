"""Giving every item a name of its own, where what counts is how the recommender reads it: as tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

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


Numbers = NDArray[np.int64]
Code = tuple[int, ...]


def codes_of_all(
    names: Callable[[Numbers, Numbers], list[str]], choices: Numbers, vocabulary: Vocabulary
) -> Sequence[Code]:
    """The same for a whole catalogue, in which each item has so many ``choices [items]``: ``names(items, which)`` are
    the texts of one choice of each of some items.

    That an item gets its first choice that no earlier item has is the one stable way to match items with names that all
    prefer earlier items. So it does not matter in what order items ask: all ask at once, and who was refused, or has
    lost its name to an earlier item, asks for its next choice in the next round.
    """
    holder: dict[Code, int] = {}
    codes: list[Code] = [()] * len(choices)
    waiting, asked, counters = np.arange(len(choices)), np.zeros(len(choices), np.int64), _Counters()
    while len(waiting):
        spelled = asked[waiting] < choices[waiting]
        texts = names(waiting, np.where(spelled, asked[waiting], 0))
        for at in np.flatnonzero(~spelled).tolist():
            texts[at] = counters.next(int(waiting[at]), texts[at])
        asked[waiting] += 1
        waiting = _ask(waiting.tolist(), texts, spelled.tolist(), holder, codes, vocabulary)
    return codes


def _ask(
    items: list[int],
    texts: list[str],
    spelled: list[bool],
    holder: dict[Code, int],
    codes: list[Code],
    vocabulary: Vocabulary,
) -> Numbers:
    """Give each of ``items``, in order, what it asks for, unless an earlier one has it; who is left without, in order.
    What is not ``spelled`` is a counter, which must be written.
    """
    without = []
    written = vocabulary.encode_batch(list(map(vocabulary.as_name, texts)))
    for item, text, word, code in zip(items, texts, spelled, map(tuple, written), strict=True):
        unknown = vocabulary.unk in code
        if unknown and not word:
            raise _uncounted(text)
        other = holder.get(code, len(codes))
        if (word and (unknown or not code)) or other < item:
            without.append(item)
            continue
        holder[code], codes[item] = item, code
        if other < len(codes):
            without.append(other)
    return np.array(sorted(without), np.int64)


class _Counters:
    """The next number behind a first choice. One that an earlier item has asked for need not be asked for again."""

    def __init__(self) -> None:
        self.latest: dict[str, tuple[int, int]] = {}  # by first choice: the last item that has asked; the next number
        self.own: dict[int, int] = {}  # the number that an item asked for

    def next(self, item: int, stem: str) -> str:
        begin = 1 + bool(stem)  # the item that has the stem to itself is the first
        latest, free = self.latest.get(stem, (-1, begin))
        number = free if item > latest else self.own.get(item, begin - 1) + 1
        self.own[item], self.latest[stem] = number, (max(latest, item), max(free, number + 1))
        return f"{stem} {number}".strip()


def _uncounted(text: str) -> BenchError:
    return BenchError(f"the vocabulary can't write '{text}', which would tell two items apart")


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
            raise _uncounted(f"{stem} {number}")
        yield code
