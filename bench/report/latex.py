"""The main table and the pair matrix for a paper: booktabs at ``\\small``, in a column or across the page.

Bold the best, underlined the second. At most twelve rows unless others are asked for; what is to be known of a table
stands in its caption, since a table is pasted alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.console import visible
from bench.errors import unknown
from bench.report import leaders, pairs
from bench.report.rows import Row, Section
from bench.report.table import DASH, Cell, Chapter, Column, Note, Table, pieces

PREAMBLE = "% needs \\usepackage{booktabs}\n"
SPECIAL = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": "$\\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{DAGGER}": "$\\dagger$",
    "[": "{[}",  # at the start of a line these two belong to the \\\\ before them
    "*": "{*}",
    **{character: "\\" + character for character in "&%$#_{}"},
}
MEANING = re.compile("[" + re.escape("".join(SPECIAL)) + "]|-(?=-)")  # two hyphens are a dash to TeX
COLUMNS = ("ndcg@10", "hit@10", "training", "inference")  # of the main table, where no others are asked for
SOURCES = ("quality", "further", "costs")  # tables whose columns may be asked for
WARNINGS = (
    "contract",
    "contracts",
    "differing",
    "leaks",
    "zero-shot",
    "adapted",
    "trained on",
    "search",
    "sizes",
    "environment",
)
OF_ROWS = ("leaks", "zero-shot", "adapted", "trained on", "search", "sizes")  # which name rows that may not be shown
MEANINGS = (
    "Brackets hold 95 % intervals over users and seeds. Bold is the best row and every row not told apart from it "
    "(p (Holm) at least 0.05), underlined the best of the others."
)
DAGGERS = "\N{DAGGER} is better than every baseline."
PAIRED = (
    "In thousandths; * is told apart, p (Holm) below 0.05 over all comparisons, with the noise of training included; "
    f"{DASH} was not tested."
)
COLUMN, PAGE = 220.0, 330.0  # points: width of a column of two, and of the text of a page of one
CHARACTER, GAP = 4.7, 7.0  # points: width of a character at \small, between two columns
UNMARKED = "\\phantom{\\textsuperscript{{*}}}"  # as wide as the star of another pair
SMALLER = 0.75  # width of a character of an interval, as a part of another one
SIGN, SIGNS = 0.6, "+\N{MINUS SIGN}\N{PLUS-MINUS SIGN}"  # by which a sign is wider than a digit
NARROWEST = 60.0  # points that a name has at least
WRAPPED = 10  # characters of a line of a title
LARGE = 0.0995  # a difference whose thousandths take three digits
PAIRED_MOST = 8  # rows of a matrix that fits into a narrow page


@dataclass(frozen=True)
class Choice:
    """What of a report goes into a paper: rows by label, name or family, columns by the first words of their titles."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = COLUMNS


def latex(chapters: Sequence[Chapter], sections: Sequence[Section], choice: Choice | None = None) -> str:
    """One float for each main table and pair matrix, and one for the table over data sets."""
    asked = choice or Choice()
    leaders.check([row for section in sections for row in section.rows], asked.rows)
    own = [chapter for chapter in chapters if chapter.dataset is not None]
    floats = [_over(chapter, sections, asked) for chapter in chapters if chapter.dataset is None]
    for chapter, section in zip(own, sections, strict=True):
        rows = leaders.chosen(section.rows, asked.rows)
        floats += _floats(chapter, section, rows, asked)
    return "\n".join([PREAMBLE, *floats])


def _floats(chapter: Chapter, section: Section, rows: Sequence[Row], asked: Choice) -> list[str]:
    if not rows:
        return []
    main = _only(_main(chapter, asked.columns), rows)
    made = [_float(chapter, main, _main_caption(chapter, section, main, _left(section.rows, rows, asked)))]
    whole = chapter.table(pairs.NAME)
    paired = [] if whole is None else _at(whole, rows)
    shown = paired if asked.rows else paired[:PAIRED_MOST]
    if whole is None or len(shown) < 2:
        return made
    caption = _pairs_caption(chapter, whole, _first(len(shown), len(paired)))
    return [*made, _float(chapter, _matrix(whole, shown), caption)]


def _main(chapter: Chapter, asked: Sequence[str]) -> Table:
    """The main table with the columns that are asked for. BenchError for one that no table has."""
    tables = [table for name in SOURCES if (table := chapter.table(name)) is not None]
    known = {_key(column.title): column for table in reversed(tables) for column in table.columns}
    for name in asked:
        if name not in known:
            raise unknown("column", name, known)
    quality = tables[0]
    letters = [column for column in quality.columns if column.title == "contract"]
    return _narrowed(replace(quality, columns=(*letters, *(known[name] for name in asked))))


