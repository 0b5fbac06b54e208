"""``bench recommend``, ``bench serve`` and ``bench export``: what a finished run is good for after the benchmark."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import lists
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.results.saved import AnySaved

RECOMMEND_EPILOG = (
    "Examples:\n\n`bench recommend textual --dataset ml-100k --history 50,181,172`\n\n"
    "`bench recommend results/runs/toys/textual.title@2/ba75bb88-74386b/0 --history B00BCDQLAC -k 3 --json`\n\n"
    "`bench recommend textual --history 50,181 --history 1,95 --exclude-history`\n\n"
    "`bench recommend textual --users all --out recs.parquet`\n\n"
    "`bench recommend textual --users clicks.csv --out recs.parquet -k 20`"
)
SERVE_EPILOG = (
    "Examples:\n\n`bench serve textual --dataset ml-100k`\n\n`bench serve itemknn --port 9000`\n\n"
    '`curl -X POST localhost:8000/recommend -H "content-type: application/json" '
    '-d \'{"history": ["50", "181"], "k": 3}\'`'
)
EXPORT_EPILOG = (
    "Examples:\n\n`bench export textual --dataset ml-100k --out exported`\n\n"
    "`bench export results/runs/toys/semantic.rqkmeans@2/ba75bb88-74386b/0 --out exported`"
)

Run = Annotated[str, typer.Argument(help="Folder of a run, name of a scheme or baseline, or a row of the report.")]
OnDataset = Annotated[str | None, typer.Option(help="The data set, if the name has results on more than one.")]
Seed = Annotated[int | None, typer.Option(help="One seed; by default the first.")]
Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]
DataDir = Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")]
Index = Annotated[
    str | None, typer.Option(help="Search vector identifiers with faiss: Flat is exact, IVF1024,Flat is not.")
]


def recommend(
    run: Run,
    history: Annotated[
        list[str] | None,
        typer.Option(help="Items by their original id, oldest first, separated by commas; may be repeated."),
    ] = None,
    users: Annotated[
        str,
        typer.Option(
            help="In place of --history: all users of the run's data set, a file with ids of its users (one a line), "
            "or a file or folder of interactions, as `bench data import` reads."
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="With --users: a .parquet or .csv to write.")] = None,
    k: Annotated[int, typer.Option("-k", "--count", help="How many items to recommend.")] = 10,
    exclude_history: Annotated[
        bool | None,
        typer.Option("--exclude-history/--include-history", help="Exclude the history; by default as in the test."),
    ] = None,
    dataset: OnDataset = None,
    seed: Seed = None,
    index: Index = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Recommend items with a finished run, for histories or for many users. Nothing is trained."""
    if bool(history) == bool(users) or bool(users) != bool(out):
        raise BenchError(
            "bench recommend takes --history ITEMS, or --users FILE|all together with --out FILE; "
            f"got {', '.join(_given(history, users, out)) or 'neither'}"
        )
    from bench.commands import recommend, recommend_users

    found = loaded(run, results, dataset, seed, index)
    if out is None:
        asked = [lists.ids(one, found.rows) for one in history or ()]
        recommend.show(found, asked, k, exclude_history, as_json)
    else:
        recommend_users.write(found, users, out, k, exclude_history, data_dir, as_json)


def _given(history: list[str] | None, users: str, out: Path | None) -> list[str]:
    options = {"--history": history, "--users": users, "--out": out}
    return [option for option, value in options.items() if value]


def loaded(run: str, results: Path, dataset: str | None, seed: int | None, index: str | None) -> AnySaved:
    """What ``bench.load`` returns."""
    from bench.report import find
    from bench.results.saved import Saved
    from bench.runs.saved_baseline import SavedBaseline

    found = find.find(results, run, dataset, seed).first
    return SavedBaseline(found, index) if found.scheme.kind == "baseline" else Saved(found, index)


def serve(
    run: Run,
    host: Annotated[
        str, typer.Option(help="The address; the default is reached from this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")] = 8000,
    dataset: OnDataset = None,
    seed: Seed = None,
    index: Index = None,
    results: Results = Path("results"),
) -> None:
    """Serve recommendations of a finished run over HTTP: POST /recommend, GET /healthz, and /docs to try it.

    There is no password: whoever reaches the address may ask. Ctrl-C stops it, when the requests that it has are
    answered.
    """
    _require_extra()
    from bench.console import say
    from bench.serving.app import create
    from bench.serving.server import serve

    found = loaded(run, results, dataset, seed, index)
    serve(create(found), host, port, lambda address: say(f"serving {found.result.scheme.name} on {address}; see /docs"))
    say("stopped")


def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="A new folder.")],
    target: Annotated[str, typer.Option("--for", help="transformers, vllm or sglang.")] = "transformers",
    dataset: OnDataset = None,
    seed: Seed = None,
    results: Results = Path("results"),
) -> None:
    """Export a finished run whose identifiers are tokens: model, tree of identifiers and item table, in one folder."""
    from bench.console import say
    from bench.results.exported import export
    from bench.results.saved import Saved

    found = loaded(run, results, dataset, seed, None)
    if not isinstance(found, Saved):
        raise BenchError(f"{found.result.scheme.name} is a baseline, which has no identifiers to export")
    export(found, out, target)
    say(f"written: {out}: {len(found.items):,} items of {found.result.scheme.name} on {found.result.dataset.name}")


def _require_extra() -> None:
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise BenchError(f"bench serve needs {' and '.join(missing)}: pip install 'item-identifier-bench[serve]'")
