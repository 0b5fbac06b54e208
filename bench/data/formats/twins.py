"""Ids that a reader takes for one and a program for two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def notes(ids: Sequence[str], what: str) -> tuple[str, ...]:
    """That ids differ from others by white space at their ends alone, of a ``what`` such as ``item``."""
    counts = Counter(map(str.strip, ids))
    twins = [name for name in ids if name != name.strip() and counts[name.strip()] > 1]
    if not twins:
        return ()
    other = next(name for name in ids if name != twins[0] and name.strip() == twins[0].strip())
    return (
        f"{len(twins):,} {what} ids differ from another by white space at their ends alone, such as {twins[0]!r} and "
        f"{other!r}: each is a different {what}",
    )


def nearly(lacking: Sequence[str], known: Iterable[str]) -> str:
    """That an id which a catalogue is ``lacking`` is there but for what a spreadsheet changes; "" where none is."""
    by_bare: dict[str, str] = {}
    for name in known if lacking else ():
        by_bare.setdefault(_bare(name), name)
    pairs = ((name, by_bare[_bare(name)]) for name in lacking if _bare(name) in by_bare)
    same = "write ids as the same text in both files"
    return next((f"'{here}' here may be '{there}' there: {same}" for here, there in pairs), "")


def _bare(name: str) -> str:
    """``="007"``, `` 7`` and ``7.0`` are ``7``."""
    return name.strip(' \t="').removesuffix(".0").lstrip("0").casefold()
