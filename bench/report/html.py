"""The report as one HTML file that needs nothing else: tables to sort, pictures, identifiers of some items.

The page is made from ``page/page.html`` with its style and script written into it; it loads nothing and works from a
disk. Everything in it comes from stored results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

import bench
from bench.console import visible
from bench.errors import counted
from bench.report import figures, identifiers, layout
from bench.report.again import TITLE
from bench.report.filters import Mark, filters, marked
from bench.report.identifiers import Identifiers
from bench.report.numbers import probability
from bench.report.pairs import STAR
from bench.report.rows import Row, Section, sections
from bench.report.sparklines import drawn, with_courses
from bench.report.table import Cell, Chapter, Column, Note, Source, Table
from bench.report.table import pieces as pieces_of
from bench.results.read import Result

LEADING = ("quality", "cost")  # pictures that stand before the tables
SAMPLE = 12  # items whose identifiers are shown
TAGS = {"best": "strong", "second": "u", "": ""}


@dataclass(frozen=True)
class Drawing:
    """A picture inside the page."""

    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True)
class Part:
    """All about one data set, or about all of them together. ``anchor`` is its id in the page."""

    anchor: str
    chapter: Chapter
    facts: str
    leading: tuple[Drawing, ...]
    tables: tuple[Table, ...]
    drawings: tuple[Drawing, ...]

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchors and titles of what the part holds, in its order."""
        tables = [(f"{self.anchor}-{table.name}", table.title) for table in self.tables]
        more = [(f"{self.anchor}-pictures", "More pictures")] if self.drawings else []
        return [*tables, *more, (f"{self.anchor}-conditions", "Conditions")]


def page(results: Sequence[Result], chapters: Sequence[Chapter], request: str = "") -> str:
    """The whole page: for each chapter its tables, and beside those of a data set all that is to be seen of it; at the
    end ``request``, the file that makes the rows again.
    """
    found = sections(results)
    looks = figures.looks(found)
    left = list(found)
    parts = []
    for number, chapter in enumerate(chapters, start=1):
        shown = found if chapter.dataset is None else [left.pop(0)]
        parts.append((_over if chapter.dataset is None else _part)(f"data-{number}", chapter, shown, looks))
    rows = [row for section in found for row in section.rows]
    return template().render(
        parts=parts,
        lead=_lead(results, found),
        bench=bench,
        marks={run.path: marked(row) for row in rows for run in row.runs},
        filters=filters(rows, found),
        legend=layout.legend(chapters),
        chapters=chapters,
        common=layout.common(chapters),
        again=TITLE if request else "",
        request=Markup(escape(request)),  # marked, for it keeps its lines
        banner=next((chapter.banner for chapter in chapters if chapter.banner), ""),
    )


def _over(anchor: str, chapter: Chapter, found: Sequence[Section], looks: figures.Looks) -> Part:
    return Part(anchor, chapter, "", _drawings(found, looks, anchor, ["ranks"]), chapter.tables, ())


def _part(anchor: str, chapter: Chapter, found: Sequence[Section], looks: figures.Looks) -> Part:
    (section,) = found
    dataset = section.dataset
    facts = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    named = samples(section)
    tables = [with_courses(table, section.rows) if table.name == "quality" else table for table in chapter.tables]
    others = [name for name in figures.PICTURES if name not in LEADING]
    return Part(
        anchor,
        chapter,
        facts,
        _drawings(found, looks, anchor, LEADING),
        (*tables, *(() if named is None else (named,))),
        _drawings(found, looks, anchor, others),
    )


def _drawings(found: Sequence[Section], looks: figures.Looks, anchor: str, names: Iterable[str]) -> tuple[Drawing, ...]:
    pictures_by_name = {name: figures.svg(name, found, looks, f"{anchor}-{name}") for name in names}
    pictures = {name: figures.PICTURES[name] for name, made in pictures_by_name.items() if made}
    return tuple(
        Drawing(content.title, content.caption, Markup(pictures_by_name[name])) for name, content in pictures.items()
    )


def samples(section: Section) -> Table | None:
    """Identifiers of the same items under every scheme; None where no scheme has identifiers to show."""
    content = identifiers.of_section(section)
    if not content:
        return None
    items = identifiers.sample([found for _, found in content], SAMPLE)
    named = [_identifiers(row, found, items) for row, found in content]
    note = Note("items", f"{len(items)} of {section.dataset.items:,}, drawn at random, the same for all schemes")
    return Table("samples", "Identifiers of some items", _items(*content[0], items), tuple(named), (note,))


