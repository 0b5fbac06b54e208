"""The report as one HTML file that needs nothing else: tables to sort, pictures, identifiers of some items.

The page is made from ``page/page.html`` with its style and script written into it; it loads nothing and works from a
disk. Everything in it comes from stored results.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

import bench
from bench.report import figures, identifiers, published_sheet, sheet
from bench.report.results import Result
from bench.report.rows import Section, sections
from bench.report.sheet import UNDER, Sheet
from bench.report.table import DASH, Chapter, Note

SAMPLE = 12  # items whose identifiers are shown


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
    sheets: tuple[Sheet, ...]
    drawings: tuple[Drawing, ...]
    after: tuple[Sheet, ...]
    notes: tuple[Note, ...]


def page(results: Sequence[Result], chapters: Sequence[Chapter]) -> str:
    """The whole page: for each chapter its tables, and beside those of a data set all that is to be seen of it."""
    found = sections(results)
    looks = figures.looks(found)
    parts = [
        _part(f"data-{number}", chapter, found[number - 1] if number <= len(found) else None, looks)
        for number, chapter in enumerate(chapters, start=1)
    ]
    return template().render(parts=parts, lead=_lead(results, found), bench=bench)


def _part(anchor: str, chapter: Chapter, section: Section | None, looks: figures.Looks) -> Part:
    shown = tuple(sheet.from_table(table) for table in chapter.tables)
    if section is None:
        return Part(anchor, chapter.title, "", shown, (), (), chapter.notes)
    dataset = section.dataset
    facts = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    drawings = [
        Drawing(picture.title, picture.caption, Markup(drawn))
        for name, picture in figures.PICTURES.items()
        if (drawn := figures.svg(name, section, looks, f"{anchor}-{name}"))
    ]
    after = [made for made in (samples(section), published_sheet.compared(section)) if made is not None]
    return Part(anchor, chapter.title, facts, shown, tuple(drawings), tuple(after), chapter.notes)


def samples(section: Section, count: int = SAMPLE) -> Sheet | None:
    """Identifiers of the same items under every scheme; None where no scheme has identifiers to show."""
    held = identifiers.of_section(section)
    if not held:
        return None
    places = [{item: at for at, item in enumerate(found.items)} for _, found in held]
    rows = tuple(
        (
            _named(item, held[0][1].titles[places[0][item]]),
            *(found.texts[place[item]] for (_, found), place in zip(held, places, strict=True)),
        )
        for item in identifiers.sample([found for _, found in held], count)
    )
    note = Note("items", f"{len(rows)} of {section.dataset.items:,}, drawn at random, the same for all schemes")
    return Sheet("Identifiers of some items", ("item", *(row.label for row, _ in held)), rows, (note,))


def _named(item: str, title: str) -> str:
    return f"{title} ({item})" if title else item


def _lead(results: Sequence[Result], found: Sequence[Section]) -> str:
    kinds = {
        kind: {row.label for section in found for row in section.rows if row.baseline is kind} for kind in (False, True)
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
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"rich": rich, "number": sheet.number, "together": together}
    made.globals |= {"numeric": sheet.numeric, "resource": lambda name: Markup(_resource(name))}
    return made.get_template("page.html")


def _resource(name: str) -> str:
    return (files("bench.report") / "page" / name).read_text(encoding="utf-8")


def together(notes: Sequence[Note]) -> list[tuple[str, list[str]]]:
    """Neighbouring notes of one title under that title."""
    return [(title, [note.text for note in held]) for title, held in groupby(notes, lambda note: note.title)]


def rich(text: str) -> Markup:
    """A cell or note: what stands between ``**`` is strong, an interval is small; lines break after a slash."""
    pieces = re.sub(r"(?<=\w)/(?=\w)", "/<wbr>", str(escape(text))).split("**")
    strong = "".join(f"<strong>{piece}</strong>" if at % 2 else piece for at, piece in enumerate(pieces))
    strong = re.sub(f"^{UNDER}(.*?){UNDER}", r"<u>\1</u>", strong)
    interval = rf"\[[-+]?[\d.]+(?:{DASH}|, )[-+]?[\d.]+\]"
    return Markup(re.sub(rf"(?:± [\d.]+ ?)?{interval}|± [\d.]+", r"<small>\g<0></small>", strong))
