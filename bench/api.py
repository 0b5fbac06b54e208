"""What the command line does, in Python and in notebooks, with the same words:

    import bench

    runs = bench.run(id_scheme=["textual", "numeric"], dataset="toys", preset="cpu", seed="0-2", set={"epochs": 30})
    runs                                             # a table of the scores, in a notebook too
    bench.compare("textual", "numeric", dataset="toys")
    bench.load("textual", dataset="toys").recommend(["B00BCDQLAC"], k=10)
    frame = bench.read_results("results")
    bench.write_report("results", html="report.html")

What is heavy is imported by the function that needs it.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.compare import Difference
    from bench.report.table import Table
    from bench.results.saved import AnySaved

REPORT_FILES = ("html", "latex", "csv", "values", "figure", "cost_figure", "rank_figure", "figures")
Names = str | Sequence[str]  # one name, several separated by commas, or a list of them


@dataclass(frozen=True)
class Runs:
    """Finished runs of one call: ``folders`` in the folder ``results``. Shown as the table that ends ``bench run``."""

    results: Path
    folders: tuple[Path, ...]

    def frame(self) -> pd.DataFrame:
        """One line for each run, as ``read_results`` gives it."""
        found = read_results(self.results)
        mine = {folder.relative_to(self.results).as_posix() for folder in self.folders}
        return found[found["folder"].isin(mine)].reset_index(drop=True)

    def __str__(self) -> str:
        from bench.report.after_run import after_run

        found = after_run(self.results, self.folders)
        return _as_text(found.tables, found.banner)

    def __repr__(self) -> str:
        return f"{len(self.folders)} finished runs in '{self.results}'\n{self}".rstrip("\n")

    def _repr_html_(self) -> str:
        from bench.report import fragment
        from bench.report.after_run import after_run

        found = after_run(self.results, self.folders)
        return fragment.html(found.tables, found.banner)


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two runs differ on the same users, the first minus the second. ``difference`` has every number."""

    difference: Difference

    @property
    def values(self) -> dict[str, Any]:
        """What ``bench compare --json`` prints."""
        from bench.commands.compare import plain

        return plain(self.difference)

    def __repr__(self) -> str:
        from bench.commands.compare import tables

        return _as_text(tables(self.difference)).rstrip("\n")

    def _repr_html_(self) -> str:
        from bench.commands.compare import tables
        from bench.report import fragment

        return fragment.html(tables(self.difference))


def run(
    id_scheme: Names = (),
    baseline: Names = (),
    dataset: Names = "ml-100k",
    *,
    seed: int | str | Sequence[int] = 0,
    preset: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    split: str | None = None,
    budget: str | None = None,
    decoder: str | None = None,
    recipe: str = "",
    parts: bool = True,
    zero_shot: Names = (),
    adapt: int | str | Sequence[int] = 0,
    tune: int = 0,
    tuned: Names = (),
    tune_size: bool = False,
    force: bool = False,
    keep_going: bool | None = None,
    jobs: int = 1,
    threads: int | None = None,
    save_every: float | None = None,
    longest_wait: float | None = None,
    track: str = "",
    ignore_limits: bool = False,
    yes: bool = False,
    results: str | Path = "results",
    data_dir: str | Path | None = None,
) -> Runs:
    """Train and test schemes and baselines, as ``bench run`` does with options of the same names, and wait for them.

    ``set`` holds lines of the contract and settings: ``{"epochs": 30, "textual": {"words": 6}}``. ``yes`` downloads
    missing data sets and accepts their licences. BenchError where something is wrong with the request or a run fails.
    """
    given = {name.replace("_", "-"): value for name, value in locals().items() if value not in (None, ())}
    from bench.commands import run as command
    from bench.commands import run_file
    from bench.runs import matrix

    known = run_file.options_of(command.run)
    defaults = {option.name: option.default for option in known.values()}
    found = {**defaults, **run_file.options("bench.run", given, known)}
    with _argv("run", *run_file.words(found, known)):  # what the results say that repeats them
        plan = command.plan_of(found)
        command.get_data(plan, yes)
        return Runs(Path(results), tuple(matrix.execute(plan)))