def _items(row: Row, found: Identifiers, items: Sequence[str]) -> Column:
    position = {item: at for at, item in enumerate(found.items)}
    titles = [found.titles[position[item]] for item in items]
    source = Source((row.first.path,), ("ids.parquet:item", *(["ids.parquet:title"] if any(titles) else [])))
    texts = (f"{title} ({item})" if title else item for item, title in zip(items, titles, strict=True))
    return Column("item", tuple(Cell(text, source, text) for text in texts), numeric=False)


def _identifiers(row: Row, found: Identifiers, items: Sequence[str]) -> Column:
    position = {item: at for at, item in enumerate(found.items)}
    source = Source((row.first.path,), ("ids.parquet:identifier",))
    texts = (found.texts[position[item]] for item in items)
    return Column(row.label, tuple(Cell(text, source, text) for text in texts), numeric=False)


def _lead(results: Sequence[Result], found: Sequence[Section]) -> str:
    kinds = {
        kind: {row.first.scheme.name for section in found for row in section.rows if row.baseline is kind}
        for kind in (False, True)
    }
    counts = [
        _count(len(kinds[False]), "identifier scheme"),
        _count(len(kinds[True]), "baseline"),
        _count(len(found), "data set"),
        _count(len(results), "finished run"),
    ]
    return ", ".join(count for count in counts if count)


def _count(number: int, what: str) -> str:
    return counted(number, what) if number else ""


def template() -> Template:
    """The page, to be filled."""
    made = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"broken": broken, "key": key, "pieces": pieces, "shown": shown, "together": together, "tone": tone}
    made.globals |= {
        "resource": lambda name: Markup(_resource(name)),
        "own": layout.own,
        "conditions": layout.conditions,
        "grouped": grouped,
    }
    return made.get_template("page.html")


def _one_line(value: object) -> object:
    """What is no markup of ours holds no character that a page may not."""
    return value if value is None or isinstance(value, Markup) else visible(str(value))


def _resource(name: str) -> str:
    return (files("bench.report") / "page" / name).read_text(encoding="utf-8")


def grouped(table: Table, cell: Cell, marks: Mapping[str, Mark]) -> Mark | None:
    """What a line of a table is filtered by; None for a line that is not about a row."""
    mark = marks.get(next(iter(cell.source.folders), ""))
    return mark if mark and mark.label in cell.text and table.name != "samples" else None


def together(notes: Sequence[Note]) -> list[tuple[str, list[Note]]]:
    """Neighboring notes of one title under that title."""
    return [(title, list(content)) for title, content in groupby(notes, lambda note: note.title)]


def broken(text: str) -> Markup:
    """Text that may be broken into lines behind a slash or a plus within a word."""
    return Markup(re.sub(r"(?<=\w)([/+])(?=\w)", r"\1<wbr>", str(escape(visible(text)))))


def pieces(text: str) -> Markup:
    """The text of a note or of a paragraph."""
    return Markup().join(_tagged("strong" if strong else "", broken(piece)) for piece, strong in pieces_of(text))


def shown(cell: Cell) -> Markup:
    """A cell with its spread and interval, or the p of a difference: strong the best, underlined the second."""
    if cell.course:
        return drawn(cell.course, cell.parts)
    value = _tagged(TAGS[cell.highlight], broken(cell.text + cell.mark))
    p = "" if cell.p is None else f"p {probability(cell.p)}"
    rest = " ".join(part for part in (cell.spread, f"[{cell.interval}]" if cell.interval else "", p) if part)
    return Markup("{} {}").format(value, _tagged("small", escape(rest))) if rest else value


def tone(cell: Cell) -> str:
    """The class of a difference that is told apart."""
    if cell.mark != STAR or not isinstance(cell.value, float):
        return ""
    return "ahead" if cell.value > 0 else "behind"


def _tagged(tag: str, inside: Markup) -> Markup:
    return Markup(f"<{tag}>{{}}</{tag}>").format(inside) if tag else inside


def key(cell: Cell) -> str | None:
    """What a cell is sorted by as a number; None for words and for what does not exist."""
    return None if cell.value is None or isinstance(cell.value, str) else repr(float(cell.value))
