"""What a task of Slurm does. It is handed over as a pickle, and until that is read a signal ends the task for good: so
nothing here imports what takes seconds to import.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.training.signals import interrupted_by_sigterm, patient, scheduler

TOLD = signal.SIGUSR2
NOTICE = 90  # seconds before its end that a task is told of it
SLACK = 150  # seconds that Slurm may tell it earlier, and that a task takes to begin


@dataclass(frozen=True)
class Task:
    """What a task does, as it is handed to Slurm: the whole plan as text, of which it does one run."""

    plan: str
    words: tuple[str, ...]

    def __call__(self, folder: str) -> list[str]:
        begin = time.monotonic()

        from bench.results.deaths import OUT_OF_TIME
        from bench.runs.matrix import execute
        from bench.runs.slurm_settings import settings
        from bench.runs.worker import from_json

        sys.argv = ["bench", *self.words]  # what the results say that repeats them
        whole = from_json(self.plan)
        plan = replace(whole, slurm="", jobs=1, only=folder)
        end = begin + 60 * math.ceil(60 * settings(whole.slurm).hours) - NOTICE - SLACK  # Slurm counts whole minutes
        # One that is preempted says nothing of what the run lacks, however often it comes.
        with saved_first(TOLD, lambda: OUT_OF_TIME if time.monotonic() > end else ""):
            return [str(path) for path in execute(plan)]

    def checkpoint(self, folder: str) -> Any:
        """What submitit puts back into the queue: the same again, for all that was done is in the results folder."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, folder)


@contextmanager
def saved_first(number: int, reason: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Whatever handles a signal does so after the run under way has been saved. Its ``reason`` is noted where it is.

    A SIGTERM alone is saved for too; then this waits for what else Slurm has to say, for it alone decides what becomes
    of a task that it preempts. What it sends after the first signal says nothing new, and cuts no saving short.
    """
    before: Any = signal.getsignal(number)
    got: list[int] = []

    def note(number: int, frame: object) -> None:
        got.append(number)
        scheduler.reason = reason()
        signal.raise_signal(signal.SIGTERM)

    signal.signal(number, note)
    try:
        with patient(NOTICE), interrupted_by_sigterm():
            yield
    except KeyboardInterrupt:
        signal.signal(number, before)
        if got and callable(before):
            before(number, None)
        elif not got:
            time.sleep(NOTICE)
        raise
    finally:
        scheduler.reason = ""
        signal.signal(number, before)
