"""Quantizers without a network: residual k-means, product quantization, and the latter after a rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import faiss_library
from bench.errors import BenchError
from bench.faiss_library import shards
from semantic_ids.collisions import Codes

Vectors = NDArray[np.float32]
SAMPLE, PER_CODE = 1 << 18, 1024  # vectors that k-means learns from: no more than so many, or so many for each code


@dataclass(frozen=True, eq=False)
class Quantized:
    """Codes ``[items, levels]`` of at most ``size`` values, and what the last level quantized: ``residual [items, d]``,
    with its ``codebook [size, d]``; of a catalogue too large for a copy, ``residual`` makes the rows that are asked
    for. ``error`` is the mean squared distance to the vectors' reconstruction, as a part of
    their variance. ``codebooks`` are those of all levels, where codes are the nearest of each.
    """

    codes: Codes
    size: int
    residual: Vectors | LeftOver
    codebook: Vectors
    error: float
    codebooks: tuple[Vectors, ...] = ()

    def distances(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Squared distances ``[rows, codes]`` of items to all codes of the last level."""
        return squared_distances(self.residual[rows], self.codebook)


@dataclass(frozen=True, eq=False)
class LeftOver:
    """What the levels before the last leave of ``vectors [items, d]``, row by row."""

    vectors: Vectors
    codes: Codes
    codebooks: tuple[Vectors, ...]

    def __getitem__(self, rows: NDArray[np.int64]) -> Vectors:
        left = np.array(self.vectors[rows])
        for level, codebook in enumerate(self.codebooks[:-1]):
            left -= codebook[self.codes[rows, level]]
        return left


def squared_distances(vectors: Vectors, codebook: Vectors) -> NDArray[np.float32]:
    """``[vectors, codes]``, up to rounding; never negative."""
    square: NDArray[np.float32] = (vectors**2).sum(1)[:, None] - 2 * vectors @ codebook.T + (codebook**2).sum(1)
    return square.clip(min=0)


def checked(vectors: Vectors) -> Vectors:
    """Contiguous, or a BenchError where there is nothing to quantize or a vector is not finite.

    Vectors without dimensions, which is what principal axes leave of equal ones, become zeros in one.
    """
    if not len(vectors):
        raise BenchError("there are no items to quantize")
    for rows in shards(len(vectors)):
        finite = np.isfinite(vectors[rows]).all(axis=1)
        if not finite.all():
            item = rows.start + int(finite.argmin())
            raise BenchError(f"the embedding of catalogue item {item} is not finite; quantizers need numbers")
    if not vectors.shape[1]:
        return np.zeros((len(vectors), 1), np.float32)
    return np.ascontiguousarray(vectors, np.float32)


def sampled(vectors: Vectors, size: int, seed: int) -> Vectors:
    """What k-means of ``size`` centroids learns from: all vectors, or a sample of them in their order."""
    most = max(SAMPLE, PER_CODE * size)
    if len(vectors) <= most:
        return vectors
    chosen = np.random.default_rng([seed, len(vectors)]).choice(len(vectors), most, replace=False, shuffle=False)
    return np.ascontiguousarray(vectors[np.sort(chosen)])


def kmeans(vectors: Vectors, size: int, seed: int, device: str = "cpu") -> tuple[Codes, Vectors]:
    """Nearest centroid of every vector, and the centroids: ``size`` of them, or as many as there are vectors. Of more
    than a quarter of a million vectors they are learned from a sample.
    """
    return faiss_library.kmeans(vectors, size, seed, device, sampled(vectors, size, seed))


def seconds_of_kmeans(items: int, numbers: float) -> float:
    """Of a processor, as measured with codebooks of so many ``numbers`` in all."""
    return (faiss_library.ITERATIONS * min(items, SAMPLE) + items) * numbers * 4e-11


