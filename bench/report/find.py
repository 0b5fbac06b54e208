"""A stored run by its folder, its scheme's name or its label in the report: what ``bench compare`` is asked about."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from bench.errors import BenchError, unknown
from bench.report.labels import labels, names
from bench.report.rows import Row, sections
from bench.results import named
from bench.results import read as stored
from bench.results.identity import folder_name
from bench.results.read import Result

Known = tuple[list[Result], dict[str, BenchError]]  # what can be read, and what can't by its path


def find(results: Path, asked: str, dataset: str | None, seed: int | None) -> Row:
    """The runs that ``asked`` names, which may differ in their seed only.

    ``asked`` is the folder of a run, as such or below ``results`` or ``results/runs``, or a folder with the runs of
    several seeds; else a scheme's or baseline's name, with or without ``@version``, or the name of its family: that is
    the variant that ``bench run`` takes it for, or where that has no run whatever there is; or the label of a row in
    the report of all results or of this data set alone, with or without the letter or the id of its contract. By name
    no broken run is found, unless it is all there is.
    BenchError where that is nothing, broken, or more than one run.
    """
    return find_each(results, [asked], dataset, seed)[0]


def find_each(results: Path, asked: Sequence[str], dataset: str | None, seed: int | None) -> list[Row]:
    """The same for each of several. What is stored is read once, and what is wrong with it said once."""
    known = cache(lambda: _known(results))
    return [_find(results, each, dataset, seed, known) for each in asked]


def of_label(results: Path, asked: str) -> list[Result]:
    """The runs of the row that is called so in the report of all results; none where there is no such row."""
    return _of_label(stored.load(results, quiet=True), asked)


def _known(results: Path) -> Known:
    broken: dict[str, BenchError] = {}
    return stored.load(results, broken), broken


def _find(results: Path, asked: str, dataset: str | None, seed: int | None, reading: Callable[[], Known]) -> Row:
    found = [stored.read(path, path.parent.as_posix()) for path in named.in_folder(results, asked)]
    known: list[Result] = []
    broken: dict[str, BenchError] = {}
    if not found:
        try:
            known, broken = reading()
            found = _of_name(known, broken, asked, dataset)
        except BenchError as error:
            if asked and not broken and Path(asked).is_dir():
                what = f"'{asked}' is a folder without a finished run: there is no result.json in it"
                raise BenchError(what) from error
            raise
    kept = [run for run in found if dataset in (None, run.dataset.name) and seed in (None, run.seed)]
    if not kept:
        have = ", ".join(f"{run.dataset.name} seed {run.seed}" for run in found)
        wanted = " ".join([*([dataset] if dataset else []), *([] if seed is None else [f"seed {seed}"])])
        raise BenchError(f"'{asked}' has no result for {wanted}; it has {have}")
    rows = [row for section in sections(kept) for row in section.rows]
    if len(rows) > 1:
        raise BenchError(f"'{asked}' could be any of {len(rows)} runs; {_choice(rows, known)}")
    return rows[0]


def _choice(rows: Sequence[Row], known: Sequence[Result]) -> str:
    """The runs by what a shell may be given for them, and by their folders; only by these where one was asked for."""
    folders = [row.first.path for row in rows]
    called = {
        run.path: name
        for section in sections(known)
        for row, name in zip(section.rows, names(section.rows), strict=True)
        for run in row.runs
    }
    ambiguous = len({row.first.dataset.name for row in rows}) > 1
    words = [
        shlex.quote(called[row.first.path]) + (f" --dataset {shlex.quote(row.first.dataset.name)}" if ambiguous else "")
        for row in rows
        if row.first.path in called
    ]
    if len(set(words)) < len(rows):
        return f"name one of their folders: {', '.join(folders)}"
    both = (f"{word} ({folder})" for word, folder in zip(words, folders, strict=True))
    return f"name one of them, or its folder: {', '.join(both)}"


def _of_name(
    known: Sequence[Result], broken: Mapping[str, BenchError], asked: str, dataset: str | None
) -> list[Result]:
    found = named.of_name(asked, known, _versioned)
    found = found or _of_label(known, asked)
    found = found or _of_label([run for run in known if run.dataset.name == dataset], asked)
    if not found:
        for path, error in broken.items():
            if _may_be(path, {asked.partition("@")[0].partition(" ")[0], *named.meant(asked)}):
                raise error
        raise unknown("run", asked, {row.label for section in sections(known) for row in section.rows})
    return found


def _versioned(run: Result) -> str:
    return f"{folder_name(run.scheme.name)}@{run.scheme.version}"


def _of_label(known: Sequence[Result], asked: str) -> list[Result]:
    return [
        run
        for section in sections(known)
        for row, lettered in zip(section.rows, labels(section), strict=True)
        if asked in (row.label, lettered, f"{row.label} {row.first.contract_id}")
        for run in row.runs
    ]


def _may_be(path: str, names: set[str]) -> bool:
    """Whether a broken run is of a scheme of these names, or of their family, as far as its folder tells."""
    scheme = path.partition("@")[0].rpartition("/")[2] + "."
    return any(scheme.startswith(f"{folder_name(name)}.") for name in names)
