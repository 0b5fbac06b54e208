"""A finished model of RecBole that scores again: what is kept of it, and what RecBole reads when it makes it anew.

RecBole numbers users, items and attributes as it meets them in its files. None of these are kept, so the numbers are,
with the weights: ``items [items]`` and ``users [users]`` by our indices, ``features [numbers of items, width]``, and
tensors under ``weights.`` and ``other.``, the latter what RecBole calls other parameters. The facts are ``width``, the
places of a history, and ``settings``, those that a search has chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.results.digests import HINT
from bench.results.kept import Arrays
from recbole_baselines import files

WEIGHTS, OTHER = "weights.", "other."
ITEMS, USERS, FEATURES = "items", "users", "features"


def chosen(saved: Path, facts: Mapping[str, Any], ranges: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Width and settings of ``facts``, which may be a stranger's: nothing but what a search sets gets to RecBole."""
    width, settings = facts.get("width"), facts.get("settings")
    known = isinstance(settings, dict) and all(name in ranges for name in settings)
    if not isinstance(width, int) or not isinstance(settings, dict) or not known:
        raise BenchError(f"the state of a baseline in '{saved}' is corrupt: it has other facts; {HINT}")
    return width, settings


def write_files(folder: Path, arrays: Arrays) -> None:
    """What RecBole reads in ``folder``: as many users, items and attributes as there were, and one interaction."""
    folder = folder / "data" / files.NAME
    one = np.zeros(1, np.int64), Sequences.from_rows([[0]]), np.zeros(1, np.int32)
    files.write(folder, one, Targets(*one))
    features = attributes_of(arrays) if FEATURES in arrays else None
    files.write_catalogue(folder, len(arrays[USERS]), len(arrays[ITEMS]), features)


def attributes_of(arrays: Arrays) -> list[list[int]]:
    """Of each item by our index, the numbers of its attributes that were padded with zeros."""
    features: NDArray[np.int64] = arrays[FEATURES][arrays[ITEMS]]
    return [row[row > 0].tolist() for row in features]


def part(arrays: Arrays, prefix: str) -> Arrays:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
