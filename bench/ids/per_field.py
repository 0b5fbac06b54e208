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


def mean_of_fields(texts: Sequence[str], encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """``[texts, width]``: of each text the mean over its fields, which stand in lines of their own.

    Many items share a brand or a category, so each different field is encoded once.
    """
    items = [[sentence(field) for field in text.split(BETWEEN)] for text in texts]
    row_of = {field: row for row, field in enumerate(dict.fromkeys(field for item in items for field in item))}
    vectors = encode(list(row_of))
    return np.stack([vectors[[row_of[field] for field in item]].mean(axis=0) for item in items])


def sentence(field: str) -> str:
    """A field without HTML tags and double quotes, ended by one full stop unless it is cut."""
    plain = " ".join(TAG.sub("", field).replace('"', "").split())
    return (plain.rstrip(".") + ".")[:LONGEST]
