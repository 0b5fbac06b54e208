"""Ids that a program has changed all alike, and cells that say that there is nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

NO_ID = ("nan", "NaN", "None", "none", "null", "NULL", "NA", "N/A", "<NA>", "undefined", "NaT")
NO_TEXT = ("nan", "none", "null", "n/a", "<na>", "\\n")
FLOAT = re.compile(r"-?\d+\.0+")


def says_nothing(text: str) -> bool:
    """Whether a text is what a program writes where there is none."""
    return text.strip().lower() in NO_TEXT


def mended(names: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    """Ids, each once, as they were before all of them were changed in one way, and notes on that.

    Whole numbers have ".0", since a gap made them floats. White space stands before all, where cells are parted by a
    comma and a blank, or fills all up to one length, as a column of fixed width in a database. They stay as they are
    where two would become one.
    """
    names, notes = list(names), list[str]()
    bare = [name.strip() for name in names]
    spaced = bool(names) and names != bare and (_begin_blank(names) or len(set(map(len, names))) == 1)
    if spaced and len(set(bare)) == len(names):
        example = next(name for name in names if name != name.strip())
        notes.append(f"{what} ids have white space at their ends, all alike, such as {example!r}: read without")
        names = bare
    whole = [name.partition(".")[0] for name in names]
    if names and all(map(FLOAT.fullmatch, names)) and len(set(whole)) == len(names):
        notes.append(f"{what} ids are whole numbers written with '.0', as a gap in the column makes them: read without")
        names = whole
    return names, notes


def _begin_blank(names: Sequence[str]) -> bool:
    return all(name[:1].isspace() for name in names)
