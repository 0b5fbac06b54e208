"""Categories as the item table lists them: "Toys & Games, Puzzles, Jigsaw Puzzles" is a path of three names.

Nothing tells a name that has a comma from two names: Amazon's "Creams, Gels & Lotions" is a path of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable
from bench.errors import BenchError

USUAL = ("categories", "category", "genres", "genre")
NEARLY_ALL = 0.9  # of the items that have categories
MISSING = ""  # the name of the branch of items without categories; no category is called that

Names = tuple[str, ...]
Value = TypeVar("Value", bound=Hashable)


def category_paths(items: ItemTable, column: str | None, separator: str) -> tuple[list[Names], NDArray[np.int64]]:
    """The paths below the ``root`` that there are, each as its names, and ``[items]``, which of them an item has.

    ``separator`` is ``comma``, ``space``, ``whole`` (a text is one name) or ``auto``: ``comma`` where the column has
    one, else ``space``, as MovieLens writes genres: in such a column "Board Games" is two names, where one is meant
    ``comma`` must be given. BenchError where there is no such column or nothing in it.
    """
    texts, of_item = distinct(category_texts(items, column))
    if separator == "auto":
        separator = "comma" if any("," in text for text in texts) else "space"
    paths = [split(text, separator) for text in texts]
    start = root(paths, np.bincount(of_item).tolist())
    below = [path[len(start) :] if path[: len(start)] == start else path for path in paths]
    found, of_text = distinct([short if path else (MISSING,) for short, path in zip(below, paths, strict=True)])
    return found, of_text[of_item]


def distinct(values: Sequence[Value]) -> tuple[list[Value], NDArray[np.int64]]:
    """The values that there are, as they first appear, and for each of ``values`` which of them it is."""
    number = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return list(number), np.fromiter(map(number.__getitem__, values), np.int64, len(values))


def category_texts(items: ItemTable, column: str | None) -> Sequence[str]:
    """``[items]``: the column as it is. BenchError where there is no such column or nothing in it."""
    column = chosen(items, column)
    texts = items.text[column]
    if not any(text.strip() for text in texts):
        raise BenchError(
            f"category identifiers need categories, but column '{column}' of the item table is empty for all "
            f"{len(items):,} items; name another with --set numeric.column=NAME: {columns(items)}"
        )
    return texts


def chosen(items: ItemTable, column: str | None) -> str:
    """The column asked for, else the first that has a usual name."""
    wanted = USUAL if column is None else (column,)
    for name in wanted:
        if name in items.text:
            return name
    raise BenchError(
        f"category identifiers need a column of categories; asked for {' or '.join(wanted)}, the item table has "
        f"{columns(items)}; name one with --set numeric.column=NAME"
    )


def columns(items: ItemTable) -> str:
    return ", ".join(items.text) or "no text columns"


def split(text: str, separator: str) -> Names:
    """The names in a text, white space made even; "a,, b " has two."""
    parts = [text] if separator == "whole" else text.split("," if separator == "comma" else None)
    return tuple(name for name in (" ".join(part.split()) for part in parts) if name)


def root(paths: Sequence[Names], items: Sequence[int]) -> Names:
    """The names that nearly all paths of any name begin with, which tell nothing: a shop's own name, most often.
    ``items`` are so many for each path.
    """
    start: Names = ()
    everything = sum(count for path, count in zip(paths, items, strict=True) if path)
    while True:
        depth, longer = len(start), Counter[Names]()
        for path, count in zip(paths, items, strict=True):
            if path[:depth] == start and len(path) > depth:
                longer[path[: depth + 1]] += count
        deeper, count = longer.most_common(1)[0] if longer else (start, 0)
        if not count or count < NEARLY_ALL * everything:
            return start
        start = deeper
