"""The report as one HTML file that needs nothing else: tables to sort, pictures, identifiers of some items.

The page is made from ``page/page.html`` with its style and script written into it; it loads nothing and works from a
disk. Everything in it comes from stored results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

import bench
from bench.console import visible
from bench.report import figures, identifiers
from bench.report.identifiers import Identifiers
from bench.report.rows import Row, Section, sections
from bench.report.table import Cell, Chapter, Column, Note, Source, Table
from bench.results.read import Result

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
    title: str
    facts: str
    tables: tuple[Table, ...]
    drawings: tuple[Drawing, ...]
    after: tuple[Table, ...]
    notes: tuple[Note, ...]


def page(results: Sequence[Result], chapters: Sequence[Chapter]) -> str:
    """The whole page: for each chapter its tables, and beside those of a data set all that is to be seen of it."""
    found = sections(results)
    looks = figures.looks(found)
    parts = [
        _part(f"data-{number}", chapter, found[number - 1] if number <= len(found) else None, looks)
        for number, chapter in enumerate(chapters, start=1)
    ]
    for at in range(len(found), len(parts)):
        parts[at] = replace(parts[at], drawings=_drawings(found, looks, parts[at].anchor, ["ranks"]))
    return template().render(parts=parts, lead=_lead(results, found), bench=bench)


def _part(anchor: str, chapter: Chapter, section: Section | None, looks: figures.Looks) -> Part:
    if section is None:
        return Part(anchor, chapter.title, "", chapter.tables, (), (), chapter.notes)
    dataset = section.dataset
    facts = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    named = samples(section)
    after = () if named is None else (named,)
    drawings = _drawings([section], looks, anchor, figures.PICTURES)
    return Part(anchor, chapter.title, facts, chapter.tables, drawings, after, chapter.notes)


def _drawings(found: Sequence[Section], looks: figures.Looks, anchor: str, names: Iterable[str]) -> tuple[Drawing, ...]:
    drawn = {name: figures.svg(name, found, looks, f"{anchor}-{name}") for name in names}
    pictures = {name: figures.PICTURES[name] for name, made in drawn.items() if made}
    return tuple(Drawing(content.title, content.caption, Markup(drawn[name])) for name, content in pictures.items())


def samples(section: Section, count: int = SAMPLE) -> Table | None:
    """Identifiers of the same items under every scheme; None where no scheme has identifiers to show."""
    content = identifiers.of_section(section)
    if not content:
        return None
    items = identifiers.sample([found for _, found in content], count)
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
    return "" if not number else f"{number:,} {what}" + ("" if number == 1 else "s")


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
    made.filters |= {"broken": broken, "key": key, "pieces": pieces, "shown": shown, "together": together}
    made.globals |= {"resource": lambda name: Markup(_resource(name))}
    return made.get_template("page.html")


def _one_line(value: object) -> object:
    """What is no markup of ours holds no character that a page may not."""
    return value if value is None or isinstance(value, Markup) else visible(str(value))


def _resource(name: str) -> str:
    return (files("bench.report") / "page" / name).read_text(encoding="utf-8")


def together(notes: Sequence[Note]) -> list[tuple[str, list[Note]]]:
    """Neighboring notes of one title under that title."""
    return [(title, list(content)) for title, content in groupby(notes, lambda note: note.title)]


def broken(text: str) -> Markup:
    """Text that may be broken into lines behind a slash."""
    return Markup(re.sub(r"(?<=\w)/(?=\w)", "/<wbr>", str(escape(visible(text)))))


def pieces(note: Note) -> Markup:
    """The text of a note."""
    return Markup().join(_tagged("strong" if strong else "", broken(piece)) for piece, strong in note.pieces)


def shown(cell: Cell) -> Markup:
    """A cell with its spread and interval: strong the best, underlined the second."""
    value = _tagged(TAGS[cell.highlight], broken(cell.text + cell.mark))
    rest = " ".join(part for part in (cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)
    return Markup("{} {}").format(value, _tagged("small", escape(rest))) if rest else value


def _tagged(tag: str, inside: Markup) -> Markup:
    return Markup(f"<{tag}>{{}}</{tag}>").format(inside) if tag else inside


def key(cell: Cell) -> str | None:
    """What a cell is sorted by as a number; None for words and for what does not exist."""
    return None if cell.value is None or isinstance(cell.value, str) else repr(float(cell.value))
