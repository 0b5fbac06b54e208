"""What a report is made of, as plain data: tables of cells, each with its value, its text and where it comes from.

Whoever renders a table (Markdown, a terminal, LaTeX, a frame, a page) reads this and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bench.results.schema import DatasetFacts

DASH = "\N{EN DASH}"  # between the ends of an interval, and alone for what does not exist
DAGGER = "\N{DAGGER}"
STRONG = "\N{START OF TEXT}", "\N{END OF TEXT}"  # around what a note emphasises: no renderer lets data print them
EMPHASISED = re.compile("{0}([^{0}{1}]*){1}".format(*STRONG))


def strong(text: str) -> str:
    """What a note emphasises, to be put into its text."""
    return text.join(STRONG)


def pieces(text: str) -> list[tuple[str, bool]]:
    """Stretches of a text, and whether each is emphasised."""
    return [(piece, bool(at % 2)) for at, piece in enumerate(EMPHASISED.split(text)) if piece]


@dataclass(frozen=True)
class Source:
    """Run folders below the results folder, and which of their ``file:field`` a value was read or computed from.

    The fields of ``result.json`` are its keys joined by dots; those of a Parquet file are its columns. ``published``
    names entries of ``bench/report/published.toml`` that it was taken from or compared with.
    """

    folders: tuple[str, ...]
    fields: tuple[str, ...]
    published: tuple[str, ...] = ()

    def __str__(self) -> str:
        ours = [f"{', '.join(self.folders)}: {', '.join(self.fields)}"] if self.folders else []
        return "; ".join([*ours, *(f"published.toml: {entry}" for entry in self.published)])


@dataclass(frozen=True)
class Cell:
    """One value. ``text`` is plain: no character of it is markup. ``value`` is not rounded, and None for what does not
    exist; ``ends`` are those of its 95 % interval.

    ``highlight`` is ``best`` or ``second`` among the rows that may be compared; ``mark`` is a †, a * or nothing. ``p``
    is that of a difference, corrected for all that were tested. ``course`` holds values in order of time, to be drawn
    where there is room for a picture, ``parts`` the same of each data set that was joined, with its name.
    """

    text: str
    source: Source
    value: float | str | None = None
    sd: float | None = None
    ends: tuple[float, float] | None = None
    signed: bool = False
    highlight: Literal["", "best", "second"] = ""
    mark: str = ""
    p: float | None = None
    course: tuple[float, ...] = ()
    parts: tuple[tuple[str, tuple[float, ...]], ...] = ()

    @property
    def spread(self) -> str:
        """The deviation over seeds as text: ``± 0.0011``."""
        return "" if self.sd is None else f"± {self.sd:.4f}"

    @property
    def interval(self) -> str:
        """The interval as text: ``0.0233`` to ``0.0267``, of a difference ``+0.0187, +0.0215``."""
        if self.ends is None:
            return ""
        low, high = self.ends
        return f"{low:+.4f}, {high:+.4f}" if self.signed else f"{low:.4f}{DASH}{high:.4f}"


@dataclass(frozen=True)
class Column:
    """One cell for each row of the table. Numbers are set flush right, text flush left."""

    title: str
    cells: tuple[Cell, ...]
    numeric: bool = True


@dataclass(frozen=True)
class Note:
    """One remark. Its text is plain but for what is ``strong``; whoever prints it reads ``pieces``.

    A ``legend`` says how to read a table, whatever its numbers: it is printed once, at the end of a report.
    """

    title: str
    text: str
    legend: bool = False

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """Stretches of the text, and whether each is emphasised."""
        return pieces(self.text)


@dataclass(frozen=True)
class Table:
    """``head`` names the rows. ``name`` is the same for the same table of every data set: ``quality``, ``costs``, …"""

    name: str
    title: str
    head: Column
    columns: tuple[Column, ...]
    notes: tuple[Note, ...]

    @property
    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The cells line by line, the head first."""
        return zip(*(column.cells for column in (self.head, *self.columns)), strict=True)


@dataclass(frozen=True)
class Chapter:
    """All tables of one data set and the conditions that they share; ``dataset`` is None for one over data sets.

    ``banner`` warns of scores that mean nothing. ``answer`` are paragraphs that say what the tables show. ``brief`` is
    what of ``notes`` has to stand by a table even where there is little room.
    """

    title: str
    dataset: DatasetFacts | None
    tables: tuple[Table, ...]
    notes: tuple[Note, ...]
    banner: str = ""
    answer: tuple[str, ...] = ()
    brief: tuple[Note, ...] = ()

    def table(self, name: str) -> Table | None:
        """The table of this name, where there is one."""
        return next((table for table in self.tables if table.name == name), None)
