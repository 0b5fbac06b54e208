"""``bench report``: the stored results of a folder, on the terminal, as Markdown, and as whatever else is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError, unknown
from bench.report import comparison, sheet, tables
from bench.report import results as stored
from bench.report.results import Result
from bench.report.rows import sections


@dataclass(frozen=True)
class Wanted:
    """The files of a report; what is None is not written. ``figures`` is a folder, for all pictures."""

    out: Path
    figure: Path | None = None
    cost_figure: Path | None = None
    figures: Path | None = None
    html: Path | None = None
    csv: Path | None = None


def write(results: Path, datasets: Sequence[str], wanted: Wanted) -> None:
    """Print the tables of the chosen data sets (all where none is named), and write the files asked for."""
    found = chosen(stored.load(results), datasets)
    tables.console(found, Console(highlight=False))
    _write(wanted.out, lambda path: path.write_text(_markdown(found), encoding="utf-8"))
    written = [wanted.out]
    if wanted.csv is not None:
        _write(wanted.csv, lambda path: tables.frame(found).to_csv(path, index=False))
        written.append(wanted.csv)
    written += _pictures(found, wanted)
    if wanted.html is not None:
        from bench.report import html

        _write(wanted.html, lambda path: path.write_text(html.page(found), encoding="utf-8"))
        written.append(wanted.html)
    Console(stderr=True, highlight=False).print(f"written: {', '.join(map(str, written))}", markup=False)


def _markdown(found: Sequence[Result]) -> str:
    """All tables, then published scores where there are any to compare with."""
    compared = [(section.title, comparison.compared(section)) for section in sections(found)]
    return "\n".join(
        [tables.markdown(found), *(sheet.markdown(made, f"{title}: ") for title, made in compared if made is not None)]
    )


def _pictures(found: Sequence[Result], wanted: Wanted) -> list[Path]:
    asked = [(name, path) for name, path in (("quality", wanted.figure), ("cost", wanted.cost_figure)) if path]
    if not asked and wanted.figures is None:
        return []
    from bench.report import figures  # here, for it imports matplotlib

    for name, path in asked:
        figures.write(name, found, path)
    more = figures.write_all(found, wanted.figures) if wanted.figures else []
    return [path for _, path in asked] + more


def chosen(found: Sequence[Result], datasets: Sequence[str]) -> list[Result]:
    """The results on the named data sets; a name without results is a BenchError."""
    known = {result.dataset.name for result in found}
    for name in datasets:
        if name not in known:
            raise unknown("data set with results", name, known)
    return [result for result in found if not datasets or result.dataset.name in datasets]


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Atomic; the operating system's refusal is one line."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        raise BenchError(f"cannot write '{path}': {error.strerror or error}; name another file") from error
