"""``bench data get`` and ``bench data ls``, and what ``bench run`` does where a data set is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data import registry
    from bench.data.get import GetRequest

GET_EPILOG = (
    "Examples:\n\n`bench data ls`\n\n`bench data get ml-100k --accept-licence`\n\n"
    "`bench data get toys beauty --data-dir ~/data`, then "
    "`bench run --id-scheme textual --dataset toys --data-dir ~/data`\n\n"
    "`bench data get yelp --from ~/Downloads/yelp_dataset.tar --accept-licence`\n\n"
    "`bench data get toys --from ~/Downloads` where the raw files have been fetched by other means\n\n"
    "`bench data get toys --ties id --data-dir ~/by-id` as published copies have it: ties in the order of item ids\n\n"
    "`bench data get toys --fields title,brand,description --force`\n\n"
    "`BENCH_SOURCES=mine.toml bench data get mine`: data sets or mirrors of your own, as in bench/data/sources.toml"
)
LS_EPILOG = "Examples:\n\n`bench data ls`\n\n`bench data ls --data-dir ~/data --json`"

DataDir = Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")]


def get(
    names: Annotated[list[str], typer.Argument(help="Data sets; see `bench data ls`.", metavar="NAME…")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence, where one must be accepted.")
    ] = False,
    given: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Raw files, archives or folders that are here already; nothing is downloaded."),
    ] = None,
    ties: Annotated[
        str, typer.Option(help="Order of interactions with equal time stamps: digest (of user and item), id, or file.")
    ] = "digest",
    fields: Annotated[str, typer.Option(help="Text columns of the items, separated by commas.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Rebuild a data set that exists already.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Download a data set, check it, and convert it: into `--data-dir`, `$BENCH_DATA_DIR` or the user's data folder.

    An interrupted download resumes with the same command. A digest or count that differs from the
    published (or first recorded) one is an error, and nothing is kept. `dataset.json` beside the files has licence,
    digests, conversion and the order of ties.
    """
    from bench import lists
    from bench.data import registry
    from bench.data.get import GetRequest

    if given and len(names) > 1:
        raise BenchError(f"--from is about one data set; got {', '.join(names)}")
    found = [registry.find(name) for name in names]
    paths = tuple(path.expanduser() for path in given or ())
    request = GetRequest(accept_licence, paths, ties, tuple(lists.named("--fields", fields or None)), force)
    for source in found:
        fetch(source, request, data_dir)


def fetch(source: registry.Source, request: GetRequest, data_dir: Path | None) -> None:
    """Get one data set, and say what has come of it."""
    from bench.commands.progress_bars import ProgressBars
    from bench.data import get as getting
    from bench.data import sources

    root = sources.home(data_dir)
    with ProgressBars() as bars:
        got = getting.get(source, root, request, bars)
    for note in got.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{source.name}: {got.counts}; {'made' if got.new else 'here already'}: {got.folder}")
    if request.ties != "digest":
        typer.echo(f"Runs keep this order of ties ({request.ties}), unless --set ties=… names another", err=True)
    typer.echo(f"Now: bench run --id-scheme textual --dataset {source.name}{sources.option(data_dir)}", err=True)


def ls(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The data sets that `bench data get` knows: size, licence, and whether they are here."""
    from bench import machine
    from bench.data import registry

    rows = [_row(source, data_dir) for source in registry.load().values()]
    if as_json:
        machine.show(rows)
    else:
        _print(rows)


def _row(source: registry.Source, data_dir: Path | None) -> dict[str, object]:
    from bench.data import sources

    here = sources.located(source.name, data_dir)
    return {
        "name": source.name,
        "description": source.description,
        "megabytes": source.megabytes or None,
        "licence": source.licence,
        "must_accept": source.must_accept,
        "by_hand": bool(source.by_hand),
        "folder": str(here) if here else None,
        "get": sources.how_to_get(source, data_dir),
        "page": source.page,
        "expected": vars(source.expected) if source.expected else None,
    }


def _print(rows: Sequence[dict[str, object]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bench.console import Console

    table = Table(box=None, pad_edge=False)
    table.add_column("data set", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("download", no_wrap=True)
    for column in ("what", "licence"):
        table.add_column(column, overflow="fold")
    for row in rows:
        size = "by hand" if row["by_hand"] else f"{row['megabytes']} MB" if row["megabytes"] else ""
        licence = f"{row['licence']}{' (to be accepted)' if row['must_accept'] else ''}"
        cells = [row["name"], "yes" if row["folder"] else "no", size, row["description"], licence]
        table.add_row(*(Text(str(cell)) for cell in cells))
    Console().print(table)
    typer.echo("Get one: bench data get NAME", err=True)


def lacking(names: Sequence[str], data_dir: Path | None) -> list[str]:
    """The data sets to offer before a run. The processes of a distributed run would all get them at once."""
    from bench import ranks
    from bench.data import sources

    if ranks.several():
        return []

    return list(dict.fromkeys(part for name in names for part in sources.missing(name, data_dir)))


def offer(names: Sequence[str], data_dir: Path | None, yes: bool) -> None:
    """Before a run: get the data sets that are missing, where the user says yes, on the command line or when asked. A
    user who can't be asked, or says no, is told the command that gets them.
    """
    from bench.data import registry
    from bench.data.get import GetRequest

    for name in lacking(names, data_dir):
        source = registry.find(name)
        if not source.by_hand and (yes or _agreed(source, data_dir)):
            fetch(source, GetRequest(accept_licence=True), data_dir)


def _agreed(source: registry.Source, data_dir: Path | None) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from bench.data import sources

    size = f", about {source.megabytes} MB" if source.megabytes else ""
    typer.echo(f"{source.name} ({source.description}{size}) is not on this machine.", err=True)
    typer.echo(f"Licence: {source.licence} ({source.page}).", err=True)
    accepting = " and accept its licence" if source.must_accept else ""
    return typer.confirm(f"Download it to {sources.home(data_dir)}{accepting}?", default=False, err=True)
