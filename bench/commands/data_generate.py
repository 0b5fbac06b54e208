"""``bench data generate``: a made-up data set of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "Examples:\n\n"
    "`bench data generate --items 100000`, then `bench run --id-scheme textual --dataset made-100000 --dry-run`\n\n"
    "`bench data generate --items 1000000 --users 400000 --vectors 64 --seed 1 --name million --data-dir ~/data`\n\n"
    "`bench run --id-scheme semantic --dataset million --set semantic.encoder=~/data/million/million.vectors.npy`"
)


def generate(
    items: Annotated[int, typer.Option(help="Size of the catalogue. Each item is in training once or more.")],
    users: Annotated[
        int | None, typer.Option(help="Number of users, with 5 to 20 interactions each; by default as many as items.")
    ] = None,
    vectors: Annotated[int, typer.Option(min=0, help="Width of vectors of items, in a file beside; 0: none.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and sizes give the same files.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the data set; by default made-ITEMS.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a data set of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="The parent of the new data set's folder.")
    ] = None,
) -> None:
    """Make up a data set of any size, with text: to see what so many items take.

    Files are written as they are made, so memory does not grow with the catalogue. Scores on it say nothing about any
    real shop.
    """
    from bench import machine
    from bench.data import sources
    from bench.data.generating import Shop, store

    shop = Shop(name or f"made-{items}", items, items if users is None else users, seed, vectors)
    described, folder = store(shop, data_dir, force)
    if as_json:
        machine.show({**described, "folder": str(folder)})
        return
    counts = ", ".join(f"{described[what]:,} {what}" for what in ("users", "items", "interactions"))
    typer.echo(f"{folder}: {counts}")
    where = sources.option(data_dir)
    typer.echo(f"Now: bench run --id-scheme semantic/rqkmeans --dataset {shop.name}{where} --dry-run")
