"""``bench ids fit`` and ``bench ids encode``: identifiers from vectors alone, and those of tomorrow's items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.ids.naming import Named, NamesVectors

FIT_EPILOG = (
    "Examples:\n\n`bench ids fit semantic/rqkmeans --vectors today.parquet --out names`\n\n"
    "`bench ids fit semantic/opq --vectors today.npy --out names --set semantic.levels=8`"
)
ENCODE_EPILOG = (
    "Examples:\n\n`bench ids encode names --vectors tomorrow.parquet`\n\n"
    "`bench ids encode names --vectors tomorrow.parquet --out ids.index.json`"
)
FROM = "A .parquet with columns item and vector, a .npy with a list of ids beside it, or a .safetensors."


def fit(
    scheme: Annotated[str, typer.Argument(help="An identifier scheme that quantizes, such as semantic/rqkmeans.")],
    vectors: Annotated[str, typer.Option(help=FROM)],
    out: Annotated[Path, typer.Option(help="The folder for the quantizer and the identifiers.")],
    seed: Annotated[int, typer.Option(min=0, help="The seed of the quantizer.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Settings of the scheme, as in `bench run`.")] = None,
) -> None:
    """Fit a quantizer to vectors of items, without interactions, and name the items.

    Vectors are quantized as they are, whatever the settings say of encoders and dimensions.
    """
    from bench.ids import embeddings, naming
    from bench.runs.matrix import Plan, resolve

    subjects, _, _ = resolve(Plan([scheme], [], [], [seed], None, set_ or []))
    if len(subjects) != 1:
        raise BenchError(f"one scheme is fitted at a time; '{scheme}' names {len(subjects)}")
    named = naming.require(subjects[0])
    items, rows = embeddings.every(vectors)
    found = naming.fit(named, items, rows, seed, out)
    if alike := embeddings.alike(rows):
        _say(f"note: {alike} in '{vectors}'")
    _say(f"written: {out}, {len(found.items):,} items, {_shared(found)}")


def encode(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench ids fit` has made.")],
    vectors: Annotated[str, typer.Option(help=FROM)],
    out: Annotated[Path | None, typer.Option(help="A copy for others: .parquet, or LC-Rec's .json.")] = None,
) -> None:
    """Name new items with a fitted quantizer. Items that have an identifier keep it, whatever their vector is now."""
    from bench.data import twins
    from bench.ids import embeddings, exchange, naming

    if out is not None:
        exchange.check_suffix(out)
    named = _scheme_of(folder)
    items, rows = embeddings.every(vectors)
    before = dict.fromkeys(naming.known(folder).items)
    found, new = naming.encode(named, items, rows, folder)
    _say(f"{new:,} items are new, {len(items) - new:,} keep their identifiers; {len(found.items):,} in all")
    near = twins.nearly([item for item in items if item not in before], before)
    if near:
        _say(f"note: {near}; each is an item of its own now")
    _say(_shared(found))
    if out is not None:
        naming.write(found, named, out, named=True)
        _say(f"written: {out}")


def _scheme_of(folder: Path) -> NamesVectors:
    """With the settings that it was fitted with. BenchError where this version knows others."""
    from bench.ids import naming
    from bench.runs.subjects import installed_scheme

    facts: Any = naming.stored(folder)[1]
    cls = installed_scheme(str(facts["scheme"]))
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["settings"].items()}
    try:
        return naming.require(cls(cls.Settings(**settings)))
    except TypeError as error:
        raise BenchError(f"'{folder}' was fitted with other settings than {cls.name} now has ({error})") from error


def _shared(found: Named) -> str:
    import numpy as np

    distinct = len(np.unique(found.codes, axis=0))
    return "all with identifiers of their own" if distinct == len(found.items) else f"{distinct:,} identifiers"


def _say(text: str) -> None:
    typer.echo(text, err=True)
