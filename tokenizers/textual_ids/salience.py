"""The words of a whole catalogue as arrays, and which of them say most about each item.

The same order as ``textual_ids.words.rank`` gives item by item. Texts are split one after the other; behind that,
nothing is done for single items.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, repeat
from math import log

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.dataset import ItemTable
from bench.vocabulary import Vocabulary
from textual_ids.words import is_filler, split, tokens_of

Numbers = NDArray[np.int64]
AT_ONCE = 1 << 17  # items whose names are put together at once
Order = str  # of the words of a name: salient, frequent or title


@dataclass(frozen=True, eq=False)
class Occurrences:
    """The words of each item where they first occur in it, ``[n]`` each: by item, column and position there. ``words``
    are the distinct ones, which ``word`` numbers.
    """

    words: list[str]
    word: Numbers
    item: Numbers
    column: Numbers
    position: Numbers
    items: int

    @classmethod
    def of(cls, items: ItemTable) -> Occurrences:
        number: defaultdict[str, int] = defaultdict(count().__next__)
        parts = [(np.zeros(0, np.int64),) * 4]  # of a catalogue without text
        for column, texts in enumerate(items.text.values()):
            found = list(map(split, texts))
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            word = np.fromiter(map(number.__getitem__, chain.from_iterable(found)), np.int64, int(lengths.sum()))
            item = np.repeat(np.arange(len(found)), lengths)
            parts.append((word, item, np.full(len(word), column), within(lengths)))
        word, item, column_of, position = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        # np.unique names the first of equal ones: columns stand one behind the other, positions in order
        first = np.unique(item * max(1, len(number)) + word, return_index=True)[1]
        first = first[np.lexsort((position[first], column_of[first], item[first]))]
        return cls(list(number), word[first], item[first], column_of[first], position[first], len(items))

    @property
    def frequency(self) -> Numbers:
        """``[words]``: in how many items each occurs."""
        return np.bincount(self.word, minlength=len(self.words))


@dataclass(frozen=True, eq=False)
class Ranked:
    """The words of every item, the most salient first: those of item ``i`` are ``word[offsets[i]:offsets[i + 1]]``, of
    which ``informative[i]`` say something. ``place`` is where each stands in its item's text, ``frequency`` and
    ``filler`` are those of each of the ``words``.
    """

    words: list[str]
    word: Numbers
    place: Numbers
    offsets: Numbers
    informative: Numbers
    frequency: Numbers
    filler: NDArray[np.bool_]

    @property
    def lengths(self) -> Numbers:
        return np.diff(self.offsets)

    def names(self, items: Numbers, counts: Numbers, order: Order) -> list[str]:
        """For each of ``items`` its first ``counts`` words, arranged as ``order`` says."""
        parts = (slice(start, start + AT_ONCE) for start in range(0, len(items), AT_ONCE))
        return list(chain.from_iterable(self._names(items[part], counts[part], order) for part in parts))

    def _names(self, items: Numbers, counts: Numbers, order: Order) -> list[str]:
        row = np.repeat(np.arange(len(items)), counts)
        at = np.repeat(self.offsets[items], counts) + within(counts)
        if order == "title":
            at = at[np.lexsort((self.place[at], row))]
        elif order == "frequent":
            word = self.word[at]
            at = at[np.lexsort((-self.frequency[word], self.filler[word], row))]
        words = self._written.take(pa.array(self.word[at]))
        ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        joined: list[str] = pc.binary_join(pa.ListArray.from_arrays(ends, words), " ").to_pylist()
        return joined

    @cached_property
    def _written(self) -> pa.Array:
        return pa.array(self.words, pa.string())


def ranked(found: Occurrences, fewest: int, tokens: Mapping[str, int] | None = None, pieces: int = 0) -> Ranked:
    """Every item's words by salience, as ``words.rank`` says. With ``tokens``, words outside them are left out; with
    ``pieces`` as well, a word counts by its salience per token.
    """
    frequency, filler = found.frequency, np.fromiter(map(is_filler, found.words), bool, len(found.words))
    kept, cost = np.arange(len(found.word)), np.ones(len(found.words), np.int64)
    if tokens is not None:
        cost = np.fromiter(map(tokens.get, found.words, repeat(0)), np.int64, len(found.words))
        kept = np.flatnonzero(cost[found.word])
    word, item, column, position = (array[kept] for array in (found.word, found.item, found.column, found.position))
    cost = cost if pieces else np.ones_like(cost)
    last = (filler | (frequency == found.items))[word]
    long = cost[word] > pieces if pieces else np.zeros(len(word), bool)
    weight = salience(frequency, found.items, fewest)[word] / np.sqrt(1 + position) / cost[word]
    order = np.lexsort((position, -rounded(weight), column, long, last, item))
    lengths = np.bincount(item, minlength=found.items)
    informative = np.bincount(item[~(last | long)], minlength=found.items)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Ranked(found.words, word[order], within(lengths)[order], offsets, informative, frequency, filler)


def worded(items: ItemTable, vocabulary: Vocabulary | None) -> NDArray[np.bool_]:
    """``[items]``: which have a word that the vocabulary can write; any word where it is yet to be made."""
    found = Occurrences.of(items)
    tokens = dict.fromkeys(found.words, 1) if vocabulary is None else tokens_of(found.words, vocabulary)
    known = np.fromiter(map(tokens.__contains__, found.words), bool, len(found.words))
    has = np.zeros(len(items), bool)
    has[found.item[known[found.word]]] = True
    return has


def unwritable(items: ItemTable, vocabulary: Vocabulary | None) -> tuple[str, ...]:
    """How many items are not ``worded``, in a line."""
    without = len(items) - np.count_nonzero(worded(items, vocabulary))
    if not without:
        return ()
    return (
        f"{without:,} of {len(items):,} items have no word that the vocabulary can write: nothing of their text is in "
        "their identifiers, which are numbers",
    )


def salience(frequency: Numbers, items: int, fewest: int) -> NDArray[np.float64]:
    """``[words]``: the inverse document frequency of a word that ``fewest`` items or more have, else 0."""
    values, of_word = np.unique(frequency, return_inverse=True)
    # NumPy's logarithm differs from Python's in the last digit on some machines
    logarithms = [log(items / value) if value >= fewest else 0.0 for value in values.tolist()]
    return np.array(logarithms)[of_word]


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """To 12 digits, as Python rounds: what is equal must not depend on the last bit."""
    values, of_weight = np.unique(weights, return_inverse=True)
    return np.array(list(map(round, values.tolist(), repeat(12))), np.float64)[of_weight]


def within(lengths: Numbers) -> Numbers:
    """0, 1, ... in each of stretches of these lengths."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
