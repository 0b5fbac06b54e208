"""How the tries of a run have died before anything was saved, as whoever gives it up tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

KILLED, OUT_OF_TIME = "killed", "out of time"
LACKS = {KILLED: "memory", OUT_OF_TIME: "hours"}  # what it needs more of
TIMEOUTS = 2  # of tries that had all the time that a scheduler gives, after which a third would be no different


def death(ended: str, note: str) -> str:
    """Of a try that was at ``note`` and that a scheduler has ``ended``, or nobody knows who."""
    return f"{ended or KILLED} at '{note or 'its start'}'"


def outlasts(ends: Sequence[str]) -> bool:
    """Whether a try needs more time than there is."""
    return sum(each.startswith(OUT_OF_TIME) for each in ends) >= TIMEOUTS


def told(count: int, ends: Sequence[str]) -> str:
    """Of so many tries the last ``ends``, each way of dying once, and what the run lacks."""
    times = (f"{each}{f' ({count} times)' if count > 1 else ''}" for each, count in Counter(ends).items())
    more = " or ".join(word for how, word in LACKS.items() if any(each.startswith(how) for each in ends))
    return f"{count} tries have ended without anything saved: {'; '.join(times)}; give it more {more}"