def _narrowed(table: Table) -> Table:
    """Where a table is wider than a narrow page, only its first score has an interval; where that is not enough, no
    deviation either: the interval holds it.
    """
    first = next((column for column in table.columns if any(cell.ends for cell in column.cells)), None)
    if _least(table) > PAGE:
        table = replace(table, columns=tuple(c if c is first else _bare(c) for c in table.columns))
    if _least(table) > PAGE:
        table = replace(table, columns=tuple(_bare(c, c is first) for c in table.columns))
    return table


def _bare(column: Column, keep_ends: bool = False) -> Column:
    cells = (replace(cell, sd=None, ends=cell.ends if keep_ends else None) for cell in column.cells)
    return replace(column, cells=tuple(cells))


def _least(table: Table) -> float:
    """Points of a table whose names are folded as far as they may."""
    return _points(table) - max(0.0, _widest(table.head) * CHARACTER - NARROWEST)


def _key(title: str) -> str:
    """``ID construction (s)`` is asked for as ``id-construction``."""
    return re.sub(r"[^a-z0-9@]+", "-", title.lower().partition(" (")[0]).strip("-")


def _only(table: Table, rows: Sequence[Row]) -> Table:
    """The lines of a table that belong to these rows."""
    return _lines(table, _at(table, rows))


def _at(table: Table, rows: Sequence[Row]) -> list[int]:
    """Which lines of a table belong to these rows."""
    folders = {tuple(run.path for run in row.runs) for row in rows}
    return [at for at, cell in enumerate(table.head.cells) if cell.source.folders in folders]


def _lines(table: Table, kept: Sequence[int]) -> Table:
    head, *columns = (replace(c, cells=tuple(c.cells[at] for at in kept)) for c in (table.head, *table.columns))
    return replace(table, head=head, columns=tuple(columns))


def _matrix(table: Table, kept: Sequence[int]) -> Table:
    """The pairs of these lines, numbered anew."""
    square = _lines(replace(table, columns=tuple(table.columns[at] for at in kept)), kept)
    names = (
        replace(cell, text=f"{at} {cell.text.partition(' ')[2]}") for at, cell in enumerate(square.head.cells, start=1)
    )
    values = [cell.value for column in square.columns for cell in column.cells if isinstance(cell.value, float)]
    digits = 0 if max(map(abs, values), default=0) >= LARGE else 1
    columns = (
        Column(str(at), tuple(_thousandths(cell, digits) for cell in column.cells))
        for at, column in enumerate(square.columns, start=1)
    )
    return replace(square, head=replace(square.head, cells=tuple(names)), columns=tuple(columns))


def _thousandths(cell: Cell, digits: int) -> Cell:
    if not isinstance(cell.value, float):
        return cell
    text = f"{1000 * cell.value:+.{digits}f}"
    text = text.lstrip("+-") if not float(text) else text
    return replace(cell, text=text.replace("-", "\N{MINUS SIGN}"))


def _over(chapter: Chapter, sections: Sequence[Section], asked: Choice) -> str:
    """All data sets beside each other, for the rows that are shown of any of them."""
    rows = [row for section in sections for row in leaders.chosen(section.rows, asked.rows)]
    folders = {run.path for row in rows for run in row.runs}
    table = chapter.tables[0]
    kept = [at for at, cell in enumerate(table.head.cells) if folders & set(cell.source.folders)]
    shown = kept[: leaders.MOST]
    caption = [*_banner(chapter), f"Strict {table.title}. {DASH} has no result there.", *_first(len(shown), len(kept))]
    return _float(chapter, _lines(table, shown), caption)


def _first(shown: int, of: int) -> list[str]:
    """What a caption says of a table that leaves out the last of its rows."""
    return [f"The first {shown} of {of} rows."] if shown < of else []


def _banner(chapter: Chapter) -> list[str]:
    return [f"\\textbf{{{escaped(chapter.banner)}.}}"] if chapter.banner else []


def _left(rows: Sequence[Row], shown: Sequence[Row], asked: Choice) -> str:
    """How many of the rows are shown, and which; nothing where all are."""
    left = [row for row in rows if row not in shown]
    if not left:
        return ""
    of = f"{len(shown)} of {len(rows)} rows"
    if asked.rows:
        return f"{of}."
    leaks = all(row.first.scheme.leaks for row in left)
    return (
        f"{of}: {'without those that leak' if leaks else 'the best schemes of their families and the best baselines'}."
    )


