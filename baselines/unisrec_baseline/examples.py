"""Batches of histories as arrays: padded, and in a second view that lacks some items or some words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences

Rows = NDArray[np.int64]
NOTHING = -1


@dataclass(frozen=True)
class Padded:
    """``rows [n, length]`` are items, oldest first, and ``NOTHING`` behind the last of ``lengths [n]``."""

    rows: Rows
    lengths: Rows


def padded(histories: Sequences) -> Padded:
    lengths = histories.lengths
    rows = np.full((len(histories), max(1, int(lengths.max(initial=0)))), NOTHING, np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = histories.values
    return Padded(rows, lengths)


def without_items(whole: Padded, part: float, random: np.random.Generator) -> Padded:
    """Each item is dropped with the chance ``part``, but of every history one at least stays; the rest moves up."""
    there = whole.rows != NOTHING
    drawn = np.where(there, random.random(whole.rows.shape), 2.0)
    kept = there & ((drawn >= part) | (drawn == np.where(there, drawn, -1).max(axis=1, keepdims=True)))
    order = np.argsort(~kept, axis=1, kind="stable")
    rows = np.take_along_axis(np.where(kept, whole.rows, NOTHING), order, axis=1)
    return Padded(rows, kept.sum(axis=1))


def without_words(whole: Padded, items: int) -> Padded:
    """The same items by their texts with fewer words, whose vectors stand behind those of all ``items``."""
    return Padded(np.where(whole.rows == NOTHING, NOTHING, whole.rows + items), whole.lengths)


def other_view(whole: Padded, items: int, drops: tuple[float, float], random: np.random.Generator) -> Padded:
    """A second view of every history: a few (the second of ``drops`` is their part) lack words, the others lack items
    (the first is the part of these).
    """
    fewer, poorer = without_items(whole, drops[0], random), without_words(whole, items)
    chosen = random.random(len(whole.lengths)) < drops[1]
    rows = np.where(chosen[:, None], poorer.rows, fewer.rows)
    return Padded(rows, np.where(chosen, poorer.lengths, fewer.lengths))


def distinct(*parts: Rows) -> tuple[Rows, list[Rows]]:
    """The items of several arrays, each once, and the arrays as rows of these; ``NOTHING`` stays what it is."""
    flat = np.concatenate([part.ravel() for part in parts])
    items, inverse = np.unique(flat[flat != NOTHING], return_inverse=True)
    rows = np.full(len(flat), NOTHING, np.int64)
    rows[flat != NOTHING] = inverse
    ends = np.cumsum([part.size for part in parts])[:-1]
    return items, [found.reshape(part.shape) for found, part in zip(np.split(rows, ends), parts, strict=True)]


def fewer_words(texts: list[str], part: float, random: np.random.Generator) -> list[str]:
    """Each word is dropped with the chance ``part``, but of every text one at least stays."""
    return [_fewer(text.split(), part, random) for text in texts]


def _fewer(words: list[str], part: float, random: np.random.Generator) -> str:
    drawn = random.random(len(words))
    kept = [word for word, chance in zip(words, drawn, strict=True) if chance >= part]
    return " ".join(kept or [words[int(drawn.argmax())]] if words else [])
