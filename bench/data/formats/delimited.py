"""Tables in text: CSV, TSV, ``::`` and RecBole's atomic files, streamed. Every cell is the text that stands there."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import csv as arrow

from bench.data.formats import columns, stamps
from bench.data.formats.opening import HEAD, Source, reading
from bench.errors import BenchError

BLOCK = 1 << 24  # bytes
LONGEST = 4096  # letters of a cell in quotation marks that the beginning of a file may end in
MOST = 10  # wrong lines that an error names
SEPARATORS = ("\t", ",", ";", "|")
DOUBLE, UNIT = "::", "\x1f"  # MovieLens parts its cells by two colons, which become one sign that no text has
TOLD = re.compile(r'"?sep=([\t,;|])"?')
COMMENTS = ("#", "%")
ESCAPED = re.compile(rb'\\(["\\])')
TALLEST = 8  # lines of a header whose names hold line breaks
ATOMIC = (".inter", ".item", ".user")
RATED = ("user_id", "item_id", "rating", "timestamp")  # MovieLens, which has no header
MOVIES = ("item_id", "title", "genres")


@dataclass(frozen=True)
class Delimited:
    """A table in text. ``header``: whether its first line names the columns; else they are called by number, or as in
    MovieLens. ``before`` lines stand above it: blank ones, ``comments``, or one that says how cells are parted
    (``sep=;``), as for a spreadsheet; ``tall`` are the lines of the header. ``escaped``: whether quotation marks within
    cells stand behind backslashes, as Spark and MySQL write them, and not twice. Other backslashes stay.
    """

    source: Source
    separator: str
    quoted: bool
    header: bool
    columns: tuple[str, ...]
    before: int = 0
    comments: int = 0
    tall: int = 1
    escaped: bool = False

    def notes(self) -> list[str]:
        """What was guessed of the way the text is written."""
        lines = f"{self.comments:,} lines of comment" if self.comments > 1 else "a line of comment"
        return [
            *([f"'{self.source.name}' begins with {lines}: skipped"] if self.comments else []),
            *([f"'{self.source.name}' has backslashes before quotation marks: taken out"] if self.escaped else []),
        ]

    def batches(self, wanted: Sequence[str], ids: Sequence[str] = ()) -> Iterator[dict[str, pa.Array]]:
        """The wanted columns as text, piece by piece; none of the ``ids`` among them is nested in a text. BenchError
        where a line has more or fewer cells.
        """
        options = {
            "read_options": arrow.ReadOptions(
                column_names=list(self.columns), skip_rows=self.before + self.tall * self.header, block_size=BLOCK
            ),
            "parse_options": arrow.ParseOptions(
                delimiter=UNIT if self.separator == DOUBLE else self.separator,
                quote_char='"' if self.quoted else False,
                newlines_in_values=self.quoted,
            ),
            "convert_options": arrow.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted), check_utf8=False
            ),
        }
        try:
            with self._input() as file:
                for batch in arrow.open_csv(file, **options):
                    yield {name: batch.column(name) for name in wanted}
        except pa.ArrowInvalid as error:
            raise BenchError(self._wrong_line(error)) from error

    def _input(self) -> Any:
        if self.separator == DOUBLE:
            return _rewritten(self.source, lambda text: text.replace(DOUBLE.encode(), UNIT.encode()))
        if self.escaped:
            return _rewritten(self.source, _doubled)
        if self.source.encoding == "utf-8" and not self.source.compression:
            return pa.memory_map(str(self.source.path))
        return reading(self.source)

    def _wrong_line(self, error: Exception) -> str:
        """What Arrow stumbled over, with its lines: looked for slowly, since this ends the import."""
        opened = _rewritten(self.source, _doubled) if self.escaped else reading(self.source)
        with opened as file, closing(self._rows(file)) as rows:
            ragged = ((number, cells) for number, cells in rows if len(cells) not in (0, len(self.columns)))
            wrong = list(itertools.islice(ragged, MOST + 1))
        if wrong:
            number, cells = wrong[0]
            head = "header" if self.header else "first line"
            return (
                f"{self.source.path}, line {number}: {len(cells)} cells where the {head} has {len(self.columns)}"
                f"{_cause(cells)}{_others([number for number, _ in wrong[1:]])}"
            )
        cause = " ".join(str(error).split())[:160]
        return f"'{self.source.path}' is not a table parted by {self.separator!r}: {cause}"

    def _rows(self, file: BinaryIO) -> Generator[tuple[int, list[str]], None, None]:
        lines = io.TextIOWrapper(file, "utf-8-sig", newline="" if self.quoted else None)
        try:
            for _ in range(self.before):
                next(lines, None)
            if self.quoted:
                yield from _begun(csv.reader(lines, delimiter=self.separator), self.before + 1)
            else:
                cut = (line.rstrip("\n").split(self.separator) if line.strip() else [] for line in lines)
                yield from enumerate(cut, start=self.before + 1)
        finally:
            lines.detach()


def delimited(source: Source) -> Delimited | None:
    """The table that a text holds; None where it has one column, or its lines have no cells in common."""
    head = source.head.decode().replace("\r\n", "\n").replace("\r", "\n")
    lines = head.split("\n")
    lines = lines if len(source.head) < HEAD // 2 else lines[:-1] or lines
    before, comments, separator = _before(lines)
    if not separator:
        return None
    first, body = lines[before], "\n".join(head.split("\n")[before:])
    quoted = separator != DOUBLE and source.path.suffix not in ATOMIC and _is_quoted(body, separator)
    escaped = quoted and _is_escaped(body, re.escape(separator))
    cells, tall = _first(lines[before:], separator, escaped) if quoted else (first.split(separator), 1)
    names = [re.sub(r"\s*\n\s*", " ", cell.strip()) for cell in cells]
    header = columns.told(names) or not any(_is_number(name) or stamps.DATES.fullmatch(name) for name in names)
    if not header or (separator == DOUBLE and not columns.told(names)):
        header, named = False, _unnamed(separator, [line for line in lines[before:] if line.strip()][:200], len(cells))
    else:
        named = columns.distinct(names)
    return Delimited(source, separator, quoted, header, named, before, comments, tall, escaped)


def _before(lines: Sequence[str]) -> tuple[int, int, str]:
    """How many lines stand above the table, how many of them are comments, and what parts its cells; "" for nothing."""
    there = [at for at, line in enumerate(lines) if line.strip()]
    told = bool(there[1:]) and TOLD.fullmatch(lines[there[0]].strip(" "))
    at = there[1:] if told else there
    bare = next((row for row in at if not lines[row].startswith(COMMENTS)), at[0])
    separator = told[1] if told else _separator(lines[bare])
    if not separator:
        return at[0], 0, ""
    cells = lines[bare].split(separator)
    above = [row for row in at if row < bare]
    for number, row in enumerate(above):  # what looks like a comment may be the header, or an id
        other = lines[row].split(separator)
        if len(other) == len(cells) and not _is_header(cells, other):
            return row, number, separator
    return bare, len(above), separator


def _first(lines: Sequence[str], separator: str, escaped: bool) -> tuple[list[str], int]:
    """The cells of the first row, and how many lines it has."""
    some = [_doubled(line.encode()).decode() if escaped else line for line in lines[:TALLEST]]
    reader = csv.reader([f"{line}\n" for line in some], delimiter=separator)
    cells = next(reader)
    if reader.line_num < min(TALLEST, len(lines)):
        return cells, reader.line_num
    return next(csv.reader(some[:1], delimiter=separator)), 1


def _is_header(cells: Sequence[str], above: Sequence[str]) -> bool:
    """Whether a line names the columns, below one as long that begins as a comment does."""
    if columns.of_table(cells):
        return True
    return columns.told(cells) and not columns.told(above) and not any(map(_is_number, cells))


def _is_escaped(body: str, separator: str) -> bool:
    """Whether a cell in quotation marks holds one behind a backslash, which neither ends it nor stands twice."""
    return bool(re.search(rf'(?:^|[\n{separator}])"[^"]*\\"(?!["\n{separator}]|$)', body))


def _doubled(text: bytes) -> bytes:
    """Quotation marks twice instead of behind backslashes. ``\\N`` and paths keep theirs."""
    return ESCAPED.sub(lambda match: b'""' if match[1] == b'"' else b"\\", text)


def _separator(line: str) -> str:
    """What parts the cells of a line: the sign that it has most of, outside quotation marks."""
    if line.count(DOUBLE) >= 1 and "\t" not in line and "," not in line.partition(DOUBLE)[0]:
        return DOUBLE
    bare = "".join(part for part in line.split('"')[::2])
    counts = Counter({sign: bare.count(sign) for sign in SEPARATORS})
    best = max(SEPARATORS, key=counts.__getitem__)
    return best if counts[best] else ""


def _is_quoted(head: str, separator: str) -> bool:
    """Whether quotation marks hold cells together. Commas need them; tabs mostly stand in text that has none, where a
    title may begin with one.
    """
    if separator != "\t":
        return True
    begins = any(cell.startswith('"') for line in head.split("\n") for cell in line.split(separator))
    reader, widths, read = csv.reader(io.StringIO(head), delimiter=separator, strict=True), set[int](), 0
    try:
        for row in reader:
            widths.add(len(row))
            read = reader.line_num
    except csv.Error:  # a cell that has not ended where the head does, or a mark that is none of quoting
        left = "\n".join(head.split("\n")[read:])
        if len(head) < HEAD // 2 or len(left) > LONGEST:
            return False
    return begins and len(widths - {0}) == 1


def _unnamed(separator: str, lines: Sequence[str], width: int) -> tuple[str, ...]:
    """Names of columns that have none: those of MovieLens for its shapes, numbers from 1 for all others."""
    rows = [line.split(separator) for line in lines]
    if separator in (DOUBLE, "\t") and width == 4 and all(_is_number(cell) for row in rows for cell in row[2:]):
        return RATED
    if separator == DOUBLE and width == 3:
        return MOVIES
    return tuple(str(number) for number in range(1, width + 1))


def _begun(reader: Any, first: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of ``csv.reader``, each with the number of the line that it begins in, of which ``first`` is one."""
    start = first
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + first
    except csv.Error:  # a cell is too long: the rest of the file, behind a mark
        yield start, ["\n"]


