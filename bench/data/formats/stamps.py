"""Time stamps: numbers that keep all their digits, and what those numbers mean.

Seconds of today have 10 digits, nanoseconds 19; a float holds 15 or 16. So whole numbers stay whole to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.dataset import EXACT, Times

LARGEST = 2**63 - 1
DIGITS_OF_INT64 = 19


class UnreadableError(ValueError):
    """A text that is no number, and the ``row`` that it stands in."""

    def __init__(self, row: int, needed: str) -> None:
        super().__init__(needed)
        self.row = row


def numbers(texts: NDArray[np.object_] | Sequence[str]) -> Times:
    """``[rows]`` as int64 where all are whole, else as float64.

    Raises UnreadableError for what is no finite number, or has more digits than can be kept in order.
    """
    try:
        return np.asarray(pa.array(texts, pa.string()).cast(pa.int64()))
    except pa.ArrowInvalid:
        pass
    encoded = pa.array(texts, pa.string()).dictionary_encode()
    unique, inverse = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
    wrong = [place for place, text in enumerate(unique) if not _is_finite(text)]
    if wrong:  # in the order in which they come
        raise UnreadableError(int(np.flatnonzero(inverse == wrong[0])[0]), "needed is a finite number")
    exact = [Decimal(text.strip()) for text in unique]
    if all(value == value.to_integral_value() for value in exact if abs(value) < LARGEST):
        whole = np.array([_whole(value, inverse, place) for place, value in enumerate(exact)], np.int64)
        return np.take(whole, inverse)
    return np.take(np.array(_floats(exact, inverse), np.float64), inverse)


def _is_finite(text: str) -> bool:
    try:
        return (
            len(text) < 400
            and "_" not in text
            and Decimal(text.strip()).is_finite()
            and abs(float(text)) < float("inf")
        )
    except (InvalidOperation, ValueError):
        return False


def _whole(value: Decimal, inverse: NDArray[np.int32], place: int) -> int:
    if abs(value) > LARGEST:
        row = int(np.flatnonzero(inverse == place)[0])
        raise UnreadableError(row, f"whole numbers of up to {DIGITS_OF_INT64} digits (below 2^63) can be kept in order")
    return int(value)


def _floats(exact: Sequence[Decimal], inverse: NDArray[np.int32]) -> list[float]:
    """Floats, each of one number: two that become one float would be a tie that the file does not have."""
    found: dict[float, Decimal] = {}
    for place, value in enumerate(exact):
        other = found.setdefault(float(value), value)
        if other != value or (abs(value) > EXACT and float(value) != value):
            row = int(np.flatnonzero(inverse == place)[0])
            raise UnreadableError(row, "a fraction with so many digits cannot be kept in order; write whole numbers")
    return [float(value) for value in exact]
