"""What a person sees while a run is under way: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.console import Console

LINE_EVERY = 15.0  # seconds between lines where there is no terminal


class Bar:
    """One piece of work with a known total.

    ``advance`` counts from the bar's making. Where ``at`` comes first, speed is measured from there on: what was before
    it is loading, or an earlier run. Another total is another piece of work, and measured anew.
    """

    def __init__(self, display: Display, description: str, total: int) -> None:
        self.display, self.description, self.total = display, description, total
        self.done, self.begin, self.printed, self.measured = 0, time.monotonic(), time.monotonic(), total
        self.start: int | None = None
        self.task = display.progress.add_task(description, total=total, note="") if display.progress else None

    def advance(self, amount: int = 1) -> None:
        self.start = self.start or 0
        self.at(self.done + amount)

    def at(self, done: int, note: str | None = None) -> None:
        """Move to ``done`` of the total; ``note`` is shown behind the bar."""
        self.done = min(done, self.total)
        self.display.moved(f"{self.description}: {self.done:,} of {self.total:,}")
        if self.start is None or self.measured != self.total:
            self.start, self.begin, self.measured = self.done, time.monotonic(), self.total
            if self.display.progress and self.task is not None:
                self.display.progress.reset(self.task, total=self.total, completed=self.done)
        if self.display.progress and self.task is not None:
            self.display.progress.update(self.task, total=self.total, completed=self.done)
            if note is not None:
                self.display.progress.update(self.task, note=note)
        elif self.display.loud and self.display.ticking and time.monotonic() - self.printed > LINE_EVERY:
            self.printed = time.monotonic()
            text = f"{self.description}: {self.done:,} of {self.total:,}{self._left()}"
            self.display.say(f"{text}  {note}" if note else text)

    def _left(self) -> str:
        """The time to the end, once there is a speed to tell it by."""
        if self.start is None or self.done <= self.start:
            return ""
        seconds = (time.monotonic() - self.begin) * (self.total - self.done) / (self.done - self.start)
        return f", about {minutes(seconds)} left"


class Display:
    """Where notes and bars go. Only one process of a run is ``loud``. One that is not ``ticking`` tells how far it is
    only who asks for its ``position``; ``check`` is called whenever that changes, and may raise.
    """

    def __init__(self, loud: bool = True, ticking: bool = True) -> None:
        self.loud, self.ticking, self.position = loud, ticking, ""
        self.check: Callable[[], None] = lambda: None
        self.console = Console(stderr=True)
        self.progress: Progress | None = None

    def say(self, text: str) -> None:
        if self.loud:
            self.console.print(text, soft_wrap=True)

    def moved(self, position: str) -> None:
        self.position = position
        self.check()

    @contextlib.contextmanager
    def bar(self, description: str, total: int) -> Iterator[Bar]:
        """A bar for the time of the block."""
        if not (self.loud and self.console.lively):
            yield Bar(self, description, total)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as self.progress:
            yield Bar(self, description, total)
        self.progress = None


def minutes(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss``."""
    hours, rest = divmod(int(seconds), 3600)
    short = f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{short:0>5}" if hours else short
