"""The command line: parse, call, print. Whatever is heavy is imported inside the command that needs it."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bench import console, lists, ranks
from bench.commands import (
    clean,
    completing,
    data_audit,
    data_generate,
    data_get,
    data_import,
    data_info,
    doctor,
    ids_commands,
    ids_vectors,
    report_request,
    results_commands,
    run,
    run_examples,
    saved_commands,
    verify,
)
from bench.errors import BenchError, in_one_line

# New objects after which Python looks for garbage: at 700, its own, a seventh of the time of all imports goes there.
OBJECTS = 10_000

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Which item identifier is best? Compare identifiers for generative recommendation under one recommender.\n\n"
    "Start with `bench run --id-scheme textual,numeric --dataset ml-100k --preset smoke`, then `bench report`.\n\n"
    "With `--debug` anywhere, an error shows its traceback.",
)
data = typer.Typer(no_args_is_help=True, help="Get data sets, and look at them.")
app.add_typer(data, name="data")
data.command("get", epilog=data_get.GET_EPILOG)(data_get.get)
data.command("ls", epilog=data_get.LS_EPILOG)(data_get.ls)
data.command("import", epilog=data_import.EXAMPLES)(data_import.import_)
data.command("generate", epilog=data_generate.EPILOG)(data_generate.generate)
data.command("info", epilog=data_info.EPILOG)(data_info.info)
data.command("audit", epilog=data_audit.EPILOG)(data_audit.audit)
ids = typer.Typer(no_args_is_help=True, help="Look at identifiers, and make them from vectors alone.")
app.add_typer(ids, name="ids")
ids.command("show", epilog=ids_commands.SHOW_EPILOG)(ids_commands.show)
ids.command("export", epilog=ids_commands.EXPORT_EPILOG)(ids_commands.export)
ids.command("fit", epilog=ids_vectors.FIT_EPILOG)(ids_vectors.fit)
ids.command("encode", epilog=ids_vectors.ENCODE_EPILOG)(ids_vectors.encode)
results = typer.Typer(no_args_is_help=True, help="Pack results for others, and join theirs with yours.")
app.add_typer(results, name="results")
results.command("pack", epilog=results_commands.PACK_EPILOG)(results_commands.pack)
results.command("join", epilog=results_commands.JOIN_EPILOG)(results_commands.join)
app.command("recommend", epilog=saved_commands.RECOMMEND_EPILOG)(saved_commands.recommend)
app.command("serve", epilog=saved_commands.SERVE_EPILOG)(saved_commands.serve)
app.command("export", epilog=saved_commands.EXPORT_EPILOG)(saved_commands.export)
app.command("verify", epilog=verify.EPILOG)(verify.verify)
app.command("rm", epilog=clean.RM_EPILOG)(clean.rm)
app.command("clean", epilog=clean.CLEAN_EPILOG)(clean.clean)
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        from bench import __version__

        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]
STORED = completing.listed(completing.stored)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")]


app.command(epilog=run_examples.EPILOG)(run.run)


@app.command(
    epilog="Examples:\n\n`bench report`\n\n`bench report --dataset toys --out report.md --figure quality.png`\n\n"
    "`bench report --preset cpu --latex tables.tex --values tables.parquet`\n\n"
    "`bench report --html report.html --figures pictures`\n\n"
    "`bench report --dataset toys --request toys.toml`, then `bench run --config toys.toml`"
)
def report(
    dataset: Annotated[
        str,
        typer.Option(
            help="Only these data sets, separated by commas.",
            autocompletion=completing.listed(completing.tested),
        ),
    ] = "",
    preset: Annotated[
        str | None,
        typer.Option(
            help="Only schemes run under this preset, and their baselines.",
            autocompletion=completing.listed(completing.presets),
        ),
    ] = None,
    contract: Annotated[
        str | None, typer.Option(help="Only schemes whose contract id begins with this, and their baselines.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The Markdown file; by default report.md in the results folder.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Quality of each scheme, as .png or .svg.")] = None,
    cost_figure: Annotated[Path | None, typer.Option(help="Quality against cost, as .png or .svg.")] = None,
    rank_figure: Annotated[
        Path | None, typer.Option(help="Ranks over five or more data sets, as .png or .svg.")
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="A folder for all pictures, as .png and .svg.")] = None,
    request: Annotated[
        Path | None, typer.Option(help="The request that makes these runs again, for `bench run --config`.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="One page with everything, which needs no network.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Main table and pairs for a paper (booktabs), as .tex.")] = None,
    rows: Annotated[
        str, typer.Option(help="Rows of the LaTeX tables: labels, names or families; by default the leading twelve.")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Columns of the LaTeX table, such as ndcg@10,hit@10,tokens-per-item,training,seeds.")
    ] = "",
    csv: Annotated[Path | None, typer.Option(help="One row for each finished run, as .csv or .parquet.")] = None,
    values: Annotated[
        Path | None, typer.Option(help="Every value of every table with its source, as .csv or .parquet.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Every table on the terminal, not only the main ones.")] = False,
    as_json: AsJson = False,
    results: Results = Path("results"),
) -> None:
    """What finished runs show: who leads, what is not told apart, what it costs; all tables stand in the files."""
    from bench.report.latex import COLUMNS, Choice
    from bench.report.write import OutputPaths, ReportFilter, write

    chosen = lists.named("--columns", columns or None) or COLUMNS
    files = OutputPaths(
        out=out or results / "report.md",
        out_asked=out is not None,
        latex=latex,
        csv=csv,
        values=values,
        figure=figure,
        cost_figure=cost_figure,
        rank_figure=rank_figure,
        figures=figures,
        html=html,
        paper=Choice(tuple(lists.named("--rows", rows or None)), tuple(chosen)),
    )
    only = ReportFilter(lists.named("--dataset", dataset or None), preset, contract)
    write(results, only, files, as_json, full)
    if request:
        report_request.write_request(results, only, request)


@app.command(
    epilog="Examples:\n\n`bench compare textual numeric/random --dataset toys`\n\n"
    "`bench compare results/runs/toys/textual.title@2/ba75bb88-74386b/0 pop --dataset toys --json`"
)
def compare(
    run_a: Annotated[
        str,
        typer.Argument(help="Folder of a run, name of what was run, or a row of the report.", autocompletion=STORED),
    ],
    run_b: Annotated[
        str, typer.Argument(help="The run to compare with, named in the same way.", autocompletion=STORED)
    ],
    dataset: Annotated[str | None, typer.Option(help="The data set, if the name has results on more than one.")] = None,
    seed: Annotated[int | None, typer.Option(help="One seed; by default the mean over all seeds of a run.")] = None,
    json: AsJson = False,
    results: Results = Path("results"),
) -> None:
    """Compare two stored runs on the same users: difference, interval, p, users won and lost, slices, contract."""
    from bench.commands.compare import write

    write(results, (run_a, run_b), dataset, seed, json)


@app.command(
    "ls", epilog="Examples:\n\n`bench ls --data-dir ~/data`\n\n`bench ls --check`\n\n`bench ls --sizes --json`"
)
def list_(
    results: Results = Path("results"),
    data_dir: DataDir = None,
    check: Annotated[bool, typer.Option("--check", help="Import every plugin, to see whether it loads.")] = False,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="What lies in the results folder, and how much it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be run, what is finished and what is broken: schemes, baselines, data sets, presets, results."""
    from bench.commands.listing import show, show_sizes

    show_sizes(results, as_json) if sizes else show(results, data_dir, check, as_json)


