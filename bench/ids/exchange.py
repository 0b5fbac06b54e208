"""Identifiers for others to read: a Parquet table that keeps their vocabulary and is read back, and ``index.json``."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.dataset import ItemTable
from bench.data.formats.mending import of_column
from bench.errors import BenchError
from bench.files import is_stream, output, replacing
from bench.ids import storage
from bench.ids.identifiers import Ids, SlotIds, Template, TokenIds

KEPT = b"bench"  # under which a Parquet table keeps vocabulary, template and codebooks
COLUMNS = ("item", "identifier")
SUFFIXES = (".json", ".parquet")


def write(ids: Ids, items: ItemTable, path: Path, before: Ids | None = None, named: bool = False) -> None:
    """Write variant 0 to ``path`` in the format of its suffix; atomic. BenchError where no format has it. A path that a
    user has ``named`` may be a link, a pipe or a device (``bench.files.output``).

    A table has the identifiers as they were ``before`` in a column of that name, where they differ. Identifiers of
    users are left out: they are of the users of one split, and mean nothing elsewhere.
    """
    check_suffix(path)
    with (output if named else replacing)(path, "identifiers") as partial:
        if path.suffix == ".parquet":
            _parquet(ids, items, partial, before)
        else:
            _index(ids, items, partial)


def check_suffix(path: Path) -> None:
    """BenchError where no format has the suffix of ``path``. What is no file is given JSON."""
    if path.suffix not in SUFFIXES and not is_stream(path):
        raise BenchError(f"cannot write identifiers to '{path}': its name must end in {' or '.join(SUFFIXES)}")


def _parquet(ids: Ids, items: ItemTable, path: Path, before: Ids | None) -> None:
    """Columns ``item``, ``title``, ``identifier`` (for people) and ``tokens`` (rows of the vocabulary kept with it)."""
    frame = storage.table(ids, items)
    if isinstance(before, TokenIds) and isinstance(ids, TokenIds):
        earlier = storage.table(before, items)["identifier"]
        frame = frame if earlier.equals(frame["identifier"]) else frame.assign(before=earlier)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    kept = {**(table.schema.metadata or {}), KEPT: json.dumps(storage.describe(ids)).encode()}
    pq.write_table(table.replace_schema_metadata(kept), path)


def _index(ids: Ids, items: ItemTable, path: Path) -> None:
    """``{original id: [token, ...]}``, items in the order of the catalogue."""
    tokens_by_item = dict(zip(items.ids, _tokens_of(ids, path), strict=True))
    path.write_text(json.dumps(tokens_by_item, ensure_ascii=False) + "\n", encoding="utf-8")


@singledispatch
def _tokens_of(ids: Any, path: Path) -> list[list[str | None]]:
    """The names of every item's tokens."""
    raise BenchError(f"identifiers that are vectors can't be written as tokens to '{path.name}'")


@_tokens_of.register
def _(ids: TokenIds, path: Path) -> list[list[str | None]]:
    name = ids.vocabulary.tokenizer.id_to_token
    return [[name(token) for token in ids.code(item)] for item in range(len(ids))]


@_tokens_of.register
def _(ids: SlotIds, path: Path) -> list[list[str | None]]:
    return [[f"{slot}:{code}" for slot, code in enumerate(codes)] for codes in ids.codes.tolist()]


def read_parquet(path: Path, data: bytes) -> tuple[Mapping[str, Sequence[Any]], TokenIds | None]:
    """The columns of a table, and the identifiers in it where it keeps their vocabulary. BenchError where broken."""
    try:
        table = pq.read_table(io.BytesIO(data))
        kept = json.loads((table.schema.metadata or {}).get(KEPT, b"null"))
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        if "item" in columns:
            columns["item"] = of_column(path, "item", table.column("item"))
        in_slots = kept is not None and kept["facts"]["kind"] == "slots"
        ids = _ids(columns["tokens"], kept) if kept and "tokens" in columns else None
    except BenchError:
        raise
    except Exception as error:  # Arrow and tokenizers raise families of their own
        cause = " ".join(str(error).split())
        raise BenchError(f"the table '{path}' is corrupt ({cause}); write it again") from error
    if in_slots:
        raise BenchError(
            f"'{path}' holds codes in slots, which are no tokens; run their scheme, or export them as .json to have "
            "them written one after another"
        )
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise BenchError(f"'{path}' must have the columns {', '.join(COLUMNS)}; got {', '.join(columns)}")
    if ids is None and "tokens" in columns:
        raise BenchError(
            f"'{path}' was written by an older bench, without the vocabulary of its tokens; run it again with "
            "--force, or write it anew with bench ids export"
        )
    return columns, ids


def _ids(tokens: Sequence[Sequence[int]], kept: Mapping[str, Any]) -> TokenIds:
    vocabulary, template = storage.vocabulary_of(kept), Template(**kept["template"])
    ids = TokenIds.from_lists(tokens, vocabulary, template)
    return TokenIds(
        ids.tokens, ids.lengths, vocabulary, template, tuple(kept["facts"]["codebooks"]), kept["facts"]["append_eos"]
    )