@contextlib.contextmanager
def _argv(*words: str) -> Iterator[None]:
    before, sys.argv = sys.argv, ["bench", *words]
    try:
        yield
    finally:
        sys.argv = before


def load(
    run: str | Path,
    results: str | Path = "results",
    dataset: str | None = None,
    seed: int | None = None,
    index: str | None = None,
) -> AnySaved:
    """A finished run to recommend with: ``bench.load("textual", dataset="toys").recommend(["B00BCDQLAC"], k=10)``.

    ``run`` is the folder of a run, or the name of a scheme or a baseline that has results in the folder ``results``, as
    ``bench compare`` takes it; of several seeds the first. ``index`` has items that are vectors searched by faiss, such
    as ``Flat`` (exact) or ``IVF1024,Flat``. BenchError where there is no such run, or more than one, or where its model
    wasn't kept.
    """
    from bench.commands.saved_commands import loaded

    return loaded(str(run), Path(results), dataset, seed, index)


def read_results(folder: str | Path = "results") -> pd.DataFrame:
    """One line for each finished run in a results folder: scores with their intervals over users, costs, contract.

    Columns are those of ``bench report --csv``. Broken runs are named on standard error and left out. BenchError where
    nothing is finished.
    """
    from bench.report import frames
    from bench.results import read

    return frames.frame(read.load(Path(folder)))


def compare(
    run_a: str | Path,
    run_b: str | Path,
    results: str | Path = "results",
    dataset: str | None = None,
    seed: int | None = None,
) -> Comparison:
    """How two stored runs differ on the same users, named as for ``load``; by default over all of their seeds."""
    from bench.report.compare import difference
    from bench.report.find import find_each
    from bench.report.seeds import with_repeats

    folder = Path(results)
    one, other = with_repeats(find_each(folder, (str(run_a), str(run_b)), dataset, seed), folder)
    return Comparison(difference(one, other))


def write_report(
    results: str | Path = "results",
    *,
    dataset: Names = (),
    preset: str | None = None,
    contract: str | None = None,
    request: str | Path | None = None,
    out: str | Path | None = None,
    rows: Names = (),
    columns: Names = (),
    **files: str | Path,
) -> Path:
    """Write the report of a results folder as ``bench report`` does, without printing it; the path of its Markdown.

    ``request`` is the file for ``bench run --config`` that makes these runs again. ``rows`` and ``columns`` are those
    of the LaTeX tables. ``files`` are further outputs by the names of the options, ``REPORT_FILES``. BenchError for
    another name, and where the Markdown can't be written: a note alone where ``out`` did not name it and another
    output did.
    """
    from bench.commands.report_request import write_request
    from bench.errors import unknown
    from bench.report.latex import COLUMNS, Choice
    from bench.report.write import OutputPaths, ReportFilter, write

    for name in files:
        if name not in REPORT_FILES:
            raise unknown("file of a report", name, REPORT_FILES)
    given: dict[str, Any] = {key: Path(at) for key, at in files.items()}
    paper = Choice(tuple(_parts(rows)), tuple(_parts(columns) or COLUMNS))
    asked = bool(out) or not (given or request)
    paths = OutputPaths(out=Path(out or Path(results) / "report.md"), paper=paper, out_asked=asked, **given)
    only = ReportFilter(_parts(dataset), preset, contract)
    with contextlib.redirect_stdout(io.StringIO()):
        write(Path(results), only, paths)
    if request:
        write_request(Path(results), only, Path(request))
    return paths.out


def _parts(named: Names) -> list[str]:
    from bench import lists

    return lists.parts(named) if isinstance(named, str) else list(named)


def _as_text(tables: Sequence[Table], banner: str = "") -> str:
    from bench.console import Console
    from bench.report.terminal import show_table

    out = Console(file=io.StringIO(), width=100)
    if banner:
        out.print(banner, soft_wrap=True)
    for table in tables:
        show_table(table, out)
    return out.file.getvalue() if isinstance(out.file, io.StringIO) else ""
