"""``bench data import``: files that people have become a data set with a name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import lists

EXAMPLES = (
    "Examples:\n\n"
    "`bench data import clicks.csv products.json --name shop`, then `bench run --id-scheme textual --dataset shop`\n\n"
    "`bench data import ratings.csv --user customer --item sku --time bought_at --fields title,brand`\n\n"
    "`bench data import reviews.jsonl.gz meta.jsonl.gz --min-rating 4 --k-core 5 --duplicates first`\n\n"
    "`bench data import all_item_seqs.json metadata.sentence.json --name instruments`\n\n"
    "`bench data import sequential_data.txt --id-map datamaps.json --items meta.json.gz`\n\n"
    "`bench data import training_dict.npy validation_dict.npy testing_dict.npy --name games`"
)


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files of interactions and of items, in any order; or folders with them.", show_default=False
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the data set; by default that of the first file.")] = "",
    items: Annotated[
        list[Path] | None, typer.Option(help="A file of items that could be mistaken for one of interactions.")
    ] = None,
    user: Annotated[str, typer.Option(help="The column of users; by default guessed from its name.")] = "",
    item: Annotated[str, typer.Option(help="The column of items, in files of both kinds.")] = "",
    time: Annotated[
        str, typer.Option(help="The column of time stamps: ISO dates, or numbers since 1970; or none.")
    ] = "",
    rating: Annotated[str, typer.Option(help="The column of ratings, which only --min-rating reads.")] = "",
    fields: Annotated[
        str, typer.Option(help="Text columns of items, separated by commas; by default all that hold words.")
    ] = "",
    min_rating: Annotated[float | None, typer.Option(help="Skip lower ratings; by default every row counts.")] = None,
    k_core: Annotated[int, typer.Option(min=0, help="Keep users and items with this many interactions; 0: all.")] = 0,
    duplicates: Annotated[
        str,
        typer.Option(help="exact: merge equal lines; first or last: one per user and item; keep: all."),
    ] = "exact",
    id_map: Annotated[
        Path | None, typer.Option(help="The original ids of numbers: id_mapping.json, datamaps.json, .item2id, a list.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of text that is not UTF-8; by default guessed.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a data set of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="The parent of the new data set's folder.")
    ] = None,
) -> None:
    """Make a data set of your own files, found by its name afterwards.

    CSV, TSV, Parquet, JSON lines, JSON, RecBole's .inter and .item, P5's text, all_item_seqs.json of MTGRec,
    .inter.json and .item.json of LC-Rec and MiniOneRec, SETRec's .npy; as they are or packed with gzip, zstd, bzip2 or
    xz. The content of a file decides how it is read. Guesses are printed, and stored in dataset.json beside the data.
    Ids keep their text. Ties in time are ordered by a hash of user and item.
    """
    from bench.data import importing
    from bench.data.formats.columns import Roles

    options = importing.Options(
        roles=Roles(user, item, time, rating),
        fields=tuple(lists.named("--fields", fields or None)),
        duplicates=duplicates,  # type: ignore[arg-type]  # checked there
        min_rating=min_rating,
        k_core=k_core,
        id_map=id_map,
        items=tuple(items or ()),
        encoding=encoding,
    )
    _show(*importing.store(files, options, name, data_dir, force), as_json)


def _show(described: dict[str, object], folder: Path, as_json: bool) -> None:
    from bench import machine
    from bench.data import sources

    if as_json:
        machine.show({**described, "folder": str(folder)})
        return
    for note in list(described["notes"]):  # type: ignore[call-overload]
        typer.echo(f"note: {note}")
    users, items, interactions = (f"{described[what]:,}" for what in ("users", "items", "interactions"))
    typer.echo(f"{folder}: {users} users, {items} items, {interactions} interactions")
    name, scheme = described["name"], "textual" if described.get("text") else "numeric/random"
    where = sources.option(folder.parent)
    typer.echo(f"Now: bench data info {name}{where}, then: bench run --id-scheme {scheme} --dataset {name}{where}")
