"""What a person sees while a run is under way: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from bench.console import Console, visible

LINE_EVERY = 15.0  # seconds between lines where there is no terminal
BAR, NARROW_BAR, NARROW = 24, 12, 100  # characters of a bar, and of a terminal where it is the shorter one


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
        display.moved(description)

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


class _Titled(Progress):
    """A bar under its title, each on one line however narrow the terminal is."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield Text(one_line(task.description, self.console.width), no_wrap=True, overflow="ellipsis")
            yield self.make_tasks_table([task])


class Display:
    """Where notes and bars go. Only one process of a run is ``loud``. One that is not ``ticking`` tells how far it is
    only who asks for its ``position``; ``check`` is called whenever that changes, and may raise. With ``times`` every
    line begins with its time. ``track`` is told the stage, step and stats of what is trained. ``noted`` is what a
    command of several requests has noted before.
    """

    def __init__(
        self, loud: bool = True, ticking: bool = True, times: bool = False, noted: set[str] | None = None
    ) -> None:
        self.loud, self.ticking, self.times, self.position = loud, ticking, times, ""
        self.noted = set() if noted is None else noted
        self.check: Callable[[], None] = lambda: None
        self.track: Callable[[str, int, Mapping[str, float]], None] = lambda stage, step, stats: None
        self.console = Console(stderr=True)
        self.progress: Progress | None = None

    def say(self, text: str) -> None:
        if self.loud:
            # the precise clock: strftime of its own would read a coarse one, milliseconds behind, so a second too early
            now = f"{datetime.now():%Y-%m-%d %H:%M:%S} " if self.times else ""
            self.console.print(now + text, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say it, unless it was noted before: what is true of a data set is true of all runs on it."""
        if text not in self.noted:
            self.noted.add(text)
            self.say(text)

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
            BarColumn(bar_width=NARROW_BAR if self.console.width < NARROW else BAR),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            # What is left of the line, and cut where that is too little.
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        )
        with _Titled(*columns, console=self.console, transient=True, expand=True) as self.progress:
            yield Bar(self, description, total)
        self.progress = None


def one_line(text: str, width: int) -> str:
    """One line of a width: of a longer text the start and the end, which says what is done at the moment."""
    line = visible(text)
    if len(line) <= width:
        return line
    tail = max(0, width - 1) // 2
    return f"{line[: max(0, width - 1 - tail)]}\N{HORIZONTAL ELLIPSIS}{line[len(line) - tail :]}"


def minutes(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss``."""
    hours, rest = divmod(int(seconds), 3600)
    short = f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{short:0>5}" if hours else short
