"""Codes for a catalogue that no codebook was learned on: the nearest of those that training items have.

A code stands for what items of the training catalogue with it have in common, the mean of what its level quantized of
them; that is one more step of k-means. A code that none of them has is never given: nothing was learned of its token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench import tensors
from bench.faiss_library import shards
from bench.ids.spaces import kept_in
from semantic_ids.collisions import Codes, Rule, groups, occurrence, reassigned
from semantic_ids.quantizers import Quantized, Vectors
from semantic_ids.vectors_alone import encoded

Rows = NDArray[np.int64]
Way = Literal["residual", "product"]
CODEBOOKS = "codebooks.safetensors"
WHAT = "the codebooks of training items"


@dataclass(frozen=True, eq=False)
class Codebooks:
    """Of every level the tokens that training items have, ``rows [n]`` of the vocabulary, and ``centers [n, d]``. Where
    items are told apart by a counter, its tokens come last in ``rows``, from 0 on.
    """

    rows: tuple[Rows, ...]
    centers: tuple[Vectors, ...]

    @classmethod
    def learned(cls, vectors: Vectors, tokens: NDArray[np.integer], levels: int, way: Way) -> Codebooks:
        """From the ``vectors [items, d]`` of training items and their ``tokens [items, levels (+ 1)]``."""
        rows, centers, left = list[Rows](), list[Vectors](), vectors
        blocks = np.array_split(np.arange(vectors.shape[1]), levels)
        for level, column in enumerate(tokens.T):
            used, which = np.unique(column.astype(np.int64), return_inverse=True)
            rows.append(used)
            if level < levels:
                part = left if way == "residual" else vectors[:, blocks[level]]
                centers.append(_means(part, which, len(used)))
                left = part - centers[level][which] if way == "residual" else left
        return cls(tuple(rows), tuple(centers))

    def tokens(self, vectors: Vectors, way: Way, rule: Rule) -> NDArray[np.int32]:
        """``[items, levels (+ 1)]`` of the items of an unseen catalogue, told apart by a ``counter`` or by other last
        codes, unless the rule is ``none``.

        No more items share their codes than the counter has tokens for, without one no two; the others get the nearest
        code of the last level that has room. Where so many have all codes but the last in common that there is none,
        these are spread evenly, and some of them share an identifier.
        """
        state = {f"codebook.{level}": centers for level, centers in enumerate(self.centers)}
        found, counters = encoded(state, vectors, way), self.rows[len(self.centers) :]
        codes = found.codes if rule == "none" else _with_room(found, len(counters[0]) if counters else 1)
        if counters:
            codes = np.column_stack([codes, occurrence(codes) % len(counters[0])])
        columns = [rows[column] for rows, column in zip(self.rows, codes.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.int32)

    def save(self, folder: Path) -> None:
        """Into the folder of a run."""
        named = {"rows": self.rows, "centers": self.centers}
        arrays = {f"{part}.{level}": array for part, each in named.items() for level, array in enumerate(each)}
        tensors.write(folder / CODEBOOKS, arrays, {}, WHAT)

    @classmethod
    def saved(cls, folder: Path) -> Codebooks:
        """The same, read back. BenchError where the file is missing or corrupt."""
        arrays = kept_in(folder, CODEBOOKS, WHAT)
        counts = {part: sum(name.startswith(f"{part}.") for name in arrays) for part in ("rows", "centers")}
        rows, centers = ([arrays[f"{part}.{level}"] for level in range(count)] for part, count in counts.items())
        return cls(tuple(rows), tuple(centers))


def _with_room(found: Quantized, room: int) -> Codes:
    """Codes that no more than ``room`` items share, or as many as it takes where more have all but the last in common:
    of those alone, and evenly.
    """
    codes: Codes = found.codes.copy()
    alike, prefix = groups(codes), groups(codes[:, :-1])
    rooms = np.maximum(room, -(-np.bincount(prefix) // found.size))[prefix]
    stay = np.bincount(alike)[alike] <= rooms
    for each in np.unique(rooms).tolist():
        rows = np.flatnonzero(rooms == each)
        distances = partial(_distances_of, found, rows)
        codes[rows] = reassigned(codes[rows], found.size, distances, stay[rows], each)
    return codes


def _distances_of(found: Quantized, rows: Rows, which: Rows) -> NDArray[np.float32]:
    return found.distances(rows[which])


def _means(vectors: Vectors, which: Rows, count: int) -> Vectors:
    """``[count, d]``: the mean of the rows of each number, each of which has one."""
    sums = np.zeros((count, vectors.shape[1]))
    for rows in shards(len(vectors)):
        each = which[rows]
        member = sparse.csr_array((np.ones(len(each)), (each, np.arange(len(each)))), shape=(count, len(each)))
        sums += member @ vectors[rows].astype(np.float64)
    return np.asarray(sums / np.bincount(which, minlength=count)[:, None], np.float32)
