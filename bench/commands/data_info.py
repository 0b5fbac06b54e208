"""``bench data info``: the statistics that papers print of a data set, and what is odd about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Examples:\n\n`bench data info ml-100k`\n\n`bench data info ./my_data --json`"


def info(
    dataset: Annotated[str, typer.Argument(help="A known data set, a folder or a file.")],
    data_dir: Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The statistics that papers print, and what is odd about a data set."""
    from rich.table import Table

    from bench import console, machine
    from bench.data import audit, sources
    from bench.data.audit.order import time_notes

    found = sources.find(dataset, data_dir)
    if as_json:
        machine.show(audit.plain(found))
        return
    table = Table("", found.name, box=None, title_justify="left")
    table.columns[1].justify = "right"
    for label, value in audit.rows(found):
        table.add_row(label, value)
    out = console.Console()
    out.print(table)
    for note in (*found.notes, *time_notes(found)):
        out.print(f"note: {note}")
