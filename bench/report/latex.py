"""A report as LaTeX: tables in the style of booktabs, ready to be pasted; bold the best, underlined the second."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.console import visible
from bench.report.table import Cell, Chapter, Note, Table

PREAMBLE = "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n"
FITTED = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"  # shrinks what is too wide
SPECIAL = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": "$\\pm$",
    "\N{DAGGER}": "$\\dagger$",
    "[": "{[}",  # at the start of a line these two belong to the \\\\ before them
    "*": "{*}",
    **{character: "\\" + character for character in "&%$#_{}"},
}
MEANING = re.compile("[" + re.escape("".join(SPECIAL)) + "]|-(?=-)")  # two hyphens are a dash to TeX
REPEATED = ("contract", "contracts", "differing", "environment")  # under each table by name, here in full
ROWS = ("leaks", "zero-shot", "trained on")  # warnings about rows, which a pasted table must not lose


def latex(chapters: Sequence[Chapter]) -> str:
    """All tables, one float each, every one with the contract and the environment it was made under."""
    floats = [_float(chapter, table) for chapter in chapters for table in chapter.tables]
    return "\n".join([PREAMBLE, *floats])


def _float(chapter: Chapter, table: Table) -> str:
    columns = "".join("r" if column.numeric else "l" for column in (table.head, *table.columns))
    head = [table.head.title, *(column.title for column in table.columns)]
    return "\n".join(
        [
            "\\begin{table}[t]",
            "\\centering",
            f"\\caption{{{escaped(table.title)}: {escaped(chapter.title)}}}",
            f"\\label{{tab:{_slug(chapter.title)}-{_slug(table.name)}}}",
            FITTED,
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            " & ".join(escaped(title) for title in head) + " \\\\",
            "\\midrule",
            *(" & ".join(_cell(cell) for cell in row) + " \\\\" for row in table.rows),
            "\\bottomrule",
            "\\end{tabular}}",
            "\\par\\medskip\\parbox{\\linewidth}{\\scriptsize\\raggedright",
            "\\\\\n".join(_note(note) for note in _notes(chapter, table)) + "}",
            "\\end{table}\n",
        ]
    )


def _notes(chapter: Chapter, table: Table) -> list[Note]:
    """The table's own remarks, with those on contract, rows and environment as full as the chapter has them."""
    full = [note for note in chapter.notes if note.title in (*REPEATED, *ROWS, "the same", "data")]
    said = {note.title for note in full}
    return [*full, *(note for note in table.notes if note.title not in said)]


def _note(note: Note) -> str:
    pieces = ((escaped(piece), strong) for piece, strong in note.pieces)
    text = "".join(f"\\textbf{{{piece}}}" if strong else piece for piece, strong in pieces)
    return f"\\textit{{{escaped(note.title)}}}: {text}"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    value = {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}", "": text}[cell.highlight]
    mark = f"\\textsuperscript{{{escaped(cell.mark)}}}" if cell.mark else ""
    rest = [escaped(cell.spread), f"{{\\scriptsize [{escaped(cell.interval)}]}}" if cell.interval else ""]
    return " ".join(part for part in (value + mark, *rest) if part)


def escaped(text: str) -> str:
    """Text in which no character means anything to TeX."""
    return MEANING.sub(lambda found: SPECIAL.get(found[0], "-{}"), visible(text))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
