"""Categories as the item table lists them: "Toys & Games, Puzzles, Jigsaw Puzzles" is a path of three names.

Nothing tells a name that has a comma from two names: Amazon's "Creams, Gels & Lotions" is a path of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.data.dataset import ItemTable
from bench.errors import BenchError

USUAL = ("categories", "category", "genres", "genre")
NEARLY_ALL = 0.9  # of the items that have categories
MISSING = ""  # the name of the branch of items without categories; no category is called that

Names = tuple[str, ...]


def category_paths(items: ItemTable, column: str | None, separator: str) -> list[Names]:
    """``[items]``: the names of each item's path below the ``root``.

    ``separator`` is ``comma``, ``space``, ``whole`` (a text is one name) or ``auto``: ``comma`` where the column has
    one, else ``space``, as MovieLens writes genres: in such a column "Board Games" is two names, where one is meant
    ``comma`` must be given. BenchError where there is no such column or nothing in it.
    """
    texts = category_texts(items, column)
    if separator == "auto":
        separator = "comma" if any("," in text for text in texts) else "space"
    paths = [split(text, separator) for text in texts]
    start = root([path for path in paths if path])
    below = [path[len(start) :] if path[: len(start)] == start else path for path in paths]
    return [short if path else (MISSING,) for short, path in zip(below, paths, strict=True)]


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


def root(paths: Sequence[Names]) -> Names:
    """The names that nearly all paths begin with, which tell nothing: a shop's own name, most often."""
    start: Names = ()
    while True:
        depth = len(start)
        longer = Counter(path[: depth + 1] for path in paths if path[:depth] == start and len(path) > depth)
        deeper, count = longer.most_common(1)[0] if longer else (start, 0)
        if not count or count < NEARLY_ALL * len(paths):
            return start
        start = deeper
