"""Several runs, one after the other: one that another process is at is looked at again when the others are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import BenchError, BusyError

LOOK_EVERY = 5.0  # seconds, where nothing is left but what others are at

Work = tuple[str, Callable[[], list[Path]]]


def bring_to_end(work: Sequence[Work], say: Callable[[str], None], keep_going: bool, alone: bool = True) -> list[Path]:
    """The folders of all runs. ``work`` has what each is called and what does it.

    A failure ends all, or with ``keep_going`` only this piece of the work: BenchError at the end, which names them.
    ``alone``: there are no other ranks, which would wait while this one tries another run first.
    """
    waiting, failed, done, told = list(work), list[str](), list[Path](), set[str]()
    while waiting:
        busy: list[Work] = []
        for title, do in waiting:
            try:
                done += do()
            except BusyError as error:
                if not alone:
                    raise
                if title not in told:
                    say(f"{title}: {error}; looking again later")
                told.add(title)
                busy.append((title, do))
            except BenchError as error:
                if not (keep_going and alone):
                    raise
                say(f"{title}: failed: {error}")
                failed.append(f"{title} ({error})")
        if busy and len(busy) == len(waiting):
            time.sleep(LOOK_EVERY)
        waiting = busy
    if failed:
        raise BenchError(f"{len(failed)} of {len(work)} failed, the others are stored: {'; '.join(failed)}")
    return done
