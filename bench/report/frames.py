"""A report as data frames: one line for each stored run, or one for each value of its tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError
from bench.evaluation.statistics import ends
from bench.files import is_stream
from bench.report.quality import HEADLINES
from bench.report.sampling import resample
from bench.report.table import Cell, Chapter, Table
from bench.results.read import Result
from bench.results.schema import IdentifierFacts

WRITERS: Mapping[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": lambda frame, path: inert(frame).to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


FORMULA = re.compile(r"[=+@\t\r\n\uff1d\uff0b\uff20-]")  # the three numbers are the wide forms of = + @
NUMBERS = re.compile(r"[-+0-9., %\u2013\u00b1\u2212]*")  # such as a difference and its interval


def writer(path: Path) -> Callable[[pd.DataFrame, Path], object]:
    """How a file of this name is written, and CSV where it is no file; BenchError for a suffix that isn't known."""
    if is_stream(path):
        return WRITERS[".csv"]
    if path.suffix not in WRITERS:
        raise BenchError(f"cannot write a frame as '{path}'; its name must end in {' or '.join(WRITERS)}")
    return WRITERS[path.suffix]


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """With an apostrophe before each text that a spreadsheet would take for a formula; numbers are none."""
    texts = {str(name): frame[name].map(_inert) for name in frame.select_dtypes("object")}
    return frame.assign(**texts).rename(columns=_inert)


def _inert(text: Any) -> Any:
    """A carriage return, which Python's writer does not quote, would begin a line of its own, and a formula with it."""
    if not isinstance(text, str):
        return text
    line = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{line}" if FORMULA.match(line) and not NUMBERS.fullmatch(line) else line


def values(chapters: Sequence[Chapter]) -> pd.DataFrame:
    """One line for each cell of each table: value, text, deviation, interval, marks, and where it comes from."""
    return pd.DataFrame(plain(chapters))


def plain(chapters: Sequence[Chapter]) -> list[dict[str, object]]:
    """The same lines as plain values."""
    return [line for chapter in chapters for table in chapter.tables for line in _values(chapter, table)]


def _values(chapter: Chapter, table: Table) -> list[dict[str, object]]:
    where = {"data": chapter.title, "table": table.name}
    return [
        {**where, "line": at, "row": table.head.cells[at].text, "column": column.title, **_value(cell)}
        for column in table.columns
        for at, cell in enumerate(column.cells)
    ]


def _value(cell: Cell) -> dict[str, object]:
    low, high = cell.ends or (None, None)
    return {
        "value": None if isinstance(cell.value, str) else cell.value,
        "text": cell.text,
        "sd": cell.sd,
        "low": low,
        "high": high,
        "highlight": cell.highlight,
        "mark": cell.mark,
        "p": cell.p,
        "source": str(cell.source),
    }


def frame(results: Sequence[Result]) -> pd.DataFrame:
    """One line for each run, all that its result.json holds in flat columns, and intervals of the headlines.

    These are 95 % bootstrap intervals over users alone: one run is one training, and knows of no other.
    """
    resample(results, HEADLINES)
    made = pd.DataFrame([_flat(result) for result in results])
    for name in made.select_dtypes("object"):  # a setting may be a word for one run and a number for another
        types = {type(value) for value in made[name] if value is not None and value == value}
        if len(types) > 1:
            made[name] = [None if value is None or value != value else str(value) for value in made[name]]
    return made


def _flat(result: Result) -> dict[str, object]:
    scheme = result.scheme
    found = {name: ends(result.resampled[name]) for name in HEADLINES}
    return {
        "dataset": result.dataset.name,
        "scheme": scheme.name,
        "version": scheme.version,
        "kind": scheme.kind,
        "leaks": scheme.leaks,
        "source": scheme.source,
        "recipe": scheme.recipe,
        "inputs": scheme.inputs,
        "settings": json.dumps(scheme.settings, sort_keys=True),
        "contract_id": result.contract_id,
        "preset": result.preset,
        "seed": result.seed,
        **{f"{reading}.{name}": value for reading, values in result.metrics.items() for name, value in values.items()},
        **{f"strict.{name}.{end}": found[name][at] for name in HEADLINES for at, end in enumerate(("low", "high"))},
        **_prefixed("identifiers", _identifiers(result.identifiers) if result.identifiers else {}),
        **_prefixed("costs", asdict(result.costs)),
        **_prefixed("training", _scalars(result.training or {})),
        **_prefixed("dataset", {key: value for key, value in asdict(result.dataset).items() if key != "name"}),
        **_prefixed("split", result.split),
        **_prefixed("contract", result.contract),
        **_prefixed("environment", result.environment),
        "bench": result.bench,
        "created": result.created,
        "folder": result.path,
    }


def _identifiers(found: IdentifierFacts) -> dict[str, object]:
    """What is not a number or a word is kept as JSON."""
    values = {**asdict(found), **found.further}
    del values["further"]
    return {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in values.items()}


def _scalars(values: Mapping[str, object]) -> dict[str, object]:
    """Steps, epochs and what was best; curves are pictures."""
    return {key: value for key, value in values.items() if value is None or isinstance(value, str | int | float)}


def _prefixed(prefix: str, values: Mapping[str, object]) -> dict[str, object]:
    return {f"{prefix}.{key}": value for key, value in values.items()}
