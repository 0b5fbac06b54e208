"""The command line: parse, call, print. Whatever is heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Which item identifier is best? Compare identifiers for generative recommendation under one recommender.\n\n"
    "Start with `bench run --id-scheme textual,numeric --dataset ml-100k --preset smoke`, then `bench report`.\n\n"
    "With `--debug` anywhere, an error shows its traceback.",
)
data = typer.Typer(no_args_is_help=True, help="Look at data sets.")
app.add_typer(data, name="data")

Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]
DataDir = Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")]


@app.command(
    epilog="Examples:\n\n"
    "`bench run --id-scheme textual --dataset toys --data-dir ~/data`\n\n"
    "`bench run --id-scheme textual,numeric/random --baseline pop,random --dataset ml-100k --seed 0,1,2`\n\n"
    "`bench run --id-scheme textual --dataset toys --set backbone=t5-small --set epochs=5 --set textual.words=6`\n\n"
    "`torchrun --nproc-per-node 2 -m bench run --id-scheme textual --dataset toys`"
)
def run(
    id_scheme: Annotated[str, typer.Option(help="Identifier schemes, separated by commas; see `bench ls`.")] = "",
    baseline: Annotated[str, typer.Option(help="Baselines, separated by commas; see `bench ls`.")] = "",
    dataset: Annotated[str, typer.Option(help="Data sets or folders, separated by commas.")] = "ml-100k",
    seed: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0",
    preset: Annotated[str | None, typer.Option(help="smoke, cpu or standard; see `bench ls`.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A line of the contract, or of a scheme's settings: key=value, scheme.key=value."),
    ] = None,
    decoder: Annotated[str | None, typer.Option(help="beam or exact; short for --set decoder=…")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run finished cells again.")] = False,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Train and test identifier schemes and baselines; every data set x scheme x seed is a cell, stored when finished.

    A cell that is finished is not run again, one that was stopped goes on where it stopped.
    """
    from bench.runs.matrix import Plan, execute

    overrides = [*(set_ or []), *([f"decoder={decoder}"] if decoder else [])]
    execute(
        Plan(
            schemes=_list(id_scheme),
            baselines=_list(baseline),
            datasets=_list(dataset),
            seeds=_seeds(seed),
            preset=preset,
            overrides=overrides,
            results=results,
            data_dir=data_dir,
            force=force,
        )
    )
    if _is_main_process():
        typer.echo(f"Now: bench report{'' if results == Path('results') else f' --results {results}'}", err=True)


@app.command(
    epilog="Examples:\n\n`bench report`\n\n`bench report --dataset toys --out report.md --figure quality.png`\n\n"
    "`bench report --html report.html --figures pictures`"
)
def report(
    dataset: Annotated[str, typer.Option(help="Only these data sets, separated by commas.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Where the Markdown goes; by default report.md in the results folder.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Quality of each scheme, as .png or .svg.")] = None,
    cost_figure: Annotated[Path | None, typer.Option(help="Quality against cost, as .png or .svg.")] = None,
    figures: Annotated[Path | None, typer.Option(help="A folder for all pictures, as .png and .svg.")] = None,
    html: Annotated[Path | None, typer.Option(help="One page with everything, which needs no network.")] = None,
    csv: Annotated[Path | None, typer.Option(help="One row for each finished cell, as .csv.")] = None,
    results: Results = Path("results"),
) -> None:
    """Tables of what is finished, with intervals, costs and the contract; on the terminal and as Markdown."""
    from bench.report.write import Wanted, write

    write(results, _list(dataset), Wanted(out or results / "report.md", figure, cost_figure, figures, html, csv))


@app.command("ls", epilog="Example:\n\n`bench ls --data-dir ~/data`")
def list_(results: Results = Path("results"), data_dir: DataDir = None) -> None:
    """What can be run, and what is finished: schemes, baselines, data sets, presets, results."""
    from bench.runs.listing import show

    show(results, data_dir)


@data.command(epilog="Examples:\n\n`bench data info ml-100k`\n\n`bench data info ./my_data`")
def info(
    dataset: Annotated[str, typer.Argument(help="A known data set or a folder.")], data_dir: DataDir = None
) -> None:
    """The statistics that papers print, and what is odd about a data set."""
    from rich.console import Console
    from rich.table import Table

    from bench.data import audit, sources

    found = sources.find(dataset, data_dir)
    table = Table("", found.name, box=None, title_justify="left")
    table.columns[1].justify = "right"
    for label, value in audit.rows(found):
        table.add_row(label, value)
    console = Console(highlight=False)
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in _list(text)]
    except ValueError:
        raise BenchError(f"--seed takes whole numbers separated by commas; found '{text}'") from None
    if not seeds or min(seeds) < 0:
        raise BenchError(f"--seed takes one or more numbers, 0 or above; found '{text}'")
    return list(dict.fromkeys(seeds))


def _is_main_process() -> bool:
    import os

    return os.environ.get("RANK", "0") == "0"


def main() -> None:
    """The console script: a BenchError is one line and exit code 1; Ctrl-C is 130."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        app()
    except BenchError as error:
        if debug:
            raise
        typer.echo(f"bench: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:  # Typer makes an exit code of Ctrl-C, without a word
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        if _is_main_process():
            typer.echo("\nbench: stopped; the same command goes on from here", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