@app.command(
    epilog="Examples:\n\n`bench check textual`\n\n`bench check ./mine.py:Mine --dataset toys --data-dir ~/data`\n\n"
    "`bench check semantic/rqkmeans --set semantic.codes=64 --json`\n\n`bench check ./newest.py:Newest`"
)
def check(
    name: Annotated[str, typer.Argument(help="An identifier scheme or a baseline; see `bench ls`.")],
    dataset: Annotated[str, typer.Option(help="A data set or a folder; a small piece of it is used.")] = "ml-100k",
    seed: Annotated[int, typer.Option(min=0, help="The seed of identifiers and training.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="As in `bench run`.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Check in seconds that a scheme or baseline meets every requirement, or say which it fails, on which item, and
    what to do.
    """
    from bench.conformance.request import CheckRequest
    from bench.conformance.show import check as check_requirements
    from bench.runs.subjects import is_baseline

    asked = CheckRequest(name, dataset, tuple(set_ or []), seed, data_dir, is_baseline(name))
    if not check_requirements(asked, as_json):
        raise typer.Exit(1)


@app.command(epilog="Example:\n\n`bench new my_scheme`")
def new(
    name: Annotated[str, typer.Argument(help="Name of the package and of its scheme: lower-case words joined by _.")],
    into: Annotated[Path, typer.Option(help="The parent of the new package's folder.")] = Path("."),
) -> None:
    """Write a package with a scheme of your own to start from, its tests and its entry point."""
    from bench.new import write

    folder = write(name, into)
    typer.echo(f"{folder}: the scheme is in {folder / 'src' / name / '__init__.py'}")
    typer.echo(f"Now: pip install -e {folder}, then: bench check {name}", err=True)


def _in_step() -> bool:
    """Whether ranks are connected: what is wrong before is wrong in all of them, and one says it."""
    distributed = sys.modules.get("torch.distributed")
    return bool(distributed and distributed.is_available() and distributed.is_initialized())


def _leave(code: int) -> NoReturn:
    """End one of several ranks without tearing the interpreter down: a thread of Gloo that frees a tensor meanwhile
    aborts the process, and PyTorch cannot be told to end its threads first.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """The console script: a BenchError is one line and exit code 1; Ctrl-C is 130."""
    gc.set_threshold(max(OBJECTS, gc.get_threshold()[0]))
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    console.write_anyhow()
    code = _code(debug)
    if _in_step():
        _leave(code)
    sys.exit(code)


def _code(debug: bool) -> int:
    """The exit code of the command, after what went wrong has been said."""
    try:
        app()
    except (BenchError, OSError) as error:
        if debug:
            raise
        if ranks.speaks():
            console.say(f"bench: {in_one_line(error)}")
        return 1
    except (KeyboardInterrupt, SystemExit) as stop:  # Typer makes an exit code of Ctrl-C, without a word
        if isinstance(stop, SystemExit) and stop.code != 130:
            if not isinstance(stop.code, int | None):
                raise
            return stop.code or 0
        if ranks.speaks():
            typer.echo("\nbench: interrupted; rerun to resume", err=True)
        return 130
    return 0


if __name__ == "__main__":
    main()
