"""The end of ``bench run``: a table of what it ran, beside what it is to be compared with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.errors import PartlyFailedError

if TYPE_CHECKING:
    from bench.runs.matrix import Plan


def shown_at_the_end(plans: Sequence[Plan], quiet: bool) -> None:
    """Run one plan after the other, and print what came of them, also where only a part came to its end."""
    from bench.runs import matrix

    done: dict[Path, list[Path]] = {}
    noted: set[str] = set()
    try:
        for plan in plans:
            found = matrix.execute(plan, noted)
            done.setdefault(plan.results, []).extend([] if plan.slurm else found or [])
    except PartlyFailedError as failed:
        done.setdefault(plan.results, []).extend(failed.done)
        raise
    finally:
        if not quiet:
            for results, folders in done.items():
                show(results, folders)
                where = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
                typer.echo(f"Now: bench report{where}", err=True)


def show(results: Path, folders: Sequence[Path]) -> None:
    """Print the scores of these runs; nothing where there are none."""
    if not folders:
        return
    from bench.console import Console, bold
    from bench.report.after_run import after_run
    from bench.report.terminal import show_table

    found, out = after_run(results, folders), Console()
    if found.banner:
        out.print(bold(found.banner), soft_wrap=True)
    for table in found.tables:
        show_table(table, out)
