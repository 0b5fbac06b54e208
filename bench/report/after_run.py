"""What a command has just run, beside what else is stored on its data under its contract: a short table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.errors import BenchError
from bench.report.banner import banner
from bench.report.contracts import agree, other_code
from bench.report.numbers import metric_title
from bench.report.quality import HEADLINES, label, stored
from bench.report.rows import HEADLINE, Row, Section, sections, with_repeated
from bench.report.sampling import resample
from bench.report.table import DASH, Cell, Column, Note, Source, Table
from bench.results.identity import folder_name
from bench.results.read import Result, sound
from bench.results.store import readable

OTHERS = 12  # rows of earlier runs; the report has all
NOW, EARLIER = "now", "earlier"
SPENT = ("id_construction_seconds", "training_seconds", "validation_seconds")
INTERVALS = "95 %, over users and over training again"
PROBES = "rules that only count or draw: what is below them has shown nothing yet"


@dataclass(frozen=True)
class AfterRun:
    """A table for each data set and contract of the runs, and the line that stands above all, if any."""

    banner: str
    tables: tuple[Table, ...]


def after_run(results: Path, folders: Sequence[Path]) -> AfterRun:
    """What the runs in these folders came to, best first, each among the finished runs that it may be compared with."""
    wanted = {folder.resolve() for folder in folders}
    runs = (results / "runs").resolve()
    known = _stored(results, {folder.relative_to(runs).parts[0] for folder in wanted})
    ran = [run for run in known if run.folder.resolve() in wanted]
    tables: list[list[Result]] = []
    for run in sorted(ran, key=_is_baseline):
        fitting = next((found for found in tables if _fits(run, found[0])), None)
        fitting.append(run) if fitting else tables.append([run])
    beside = [[run for run in known if _fits(run, _yardstick(found[0], known))] for found in tables]
    warnings = dict.fromkeys(filter(None, (banner(section.rows) for found in beside for section in sections(found))))
    return AfterRun("; ".join(warnings), tuple(_table(ran, others, known) for others in beside))


def _is_baseline(run: Result) -> bool:
    return run.scheme.kind == "baseline"


def _yardstick(run: Result, known: Sequence[Result]) -> Result:
    """The run whose contract a table is under: a baseline agrees with several, of which the newest counts."""
    schemes = [other for other in known if not _is_baseline(other) and _fits(run, other)]
    return max(schemes, key=lambda other: other.created, default=run) if _is_baseline(run) else run


def _fits(run: Result, other: Result) -> bool:
    """Whether the two stand in one table: the same data, and what they share of a contract and of code is equal."""
    same = (run.dataset.name, run.dataset.fingerprint) == (other.dataset.name, other.dataset.fingerprint)
    return same and agree(run, other) and not other_code(run, other)


def _stored(results: Path, datasets: Collection[str]) -> list[Result]:
    """The finished runs on these data sets. What is broken is named by the report."""
    runs, found = results / "runs", []
    for file in (file for name in sorted(datasets) for file in readable(runs / name)):
        try:
            found.append(sound(file, file.parent.relative_to(results).as_posix()))
        except BenchError:
            continue
    return list({_identity(run): run for run in found}.values())


def _identity(run: Result) -> tuple[str, ...]:
    scheme = run.scheme
    named = (scheme.name, scheme.version, scheme.stated, run.contract, run.dataset.fingerprint, run.seed)
    return tuple(map(str, (folder_name(run.dataset.name), *named)))


def _table(ran: Sequence[Result], beside: Sequence[Result], known: Sequence[Result]) -> Table:
    """Of the rows with runs of now, and the best of the others; intervals know of all runs, as those of a report."""
    (section,) = sections(beside)
    found = [with_repeated(row, known) for row in section.rows]
    mine = [row for row in found if any(run in ran for run in row.runs)]
    others = [row for row in _sorted(found) if row not in mine]
    shown = list(islice((row for row in others if _whole(row)), OTHERS))
    rows = _sorted([*(row for row in mine if _whole(row)), *shown])
    when = {id(row): NOW if row in mine else EARLIER for row in rows}
    return _of_rows(section, rows, when, len(others) - OTHERS)


def _whole(row: Row) -> bool:
    """Whether its tables can be read: only those that are shown are read at all."""
    try:
        return all(len(run.table) for run in row.runs)
    except BenchError:
        return False


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.metric(HEADLINE)[0], row.label))


def _of_rows(section: Section, rows: Sequence[Row], when: Mapping[int, str], left: int) -> Table:
    said = [Cell(when[id(row)], stored(row, "created"), when[id(row)]) for row in rows]
    earlier = [Column("run", tuple(said), numeric=False)] if EARLIER in when.values() else []
    columns = [*_scores(rows), Column("time", tuple(_time(row) for row in rows)), *earlier]
    head = Column("scheme", tuple(label(row, False) for row in rows), numeric=False)
    return Table("after run", section.title, head, tuple(columns), tuple(_notes(rows, left)))


def _scores(rows: Sequence[Row]) -> list[Column]:
    """NDCG@10, its interval, Hit@10."""
    resample([run for row in rows for run in row.runs], [HEADLINE])
    estimates = [(row, row.estimate(HEADLINE)) for row in rows]
    score = (Cell(f"{found.value:.4f}", stored(row, _strict(HEADLINE)), found.value) for row, found in estimates)
    ends = (_interval(stored(row, "per_user.parquet:rank"), found.interval) for row, found in estimates)
    other = HEADLINES[1]
    hit = (Cell(f"{row.metric(other)[0]:.4f}", stored(row, _strict(other)), row.metric(other)[0]) for row in rows)
    return [
        Column(metric_title(HEADLINE), tuple(score)),
        Column("95 % interval", tuple(ends)),
        Column(metric_title(other), tuple(hit)),
    ]


def _strict(name: str) -> str:
    return f"metrics.strict.{name}"


def _interval(source: Source, found: tuple[float, float] | None) -> Cell:
    return Cell(DASH if found is None else f"{max(0.0, found[0]):.4f}{DASH}{min(1.0, found[1]):.4f}", source)


def _time(row: Row) -> Cell:
    """Of a seed: making identifiers, training and validation."""
    found = [value for name in SPENT if (value := row.cost(name)) is not None]
    source = stored(row, *(f"costs.{name}" for name in SPENT))
    return Cell(clock(sum(found)) if found else DASH, source, sum(found) if found else None)


def clock(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _notes(rows: Sequence[Row], left: int) -> list[Note]:
    probes = any(row.probe for row in rows)
    leaks = ", ".join(row.label for row in rows if row.first.scheme.leaks)
    return [
        Note("intervals", INTERVALS),
        *([Note("probe", PROBES)] if probes else []),
        *([Note("leaks", f"{leaks} saw the test items: shown for what a leak is worth")] if leaks else []),
        *([Note("more", f"{left} earlier rows below these are in the report")] if left > 0 else []),
    ]
