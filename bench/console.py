"""What is printed for people: text from outside is shown and does nothing, on any terminal and in any file.

Titles, ids and names come from strangers. Rich reads markup and ``:names:`` of emoji in plain strings and lets control
characters through; here it does neither, so that an id that is printed can be pasted back. Whoever wants bold text
builds a ``Text``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import IO, Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# Controls, line ends, halves of characters, and what turns the direction of writing, so that a text looks like another.
INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


WHOLE: dict[str, Any] = {"no_wrap": True, "overflow": "ignore"}  # of a column of ids, which are pasted back


def visible(text: str) -> str:
    """Text on one line, without characters that steer a terminal or that a file cannot hold."""
    return INVISIBLE.sub(" ", text)


class Console(RichConsole):
    """Rich's, without markup, emoji and highlighting, and deaf to control characters in what it is given."""

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, **options)

    @property
    def lively(self) -> bool:
        """Whether somebody watches: bars are for terminals and for notebooks that can redraw them (``ipywidgets``), and
        ``FORCE_COLOR`` makes none.
        """
        if self.is_jupyter:
            return find_spec("ipywidgets") is not None
        stream: Any = self.file
        return self.is_terminal and bool(getattr(stream, "isatty", lambda: False)())

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every piece of text on its way out; what rich itself tells the terminal passes."""
        for segment in super().render(renderable, options):
            if segment.control or not UNPRINTABLE.search(segment.text):
                yield segment
            else:
                yield Segment(UNPRINTABLE.sub("", segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Rich would end the command here, before the files that were asked for beside."""
        nobody_reads(self.file)

    def show(self, table: Table) -> None:
        """A table that is not cut where a terminal is narrow: columns that must not wrap are written in full."""
        for column in table.columns:
            if column.no_wrap and column.overflow == "ignore":
                column.min_width = max((len(str(cell)) for cell in column.cells), default=0)
        self.print(table, crop=False)


def bold(text: str) -> Text:
    return Text(visible(text), "bold")


def say(text: str) -> None:
    """One line on standard error, whatever is in it."""
    print(visible(text), file=sys.stderr, flush=True)


def nobody_reads(stream: IO[str]) -> None:
    """Whoever read a stream has left, as ``| head`` does: what else is printed goes nowhere, and the work goes on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def write_anyhow() -> None:
    """Print ``?`` for what the terminal's encoding lacks, rather than raise: to be called once, at the start."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
