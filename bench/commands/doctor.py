"""``bench doctor``: what a maintainer asks for first, and what will not run here and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.commands.examination import Fact

EPILOG = "Examples:\n\n`bench doctor`\n\n`bench doctor --json > doctor.json` for a report of a bug"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    results: Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")] = Path(
        "results"
    ),
    data_dir: Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")] = None,
) -> None:
    """Versions, devices, disk, data, plugins: what is here, and what will not run and why. Names no folder of yours but
    by its last part. Exit code 1 where something is broken.
    """
    from bench.commands.examination import examine

    found = examine(results, data_dir)
    if as_json:
        from bench import machine

        machine.show({chapter: [vars(fact) for fact in facts] for chapter, facts in found.items()})
    else:
        _show(found)
    if any(fact.broken for facts in found.values() for fact in facts):
        raise typer.Exit(1)


def _show(found: dict[str, list[Fact]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bench.console import Console, bold

    out = Console()
    for chapter, facts in found.items():
        out.print(bold(chapter))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column()
        for fact in facts:
            table.add_row(Text(fact.name), Text(fact.value, "red" if fact.broken else ""))
        out.print(table)
    broken = sum(fact.broken for facts in found.values() for fact in facts)
    out.print(f"broken: {broken}" if broken else "nothing is broken")
