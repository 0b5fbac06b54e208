"""Identifiers from vectors alone: a quantizer that is fitted once, kept in a folder, and names new items later.

The folder holds ``quantizer.safetensors`` and ``ids.parquet`` with the columns ``item``, ``identifier`` and ``codes``.
An item that has an identifier keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench import tensors
from bench.errors import BenchError
from bench.files import output, replacing
from bench.ids.embeddings import Vectors

FORMAT = 1  # of the folder; rises when an older one would be misread
QUANTIZER, TABLE = "quantizer.safetensors", "ids.parquet"
WHAT, HINT = "the quantizer", "fit it again with bench ids fit"

State = dict[str, NDArray[Any]]
Codes = NDArray[np.int64]  # [items, levels]


@runtime_checkable
class NamesVectors(Protocol):
    """What a scheme has beside ``fit`` if it names items by their vectors alone."""

    name: str
    settings: Any

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        """A quantizer as arrays, and the codes of the items ``vectors [items, width]``, collisions resolved."""
        ...

    def encode_vectors(self, state: State, vectors: Vectors, known: Codes) -> Codes:
        """The codes of new items beside those ``known``; the arrays may come from an older version."""
        ...

    def written(self, codes: Sequence[int]) -> str:
        """The identifier of an item in words."""
        ...


@dataclass(frozen=True, eq=False)
class Named:
    """Items with their identifiers, and their codes ``[items, levels]``."""

    items: tuple[str, ...]
    codes: Codes

    def table(self, scheme: NamesVectors) -> pa.Table:
        codes = self.codes.tolist()
        return pa.table({"item": list(self.items), "identifier": [scheme.written(c) for c in codes], "codes": codes})


def require(scheme: object) -> NamesVectors:
    """BenchError where the scheme needs more than vectors."""
    if isinstance(scheme, NamesVectors):
        return scheme
    name = getattr(scheme, "name", type(scheme).__name__)
    raise BenchError(f"{name} does not name items by vectors alone; use a quantizer, such as semantic/rqkmeans")


def fit(scheme: NamesVectors, items: tuple[str, ...], vectors: Vectors, seed: int, folder: Path) -> Named:
    """Fit, name all items, and keep both in a new folder. BenchError where there is one already."""
    if (folder / QUANTIZER).exists():
        raise BenchError(f"'{folder}' holds a quantizer already; name new items with it, or give another folder")
    state, codes = scheme.fit_vectors(vectors, seed)
    found = Named(items, codes)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"format": FORMAT, "scheme": scheme.name, "settings": asdict(scheme.settings), "seed": seed}
    _write_table(found, scheme, folder)
    tensors.write(folder / QUANTIZER, state, {**facts, "width": vectors.shape[1]}, "a quantizer")
    return found


def encode(scheme: NamesVectors, items: tuple[str, ...], vectors: Vectors, folder: Path) -> tuple[Named, int]:
    """Name items that the folder does not know and keep them there, after those it knows; and how many are new."""
    state, facts = stored(folder)
    if vectors.shape[1] != facts["width"]:
        raise BenchError(f"'{folder}' was fitted on vectors of {facts['width']} dimensions; got {vectors.shape[1]}")
    before = known(folder)
    there = set(before.items)
    new = np.array([at for at, item in enumerate(items) if item not in there], np.int64)
    if not len(new):
        return before, 0
    codes = scheme.encode_vectors(state, vectors[new], before.codes)
    found = Named((*before.items, *(items[at] for at in new)), np.concatenate([before.codes, codes]))
    _write_table(found, scheme, folder)
    return found, len(new)


def stored(folder: Path) -> tuple[State, Mapping[str, Any]]:
    """Arrays and facts of a fitted quantizer. BenchError where the folder has none, or one of a later format."""
    if not (folder / QUANTIZER).exists():
        raise BenchError(f"'{folder}' holds no quantizer; make one with bench ids fit")
    state, facts = tensors.read(folder / QUANTIZER, "np", WHAT, HINT)
    if facts.get("format") != FORMAT:
        raise BenchError(f"'{folder}' is of format {facts.get('format')}, and this bench reads {FORMAT}; update it")
    return state, facts


def known(folder: Path) -> Named:
    """The items that a folder has named. BenchError where its table is missing or corrupt."""
    path = folder / TABLE
    try:
        table = pq.read_table(path, columns=["item", "codes"])
        codes = np.array(table["codes"].to_pylist(), np.int64)
        if codes.ndim != 2:
            raise ValueError("its codes are not of one length")
        return Named(tuple(table["item"].to_pylist()), codes)
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise tensors.corrupt(
            path, error, "the table of named items", "restore it: its names cannot be made again"
        ) from error


def write(found: Named, scheme: NamesVectors, path: Path, named: bool = False) -> None:
    """A copy for others: ``.parquet``, or JSON in the shape of LC-Rec's index. Atomic. A path that a user has ``named``
    may be a link, a pipe or a device (``bench.files.output``).
    """
    with (output if named else replacing)(path, "identifiers") as partial:
        if path.suffix == ".parquet":
            pq.write_table(found.table(scheme), partial)
            return
        written = (scheme.written(codes) for codes in found.codes.tolist())
        index = {item: words.split() for item, words in zip(found.items, written, strict=True)}
        partial.write_text(json.dumps(index, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_table(found: Named, scheme: NamesVectors, folder: Path) -> None:
    write(found, scheme, folder / TABLE)
