"""``bench report --request``: the file for ``bench run --config`` that makes the reported runs again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.write import ReportFilter


def write_request(results: Path, only: ReportFilter, path: Path) -> None:
    """Write the request for the runs that a report is about."""
    from bench.console import Console
    from bench.files import output
    from bench.report.write import chosen
    from bench.results import read
    from bench.runs.remake import remake

    text = remake(chosen(read.load(results), only))
    with output(path, "the request") as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    Console(stderr=True).print(f"written: {path}, for bench run --config", soft_wrap=True)
