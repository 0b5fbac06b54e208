"""``bench ids show`` and ``bench ids export`` as commands; what they do is in ``identifiers``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import lists
from bench.errors import BenchError

Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")]

SHOW_EPILOG = (
    "Examples:\n\n`bench ids show semantic/rqvae --dataset ml-100k`\n\n"
    "`bench ids show semantic,textual --dataset toys --item B00BCDQLAC --json`\n\n"
    "`bench ids show all --dataset ml-100k --item 50`\n\n"
    "`bench ids show toys --id-scheme textual`\n\n"
    "`bench ids show semantic/rqkmeans --dataset toys --set semantic.collisions=none`"
)
EXPORT_EPILOG = (
    "Examples:\n\n`bench ids export semantic/rqkmeans --dataset toys --out toys.index.json`\n\n"
    "`bench ids export results/runs/toys/textual.title@2/ba75bb88-74386b/0 --out ids.parquet`\n\n"
    "`bench run --id-scheme file:toys.index.json --dataset toys` runs them again."
)


def show(
    what: Annotated[
        str, typer.Argument(help="Identifier schemes, separated by commas, or all; with --id-scheme, the data sets.")
    ] = "",
    dataset: Annotated[str, typer.Option(help="Data sets or folders, separated by commas; by default ml-100k.")] = "",
    id_scheme: Annotated[str, typer.Option(help="Identifier schemes, as in `bench run`.")] = "",
    item: Annotated[str, typer.Option(help="Items by their original id, separated by commas.")] = "",
    examples: Annotated[int, typer.Option(min=0, help="How many items to show if --item names none.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the identifiers.")] = 0,
    churn: Annotated[
        int | None, typer.Option(min=0, help="A second seed: how far identifiers fitted with it differ.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="As in `bench run`.")] = None,
    as_json: AsJson = False,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Collisions, use of codebooks, drift between variants, items with their nearest by prefix and by text, and whether
    identifiers put together what users choose together.

    Several schemes, or `all`, stand side by side for each item. Nothing is trained; where a finished run has changed
    the identifiers, items are shown by those as well.
    """
    from bench.commands.identifiers import show as show_identifiers
    from bench.runs.matrix import Plan

    if what and id_scheme and dataset:
        raise BenchError(f"--id-scheme and --dataset name all there is to show; drop '{what}', or one of the two")
    schemes, datasets = (id_scheme, dataset or what) if id_scheme else (what, dataset)
    if not schemes:
        raise BenchError("nothing to show: name an identifier scheme, e.g. bench ids show textual (`bench ls` has all)")
    named, on = lists.schemes("--id-scheme", schemes), lists.named("--dataset", datasets or "ml-100k")
    plan = Plan(named, [], on, [seed], None, set_ or [], results, data_dir)
    show_identifiers(plan, item, examples, as_json, churn)


def export(
    scheme: Annotated[str, typer.Argument(help="An identifier scheme, or the folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="A .json in the shape of LC-Rec's index.json, or a .parquet.")],
    dataset: Annotated[str, typer.Option(help="Data set or folder.")] = "ml-100k",
    seed: Annotated[int, typer.Option(min=0, help="The seed of the identifiers.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="As in `bench run`.")] = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Write the identifiers of every item to a file that others read, and `--id-scheme file:PATH` as well."""
    from bench.commands.identifiers import export as export_identifiers
    from bench.runs.matrix import Plan

    export_identifiers(Plan([scheme], [], [dataset], [seed], None, set_ or [], results, data_dir), out)
