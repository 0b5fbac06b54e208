"""Ids that a reader takes for one and a program for two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


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
