"""How the tries of a run have died before anything was saved, as whoever gives it up tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

KILLED, OUT_OF_TIME = "killed", "out of time"
LACKS = {KILLED: "memory", OUT_OF_TIME: "hours"}  # what it needs more of
TIMEOUTS = 2  # of tries that had all the time that a scheduler gives, after which a third would be no different


@dataclass(frozen=True)
class Death:
    """Of a try for a command that ``began`` then: ``how`` it ended, by whoever, and ``where`` it was."""

    how: str
    where: str
    began: float

    def __str__(self) -> str:
        return f"{self.how} at '{self.where or 'its start'}'"


def outlasts(ends: Sequence[Death]) -> bool:
    """Whether a try needs more time than there is."""
    return sum(each.how == OUT_OF_TIME for each in ends) >= TIMEOUTS


def told(ends: Sequence[Death]) -> str:
    """Each way of dying once, and what the run lacks."""
    ways = Counter(map(str, ends))
    times = (f"{way}{f' ({count} times)' if count > 1 else ''}" for way, count in ways.items())
    more = " or ".join(word for how, word in LACKS.items() if any(each.how == how for each in ends))
    return f"{len(ends)} tries have ended without anything saved: {'; '.join(times)}; give it more {more}"