def _cause(cells: Sequence[str]) -> str:
    """A guess at why a line has a wrong number of cells; ``""`` where there is none."""
    within = any("\n" in cell for cell in cells)
    return "; a quotation mark in it may lack its second, which holds several lines together" if within else ""


def _others(numbers: Sequence[int]) -> str:
    """More lines of that kind, so that all can be corrected at once."""
    if not numbers:
        return ""
    more = ", …" if len(numbers) >= MOST else ""
    lines = f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[: MOST - 1]))}{more}"
    return f"; the same in {lines}; correct or remove them"


def _is_number(text: str) -> bool:
    try:
        float(text.strip())
    except ValueError:
        return False
    return True


def _rewritten(source: Source, change: Callable[[bytes], bytes]) -> io.BufferedReader:
    """The content with a ``change``, such as one sign for two colons, a piece of whole lines at a time."""

    class Rewritten(io.RawIOBase):
        def __init__(self) -> None:
            self.context = reading(source)
            self.file, self.left = self.context.__enter__(), b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if not self.left:
                self.left = change(b"".join(self.file.readlines(BLOCK)))
            count = min(len(buffer), len(self.left))
            buffer[:count], self.left = self.left[:count], self.left[count:]
            return count

        def close(self) -> None:
            if not self.closed:
                self.context.__exit__(None, None, None)
            super().close()

    return io.BufferedReader(Rewritten(), BLOCK)
