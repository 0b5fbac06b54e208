"""``bench report``: the stored results of a folder, on the terminal, as Markdown, and as whatever else is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import machine
from bench.console import Console, say
from bench.errors import BenchError, unknown
from bench.files import output
from bench.report import frames, overall
from bench.report.again import again
from bench.report.contracts import agree
from bench.report.latex import Choice, latex
from bench.report.markdown import markdown
from bench.report.rows import sections
from bench.report.tables import chapters
from bench.report.terminal import show
from bench.results import read as stored
from bench.results.read import Result


@dataclass(frozen=True)
class ReportFilter:
    """Which results are reported: of these data sets, this preset, this contract; all where nothing is said."""

    datasets: Sequence[str] = ()
    preset: str | None = None
    contract: str | None = None


@dataclass(frozen=True)
class OutputPaths:
    """What is written where; what is None is not.

    ``csv`` has one line for each run, ``values`` one for each value of the tables; ``figures`` is a folder for all
    pictures. ``paper`` says which rows and columns the LaTeX tables have. ``out`` is the Markdown file; where nobody
    named it (``out_asked``), a place where it can't be written is said and no error.
    """

    out: Path
    latex: Path | None = None
    csv: Path | None = None
    values: Path | None = None
    figure: Path | None = None
    cost_figure: Path | None = None
    rank_figure: Path | None = None
    figures: Path | None = None
    html: Path | None = None
    paper: Choice = field(default_factory=Choice)
    out_asked: bool = True


def write(results: Path, only: ReportFilter, files: OutputPaths, as_json: bool = False, full: bool = False) -> None:
    """Print what the chosen results say, and write the files asked for. As JSON it is a list of the tables' values."""
    framed = {path: frames.writer(path) for path in (files.csv, files.values) if path is not None}
    _check_figures([path for path in (files.figure, files.cost_figure, files.rank_figure) if path is not None])
    broken: dict[str, BenchError] = {}
    found = chosen(stored.load(results, broken, whole=True), only)
    if files.rank_figure:
        _check_ranks(found)
    made = chapters(found, list(broken))
    if as_json:
        machine.show(frames.plain(made))
    else:
        show(made, Console(), full)
    request = again(found)
    written = _draw(found, files)
    if files.latex is not None:
        _text(files.latex, latex(made, sections(found), files.paper))
    if files.csv is not None:
        _write(files.csv, partial(framed[files.csv], frames.frame(found)))
    if files.values is not None:
        _write(files.values, partial(framed[files.values], frames.values(made)))
    if files.html is not None:
        from bench.report import html

        _text(files.html, html.page(found, made, request))
    written += [path for path in (files.latex, files.csv, files.values, files.html) if path is not None]
    if _markdown(files, markdown(made, request)):  # last: what was asked for is there, whatever becomes of it
        written = [files.out, *written]
    if written:
        Console(stderr=True).print(f"written: {', '.join(map(str, written))}", soft_wrap=True)


def _markdown(files: OutputPaths, content: str) -> bool:
    """Whether it could be written. BenchError where it could not and somebody asked for it."""
    try:
        _text(files.out, content)
    except BenchError as error:
        if files.out_asked:
            raise
        say(f"note: {error}; --out FILE writes it somewhere else")
        return False
    return True


def _check_figures(paths: Sequence[Path]) -> None:
    """An impossible name is told before the work is done."""
    if paths:
        from bench.report import figures

        for path in paths:
            figures.check(path)


def _check_ranks(found: Sequence[Result]) -> None:
    shown = sections(found)
    if overall.ranked(shown) is None:
        raise BenchError(overall.NEEDED.format(f"{len(shown)} data set{'' if len(shown) == 1 else 's'}"))


def _draw(found: Sequence[Result], files: OutputPaths) -> list[Path]:
    """The pictures that are asked for; the paths written."""
    asked = {"quality": files.figure, "cost": files.cost_figure, "ranks": files.rank_figure}
    if not any((*asked.values(), files.figures)):
        return []
    from bench.report import figures  # here, for it imports matplotlib

    written = [path for name, path in asked.items() if path and figures.write(name, found, path)]
    return written + (figures.write_all(found, files.figures) if files.figures else [])


def chosen(found: Sequence[Result], only: ReportFilter) -> list[Result]:
    """The results that are asked for; a name without results is a BenchError.

    A baseline is not trained under a preset or contract: it stays where it agrees with a result that is kept.
    """
    for name in only.datasets:
        known = {result.dataset.name for result in found}
        if name not in known:
            raise unknown("data set with results", name, known)
    kept = [result for result in found if not only.datasets or result.dataset.name in only.datasets]
    if only.preset is not None:
        kept = _under(kept, "preset", only.preset, lambda result: result.preset == only.preset)
    if only.contract is not None:
        asked = only.contract
        kept = _under(kept, "contract", asked, lambda result: result.contract_id.startswith(asked))
    return kept


def _under(found: Sequence[Result], kind: str, asked: str, fits: Callable[[Result], bool]) -> list[Result]:
    fitting = [result for result in found if fits(result)]
    if not fitting:
        known = {result.preset or "none" if kind == "preset" else result.contract_id for result in found}
        raise unknown(f"{kind} with results", asked, known)
    schemes = [result for result in fitting if result.scheme.kind != "baseline"]
    return [
        result
        for result in found
        if result in fitting or (result.scheme.kind == "baseline" and any(agree(result, other) for other in schemes))
    ]


def _text(path: Path, content: str) -> None:
    _write(path, lambda unfinished: unfinished.write_text(content, encoding="utf-8"))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    with output(path, "the report") as unfinished:
        write(unfinished)
