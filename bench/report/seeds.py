"""What is stored about training again, for two runs that were named one by one and not read with all others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import files
from bench.errors import BenchError
from bench.report.rows import Row, with_repeated
from bench.results import read as stored
from bench.results.read import Result


def with_repeats(rows: Sequence[Row], results: Path) -> list[Row]:
    """The rows, knowing of every other run of their data and contract in the results folder that has several seeds."""
    known = [*(run for row in rows for run in row.runs), *_readable(results)]
    return [with_repeated(row, known) for row in rows]


def _readable(results: Path) -> list[Result]:
    """All finished runs that can be read; who asks for two runs is not told what is wrong with a third."""
    runs, found = results / "runs", []
    for path in sorted(files.below(runs, "result.json")):
        folder = path.parent.relative_to(results)
        if any(part.startswith(".") for part in folder.parts):
            continue
        try:
            found.append(stored.read(path, folder.as_posix()))
        except BenchError:
            continue
    return found
