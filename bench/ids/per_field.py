"""Item text read field by field: a vector for each field of an item, and for the item their mean.

A short field, such as a brand, then counts as much as a long description. SETRec makes the item features of its
decoder-only model so (section 3.1 of Lin et al., 2025), and its public code cleans fields as ``sentence`` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

BETWEEN = "\n"  # two fields of an item; there is none within a field
TAG = re.compile(r"</?\w+[^>]*>")
LONGEST = 2000  # characters of a field that are read
AT_ONCE = 4096  # items whose fields are in memory together


def mean_of_fields(texts: Sequence[str], encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """``[texts, width]``: of each text the mean over its fields, which stand in lines of their own.

    Many items share a brand or a category, so each different field is encoded once.
    """
    items = [text.split(BETWEEN) for text in texts]
    counts = np.array([len(item) for item in items])
    row_of: dict[str, int] = {}
    rows = np.array([row_of.setdefault(sentence(field), len(row_of)) for item in items for field in item])
    vectors, begins = encode(list(row_of)), np.cumsum(counts) - counts
    means = np.empty((len(items), vectors.shape[1]), np.float32)
    for start in range(0, len(items), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        first, last = begins[part][0], begins[part][-1] + counts[part][-1]
        sums = np.add.reduceat(vectors[rows[first:last]], begins[part] - first, axis=0)
        means[part] = sums / counts[part, None]
    return means


def sentence(field: str) -> str:
    """A field without HTML tags and double quotes, ended by one full stop unless it is cut."""
    plain = " ".join(TAG.sub("", field).replace('"', "").split())
    return (plain.rstrip(".") + ".")[:LONGEST]
