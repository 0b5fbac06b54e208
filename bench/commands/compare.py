"""``bench compare`` as tables on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.console import Console
from bench.report import notes
from bench.report.compare import Difference, Slice, difference
from bench.report.comparisons import Comparison, as_json
from bench.report.contracts import differences
from bench.report.find import find_each
from bench.report.numbers import change, metric_title, number, probability, share, signed
from bench.report.rows import HEADLINE, Row
from bench.report.seed_notes import of_noise
from bench.report.seeds import with_repeats
from bench.report.significance import difference_cell
from bench.report.slices import Slicing
from bench.report.table import DASH, Cell, Column, Note, Source, Table, strong
from bench.report.terminal import show_table

A_MINUS_B = "A \N{MINUS SIGN} B"
NOISE = "the column says how far training again takes the difference by itself, in 95 of 100 cases"


def write(results: Path, runs: Sequence[str], dataset: str | None, seed: int | None, plainly: bool) -> None:
    """Print how two runs differ: tables, or ``plainly`` as JSON."""
    one, other = with_repeats(find_each(results, runs, dataset, seed), results)
    found = difference(one, other)
    if plainly:
        machine.show(plain(found))
        return
    out = Console()
    for table in tables(found):
        show_table(table, out)


def plain(found: Difference) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "a": _run(found.pair.one),
        "b": _run(found.pair.other),
        "dataset": found.pair.one.first.dataset.name,
        "users": found.pair.users,
        "metrics": {name: as_json(comparison) for name, comparison in found.metrics.items()},
        "slices": [asdict(part) for part in found.slices],
        "differing": found.unlike,
    }


def _run(row: Row) -> dict[str, Any]:
    first = row.first
    return {
        "scheme": first.scheme.name,
        "version": first.scheme.version,
        "settings": dict(first.scheme.settings),
        "contract": first.contract_id,
        "seeds": row.seeds,
        "folders": [run.path for run in row.runs],
    }


def tables(found: Difference) -> list[Table]:
    """The metrics, then one table for each slicing."""
    return [_metrics(found), *(_slicing(found, slicing) for slicing in found.slicings)]


def _source(found: Difference, *columns: str) -> Source:
    runs = (*found.pair.one.runs, *found.pair.other.runs)
    return Source(tuple(run.path for run in runs), tuple(f"per_user.parquet:{column}" for column in columns))


def _metrics(found: Difference) -> Table:
    source, lines = _source(found, "rank"), list(found.metrics.values())

    def column(
        title: str, read: Callable[[Comparison], float | None], written: Callable[[float | None], str]
    ) -> Column:
        return Column(title, tuple(Cell(written(read(line)), source, read(line)) for line in lines))

    columns = (
        column("A", lambda line: line.one, _score),
        column("B", lambda line: line.other, _score),
        Column(A_MINUS_B, tuple(difference_cell(line, source) for line in lines)),
        column("relative difference", lambda line: line.relative, change),
        column("training noise", lambda line: line.noise, _score),
        column("effect", lambda line: line.effect, lambda value: signed(value, 3)),
        column("p", lambda line: line.p, probability),
        column("p (Holm)", lambda line: line.corrected, probability),
        column("won", lambda line: line.won, _count),
        column("lost", lambda line: line.lost, _count),
        column("tied", lambda line: line.tied, _count),
    )
    head = Column(
        "metric", tuple(Cell(metric_title(line.metric), source, line.metric) for line in lines), numeric=False
    )
    title = f"{A_MINUS_B} on {found.pair.one.first.dataset.name}, strict, {found.pair.users:,} users"
    return Table("difference", title, head, columns, tuple(_notes(found)))


def _score(value: float | None) -> str:
    return number(value, 4)


def _count(value: float | None) -> str:
    return number(value, 0)


def _slicing(found: Difference, slicing: Slicing) -> Table:
    source = _source(found, "rank", slicing.column)
    parts = [part for part in found.slices if part.slicing == slicing.name]

    def column(title: str, read: Callable[[Slice], float | None], written: Callable[[float | None], str]) -> Column:
        return Column(title, tuple(Cell(written(read(part)), source, read(part)) for part in parts))

    gaps = (Cell(signed(_gap(part)), source, _gap(part), ends=part.interval, signed=True) for part in parts)
    columns = (
        column("users", lambda part: part.users, _count),
        column("A", lambda part: part.one, _score),
        column("B", lambda part: part.other, _score),
        Column(A_MINUS_B, tuple(gaps)),
        column("part of the difference", lambda part: part.part, _part),
    )
    head = Column(slicing.title, tuple(Cell(part.label, source, part.label) for part in parts), numeric=False)
    title = f"{metric_title(HEADLINE)} by {slicing.title}"
    return Table(slicing.name, title, head, columns, (Note("slices", notes.SLICED_DIFFERENCES),))


def _gap(part: Slice) -> float | None:
    return None if part.one is None or part.other is None else part.one - part.other


def _part(value: float | None) -> str:
    return DASH if value is None else share(value) if value > 0 else f"{value or 0.0:.1%}"


def _notes(found: Difference) -> list[Note]:
    pair, lines = found.pair, found.metrics
    unlike = [Note(f"{kind} differs", differences(fields)) for kind, fields in found.unlike.items() if fields]
    baselines = [letter for letter, row in (("A", pair.one), ("B", pair.other)) if row.baseline]
    untrained = (
        f"{' and '.join(baselines)}: not trained under a contract, compared by what its own says of data and test"
    )
    same = [kind for kind, fields in found.unlike.items() if not fields]
    unequal = Note("users", strong("the runs tested different users") + "; only those in common count")
    return [
        *(Note(letter, _title(row)) for letter, row in (("A", pair.one), ("B", pair.other))),
        *([] if pair.complete else [unequal]),
        *unlike,
        *([Note("baseline", untrained)] if baselines else []),
        *([Note("the same", ", ".join(same))] if same else []),
        Note("test", f"{notes.TEST}; p (Holm) is corrected for the {len(lines)} metrics"),
        Note("intervals", notes.INTERVALS),
        *of_noise([pair.one, pair.other]),
        Note("training noise", NOISE),
        Note("effect", f"{notes.EFFECT}; B is the reference"),
    ]


def _title(row: Row) -> str:
    seeds = ", ".join(str(seed) for seed in row.seeds)
    name = f"{row.first.scheme.name}@{row.first.scheme.version}, contract {row.first.contract_id}, seed {seeds}"
    return f"{name}: {', '.join(run.path for run in row.runs)}"
