"""``bench report``: the stored results of a folder, on the terminal, as Markdown, and as whatever else is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError, unknown
from bench.report import results as stored
from bench.report import tables
from bench.report.results import Result


def write(
    results: Path, datasets: Sequence[str], out: Path, figure: Path | None, cost_figure: Path | None, csv: Path | None
) -> None:
    """Print the tables of the chosen data sets (all where none is named), and write the files asked for."""
    found = chosen(stored.load(results), datasets)
    tables.console(found, Console(highlight=False))
    _write(out, lambda path: path.write_text(tables.markdown(found), encoding="utf-8"))
    if csv is not None:
        _write(csv, lambda path: tables.frame(found).to_csv(path, index=False))
    if figure is not None or cost_figure is not None:
        from bench.report import figures

        for path, draw in ((figure, figures.quality), (cost_figure, figures.cost)):
            if path is not None:
                draw(found, path)
    written = [str(path) for path in (out, csv, figure, cost_figure) if path is not None]
    Console(stderr=True, highlight=False).print(f"written: {', '.join(written)}", markup=False)


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
