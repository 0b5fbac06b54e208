"""The end of ``bench run``: a table of what it ran, beside what it is to be compared with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.errors import BenchError, PartlyFailedError

if TYPE_CHECKING:
    from bench.runs.matrix import Plan


def shown_at_the_end(plans: Sequence[Plan], quiet: bool) -> None:
    """Run one plan after the other, and print what came of them, also where only a part came to its end. What fails in
    one of several does not end the others, unless ``keep_going`` is off.
    """
    from bench.runs import matrix

    done: dict[Path, list[Path]] = {}
    noted: set[str] = set()
    failures: list[BenchError] = []
    try:
        for at, plan in enumerate(plans, 1):
            several = replace(plan, keep_going=True) if len(plans) > 1 and plan.keep_going is None else plan
            try:
                found = matrix.execute(several, noted)
            except PartlyFailedError as failed:
                done.setdefault(plan.results, []).extend(failed.done)
                failures.append(failed)
                continue
            except BenchError as refused:
                if not (len(plans) > 1 and several.keep_going):
                    raise
                failures.append(BenchError(f"request {at} of {len(plans)}: {refused}"))
                continue
            done.setdefault(plan.results, []).extend([] if plan.slurm else found or [])
    finally:
        if not quiet:
            for results, folders in done.items():
                show(results, folders)
                where = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
                typer.echo(f"Now: bench report{where}", err=True)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise PartlyFailedError("; ".join(map(str, failures)), [])


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