def _main_caption(chapter: Chapter, section: Section, main: Table, left: str) -> list[str]:
    data = section.dataset
    marks = {cell.mark for column in main.columns for cell in column.cells}
    said = [
        f"Strict quality on {chapter.title} ({data.users:,} users, {data.items:,} items). {MEANINGS}",
        *([DAGGERS] if "\N{DAGGER}" in marks else []),
        *([left] if left else []),
    ]
    return [*_banner(chapter), *map(escaped, said), *_warned(chapter, main)]


def _pairs_caption(chapter: Chapter, matrix: Table, left: Sequence[str]) -> list[str]:
    return [
        *_banner(chapter),
        escaped(f"{matrix.title}, on {chapter.title}: row minus column. {PAIRED}"),
        *left,
        *_warned(chapter, matrix),
    ]


def _warned(chapter: Chapter, shown: Table | None) -> list[str]:
    """What is to be known of the conditions, and of rows that are shown."""
    labels = {str(cell.value) for cell in shown.head.cells} if shown else set()
    brief = [note for note in chapter.brief if note.title in WARNINGS]
    return [_note(note) for note in brief if note.title not in OF_ROWS or any(label in note.text for label in labels)]


def _note(note: Note) -> str:
    said = "".join(f"\\textbf{{{escaped(piece)}}}" if strong else escaped(piece) for piece, strong in pieces(note.text))
    return f"\\textit{{{escaped(note.title)}}}: {said}."


def _float(chapter: Chapter, table: Table, caption: Sequence[str]) -> str:
    wide = "*" if _points(table) > COLUMN else ""
    room = _room(table)
    head = _title(table.head.title, "l")
    titles = (_title(column.title, "r" if column.numeric else "l") for column in table.columns)
    layout = [f"p{{{room:.0f}pt}}" if room else "l", *("r" if column.numeric else "l" for column in table.columns)]
    return "\n".join(
        [
            f"\\begin{{table{wide}}}[t]",
            f"\\centering\\small\\setlength{{\\tabcolsep}}{{{GAP / 2}pt}}",
            f"\\caption{{{' '.join(caption)}}}\\smallskip".replace(" \\%", "\\,\\%"),
            f"\\label{{tab:{_slug(chapter.title)}-{_slug(table.name)}}}",
            f"\\begin{{tabular}}{{@{{}}{''.join(layout)}@{{}}}}",
            "\\toprule",
            " & ".join([head, *titles]) + " \\\\",
            "\\midrule",
            *(("\\raggedright " if room else "") + " & ".join(map(_cell, row)) + " \\\\" for row in table.rows),
            "\\bottomrule",
            "\\end{tabular}",
            f"\\end{{table{wide}}}\n",
        ]
    )


def _points(table: Table) -> float:
    """About how wide a table is set."""
    return sum(_widest(column) * CHARACTER + GAP for column in (table.head, *table.columns))


def _widest(column: Column) -> float:
    """Characters of the widest line of a column, its title in lines of some words."""
    return max(*(len(word) for word in [*column.title.split(), ""]), *map(_characters, column.cells))


def _room(table: Table) -> float:
    """Points for names that have to be folded: where they would push the table beyond a narrow page; else 0."""
    over = _points(table) - PAGE
    return max(NARROWEST, _widest(table.head) * CHARACTER - over) if over > 0 else 0.0


def _characters(cell: Cell) -> float:
    """As many at the size of the text; an interval is set smaller, and a sign is wider than a digit."""
    text = f"{cell.text}{cell.mark}{cell.spread}"
    signs = sum(text.count(sign) for sign in SIGNS)
    return len(text) + SIGN * signs + SMALLER * len(f" [{cell.interval}]" if cell.interval else "")


def _title(text: str, side: str) -> str:
    """A title in lines of some words, at the side of its column."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WRAPPED:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) == 1:
        return escaped(text)
    stacked = " \\\\ ".join(map(escaped, lines))
    return f"\\shortstack[{side}]{{{stacked}}}"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text).replace("/", "/\\allowbreak{}")
    value = {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}", "": text}[cell.highlight]
    mark = f"\\textsuperscript{{{escaped(cell.mark)}}}" if cell.mark else UNMARKED if cell.p is not None else ""
    rest = [escaped(cell.spread), f"{{\\scriptsize [{escaped(cell.interval)}]}}" if cell.interval else ""]
    return " ".join(part for part in (value + mark, *rest) if part)


def escaped(text: str) -> str:
    """Text in which no character means anything to TeX."""
    return MEANING.sub(lambda found: SPECIAL.get(found[0], "-{}"), visible(text))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
