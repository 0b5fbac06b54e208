"""Several runs, one after the other: one that another process is at is looked at again when the others are done."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import outside, ranks
from bench.errors import BenchError, BusyError, PartlyFailedError, said
from bench.runs.progress import minutes

LOOK_EVERY = 5.0  # seconds, where nothing is left but what others are at
INSTANT = 1.0  # seconds: what took less had been done before


@dataclass(frozen=True)
class Work:
    """A run and the tests of its model. ``given_up``: why another worker of the same command has failed at it, if one
    has. Where ranks are several, all of them do all of it in step.
    """

    title: str
    do: Callable[[], list[Path]]
    given_up: Callable[[], str] = lambda: ""


class Pace:
    """How long it has taken, and how long it may still take."""

    def __init__(self, total: int) -> None:
        self.total, self.begin, self.done, self.instant = total, time.monotonic(), 0, 0

    def line(self, left: int) -> str:
        """``elapsed 12:03, about 30:10 left``, once something has been done that took its time."""
        elapsed = time.monotonic() - self.begin
        real = self.done - self.instant
        return f"elapsed {minutes(elapsed)}" + (f", about {minutes(elapsed / real * left)} left" if real > 0 else "")

    def ended(self, seconds: float) -> None:
        self.done, self.instant = self.done + 1, self.instant + (seconds < INSTANT)


class _Many:
    def __init__(self, work: Sequence[Work], say: Callable[[str], None], keep_going: bool) -> None:
        self.work, self.say, self.keep_going = work, say, keep_going
        self.pace, self.told = Pace(len(work)), set[str]()
        self.done, self.failed = list[Path](), list[str]()

    def one(self, number: int, left: int) -> bool:
        """Do a piece of the work; whether it has come to an end."""
        piece, begin = self.work[number], time.monotonic()
        if reason := piece.given_up():
            return self.fails(piece, reason)
        if len(self.work) > 1 and piece.title not in self.told:
            self.say(f"run {number + 1} of {len(self.work)}: {piece.title}; {self.pace.line(left)}")
        try:
            self.done += piece.do()
        except BusyError as error:
            if not ranks.agreed(error):
                raise
            if piece.title not in self.told:
                self.say(f"{piece.title}: {error.what}; looking again later")
            self.told.add(piece.title)
            return False
        except Exception as error:
            if not (self.keep_going and ranks.agreed(error)):
                raise
            if not isinstance(error, BenchError):
                traceback.print_exc()
            return self.fails(piece, str(error) if isinstance(error, BenchError) else said(error))
        self.pace.ended(time.monotonic() - begin)
        return True

    def fails(self, piece: Work, reason: str) -> bool:
        if not self.keep_going:
            raise BenchError(reason)
        self.say(f"{piece.title}: failed: {reason}")
        self.failed.append(f"{piece.title} ({reason})")
        return True


def bring_to_end(work: Sequence[Work], say: Callable[[str], None], keep_going: bool) -> list[Path]:
    """The folders of all runs.

    A failure ends all, or with ``keep_going`` only this piece of the work: BenchError at the end, which names them. One
    that not all ranks know of ends all: who can tell what the others are at?
    """
    many, waiting = _Many(work, say, keep_going), list(range(len(work)))
    while waiting:
        left = len(waiting)
        busy = [number for at, number in enumerate(waiting) if not many.one(number, left - at)]
        if len(busy) == left:
            with outside.waiting():
                time.sleep(LOOK_EVERY)
        waiting = busy
    refuse(many.failed, len(work), many.done)
    return many.done


def refuse(failed: Sequence[str], total: int, done: Sequence[Path]) -> None:
    """PartlyFailedError where some runs have failed, with the folders of those that are ``done``."""
    if failed:
        stored = "the others are stored" if len(failed) < total else "none is stored"
        raise PartlyFailedError(f"{len(failed)} of {total} failed, {stored}: {'; '.join(failed)}", done)
