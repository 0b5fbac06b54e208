"""A converted data set on disk: atomic files to run on, Parquet with every column, and ``dataset.json``, which says
where it comes from and what was done to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.conversions.items import Items
from bench.data.conversions.log import Log
from bench.errors import BenchError, unknown
from bench.files import read_json

RECORD = "dataset.json"
INTERACTIONS, ITEMS = "interactions.parquet", "items.parquet"


def write(folder: Path, name: str, log: Log, items: Items, text: Sequence[str]) -> None:
    """``NAME.inter``, ``NAME.item`` with the columns ``text``, and both tables as Parquet with all columns. Rows stand
    in the order of ``log``. Raises what the operating system raises.
    """
    for field in text:
        if field not in items.fields:
            raise unknown("text column", field, items.fields)
    rated = not np.isnan(log.ratings).all()
    columns = {field: items.column(field, log.item_ids) for field in items.fields}
    _write_atomic(folder / f"{name}.inter", *_interactions(log, rated))
    header = ["item_id:token", *(f"{field}:token_seq" for field in text)]
    _write_atomic(folder / f"{name}.item", header, zip(log.item_ids, *(columns[field] for field in text), strict=True))
    pq.write_table(_table(log, rated), folder / INTERACTIONS)
    pq.write_table(pa.table({"item": pa.array(log.item_ids, pa.string()), **columns}), folder / ITEMS)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """``dataset.json``, with the SHA-256 of every other file."""
    digests = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != RECORD}
    text = json.dumps({**record, "files": digests}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(f"{text}\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any] | None:
    """What ``dataset.json`` says; None where there is none that can be read."""
    try:
        found = read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def changed(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """The files that are not there any more as they were written."""
    digests: Mapping[str, str] = record.get("files", {})
    return [
        name for name, digest in digests.items() if not (folder / name).is_file() or sha256(folder / name) != digest
    ]


def sha256(path: Path) -> str:
    return digest(path, "sha256")


def digest(path: Path, kind: str) -> str:
    """Of a whole file, in hex."""
    found = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def _interactions(log: Log, rated: bool) -> tuple[list[str], Iterable[tuple[str, ...]]]:
    users = map(log.user_ids.__getitem__, log.users.tolist())
    items = map(log.item_ids.__getitem__, log.items.tolist())
    times = map(str, log.times.tolist())
    header = ["user_id:token", "item_id:token"]
    if not rated:
        return [*header, "timestamp:float"], zip(users, items, times, strict=True)
    ratings = (f"{rating:g}" for rating in log.ratings.tolist())
    return [*header, "rating:float", "timestamp:float"], zip(users, items, ratings, times, strict=True)


def _table(log: Log, rated: bool) -> pa.Table:
    columns = {
        "user": pa.DictionaryArray.from_arrays(log.users.astype(np.int32), pa.array(log.user_ids, pa.string())),
        "item": pa.DictionaryArray.from_arrays(log.items.astype(np.int32), pa.array(log.item_ids, pa.string())),
        "time": pa.array(log.times),
    }
    if rated:
        columns["rating"] = pa.array(log.ratings, from_pandas=True)
    return pa.table(columns)


def _write_atomic(path: Path, header: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(header) + "\n")
        for row in rows:
            line = "\t".join(row)
            if line.count("\t") != len(header) - 1 or not {"\n", "\r", "\0"}.isdisjoint(line):
                raise BenchError(
                    f"{path.name}: {row!r} holds a tab, a line break or a NUL, which atomic files cannot store"
                )
            file.write(f"{line}\n")