def residual_kmeans(
    vectors: Vectors,
    levels: int,
    size: int,
    seed: int,
    device: str = "cpu",
    clustered: Callable[[Vectors, int, int, str], tuple[Codes, Vectors]] = kmeans,
) -> Quantized:
    """K-means on what the levels before left over; ``clustered(vectors, size, seed, device)`` is the one to use. Where
    k-means learns from a sample, all levels learn from the same one, and the catalogue is assigned in shards.
    """
    vectors = checked(vectors)
    learned = sampled(vectors, size, seed) if clustered is kmeans else vectors
    if len(learned) < len(vectors):
        return _assigned(vectors, residual_kmeans(learned, levels, size, seed, device).codebooks)
    residual, before, codebooks, codes = vectors, vectors, list[Vectors](), []
    for level in range(levels):
        code, codebook = clustered(residual, size, seed + level, device)
        before, residual = residual, residual - codebook[code]
        codes.append(code)
        codebooks.append(codebook)
    error = relative_error(vectors, residual)
    return Quantized(np.stack(codes, 1), len(codebook), before, codebook, error, tuple(codebooks))


def _assigned(vectors: Vectors, codebooks: tuple[Vectors, ...]) -> Quantized:
    """The nearest codes, level by level of what is left over, of one shard after the other."""
    codes: Codes = np.empty((len(vectors), len(codebooks)), np.int64)
    wrong = 0.0
    for rows in shards(len(vectors)):
        left = np.array(vectors[rows])
        for level, codebook in enumerate(codebooks):
            codes[rows, level] = faiss_library.nearest(left, codebook)
            left -= codebook[codes[rows, level]]
        wrong += squared_norm(left)
    left_over, error = LeftOver(vectors, codes, codebooks), part_of_variance(wrong, vectors)
    return Quantized(codes, len(codebooks[-1]), left_over, codebooks[-1], error, codebooks)


def product_kmeans(vectors: Vectors, levels: int, size: int, seed: int, device: str = "cpu") -> Quantized:
    """K-means on each of ``levels`` blocks of dimensions (Jégou et al., 2011, section II)."""
    vectors = checked(vectors)
    if vectors.shape[1] < levels:
        raise BenchError(f"{vectors.shape[1]} dimensions cannot be cut into {levels} blocks; use fewer levels")
    codes: Codes = np.empty((len(vectors), levels), np.int64)
    codebooks, wrong = list[Vectors](), 0.0
    for level, columns in enumerate(np.array_split(np.arange(vectors.shape[1]), levels)):
        last = vectors[:, columns[0] : columns[-1] + 1]
        part = np.ascontiguousarray(last)
        codes[:, level], codebook = kmeans(part, size, seed + level, device)
        wrong += sum(squared_norm(part[rows] - codebook[codes[rows, level]]) for rows in shards(len(part)))
        codebooks.append(codebook)
    return Quantized(codes, len(codebook), last, codebook, part_of_variance(wrong, vectors), tuple(codebooks))


def rotated(vectors: Vectors, levels: int) -> Vectors:
    """Vectors turned as by ``rotation``."""
    return rotation(vectors, levels)[0]


def rotation(vectors: Vectors, levels: int) -> tuple[Vectors, Vectors]:
    """Vectors turned so that blocks of dimensions carry like shares (Ge et al., 2013), and the matrix that turned them;
    the last ``d mod levels`` principal axes, which fit in no block, are left out.
    """
    vectors = checked(vectors)
    if len(vectors) < 256 or vectors.shape[1] < levels:
        raise BenchError(
            f"opq learns its rotation from 256 or more items with {levels} or more dimensions; got "
            f"{len(vectors)} items with {vectors.shape[1]}; use semantic/pq, or set.quantizer=pq of set/rpg"
        )
    vectors = np.ascontiguousarray(vectors[:, : vectors.shape[1] // levels * levels])
    return faiss_library.rotation(vectors, levels)


def relative_error(vectors: Vectors, residual: Vectors) -> float:
    """The squared norm of what is left over as a part of the variance; 0 where all vectors are equal."""
    return part_of_variance(squared_norm(residual), vectors)


def part_of_variance(wrong: float, vectors: Vectors) -> float:
    """A sum of squares as a part of the variance of ``vectors``; 0 where all are equal."""
    if not np.ptp(vectors, axis=0).any():
        return 0.0
    mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
    return wrong / sum(squared_norm(vectors[rows] - mean) for rows in shards(len(vectors)))


def squared_norm(vectors: Vectors) -> float:
    return float((vectors**2).sum(dtype=np.float64))
