"""Records: JSON lines, a JSON list of objects, or Python literals as Amazon's metadata of 2014; and Parquet."""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.console import say
from bench.data.characters import require_whole
from bench.data.formats import columns
from bench.data.formats.opening import Source, reading, text_of
from bench.errors import BenchError

AT_ONCE = 50_000  # records
WRAPPED = ("data", "results", "records", "rows", "events", "interactions", "items")
TYPED = ("$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid")
LARGE = 5_000_000  # rows of Parquet, which take seconds: told before they are read
SAMPLE = 1000  # records that tell the columns
BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Records:
    """Objects with the same keys, more or less; ``whole`` where they are one JSON list, which is read at once."""

    source: Source
    columns: tuple[str, ...]
    whole: bool = False

    def batches(self, wanted: Sequence[str], ids: Sequence[str] = ()) -> Iterator[dict[str, pa.Array]]:
        """The wanted columns as text, piece by piece; null where a record lacks one. BenchError where one of the
        ``ids`` among them is nested.
        """
        records = iter(self.records())
        while some := list(itertools.islice(records, AT_ONCE)):
            for name in ids:
                _require_flat(self.source, name, (record.get(name) for record in some))
            yield {name: pa.array([written(record.get(name)) for record in some], pa.string()) for name in wanted}

    def records(self) -> Iterator[Record]:
        if self.whole:
            content = parsed(self.source)
            yield from content if isinstance(content, list) else unfolded(content) or ()
            return
        with reading(self.source) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _record(self.source, number, line)


@dataclass(frozen=True)
class Parquet:
    """A Parquet table. Numbers and dates stay what they are; dictionaries become text. ``named``: its columns as the
    file calls them, where several may have one name.
    """

    source: Source
    named: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return columns.distinct(self.named)

    def batches(self, wanted: Sequence[str], ids: Sequence[str] = ()) -> Iterator[dict[str, pa.Array]]:
        """The wanted columns, piece by piece. BenchError where one of the ``ids`` among them is nested."""
        places = {name: self.columns.index(name) for name in wanted}
        names = list(dict.fromkeys(self.named[place] for place in places.values()))
        read = [place for name in names for place, other in enumerate(self.named) if other == name]  # all of one name
        try:
            file = pq.ParquetFile(self.source.path)
            if file.metadata.num_rows >= LARGE:  # which a small file may unfold to
                counts = f"{file.metadata.num_rows:,} rows, of which {len(names)} of {len(self.named)} columns are read"
                say(f"'{self.source.name}' has {counts}")
            for batch in file.iter_batches(columns=names, batch_size=1 << 20):
                found = {name: batch.column(read.index(place)) for name, place in places.items()}
                for column in found.values():
                    column.validate(full=True)  # a bit that flipped may leave text that is no UTF-8
                for name in ids:
                    if pa.types.is_nested(found[name].type):
                        _require_flat(self.source, name, found[name].to_pylist())
                yield {name: _plain(self.source, name, column) for name, column in found.items()}
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise BenchError(f"'{self.source.path}' is corrupt: {' '.join(str(error).split())[:160]}") from error


def parquet(source: Source) -> Parquet:
    """The table in a source that begins as Parquet does."""
    try:
        names = tuple(pq.read_schema(source.path).names)
    except (pa.ArrowException, OSError) as error:
        raise BenchError(f"'{source.path}' is corrupt: {' '.join(str(error).split())[:160]}") from error
    return Parquet(source, names)


def is_lines(source: Source) -> bool:
    """Whether a text that begins with a bracket is an object on every line, and not one JSON value."""
    lines = [line for line in source.head.decode().splitlines() if line.strip()]
    if not lines[0].lstrip().startswith("{"):
        return False
    try:
        first = _object(lines[0])
    except ValueError:
        return False
    return len(lines) > 1 or (columns.told(first) and unfolded(first) is None)


def of_lines(source: Source) -> Records:
    """Records, one on each line; the first thousand tell the columns."""
    found: dict[str, None] = {}
    for record in itertools.islice(Records(source, ()).records(), SAMPLE):
        found.update(dict.fromkeys(record))
    return Records(source, tuple(found))


def require_one_table(source: Source, content: Mapping[Any, Any]) -> None:
    """BenchError where one JSON object holds several tables, of which none is more than the others what is meant."""
    names = [name for name in _wrapped(content) if all(isinstance(row, Mapping) for row in content[name])]
    if len(names) > 1:
        tables = " and ".join(f"'{name}'" for name in names)
        raise BenchError(f"'{source.path}' holds several tables, {tables}: write each to a file of its own")


def _wrapped(content: Mapping[Any, Any]) -> list[str]:
    """Names under which an object may hold a table; a list without rows is none."""
    return [name for name in WRAPPED if content.get(name) and isinstance(content[name], list)]


def unfolded(content: Mapping[Any, Any]) -> list[Record] | None:
    """The records of a table that one JSON object holds, in the ways of pandas (column by column, by the number of the
    row, split) or under a name such as ``data``; None where it is something else, such as a map from users to items.
    """
    values, head = list(content.values()), content.get("columns")
    lists = _wrapped(content)
    rows: list[Any] = content[lists[0]] if len(lists) == 1 else []  # of events and items, one would be lost
    if isinstance(head, list) and rows and all(isinstance(row, list) and len(row) == len(head) for row in rows):
        return [dict(zip(map(str, head), row, strict=True)) for row in rows]
    alone = not columns.told(content)  # a record has names of its own, and a table needs none that are known
    if rows and all(isinstance(row, Mapping) and (alone or columns.of_table(row)) for row in rows):
        return rows
    if columns.of_table(content) and len(content) > 1:
        if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
            return [dict(zip(content, row, strict=True)) for row in zip(*values, strict=True)]
        if all(isinstance(value, Mapping) and list(value) == list(values[0]) for value in values):
            return [{name: value[row] for name, value in content.items()} for row in values[0]]
    numbered = bool(values) and list(content) == [str(row) for row in range(len(content))]
    if numbered and all(isinstance(value, Mapping) and columns.of_table(value) for value in values):
        return values
    return None


def of_list(source: Source, records: Sequence[Record]) -> Records:
    """Records that are one JSON list."""
    return Records(source, tuple(dict.fromkeys(key for record in records for key in record)), whole=True)


def parsed(source: Source) -> Any:
    """The one JSON value of a text; numbers stay text, as they are written. No key may stand twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
            raise BenchError(f"'{source.path}' has the key '{twice}' twice; keep one of them")
        return found

    try:
        text = text_of(source)
        return require_whole(text, json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=unique))
    except (ValueError, RecursionError) as error:
        raise BenchError(f"'{source.path}' is not valid JSON: {error}") from error


def written(value: Any) -> str | None:
    """A value as one text: lists with commas between their parts, however deep; None where there is nothing, which
    JSON of pandas writes as NaN.
    """
    if value is None or isinstance(value, str):  # as most are
        return value
    if (bare := _unwrapped(value)) is not value:
        return written(bare)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        parts = (f"{key}: {text}" for key, entry in value.items() if (text := written(entry)))
        return ", ".join(parts)
    if isinstance(value, list | tuple):
        return ", ".join(text for part in value if (text := written(part)))
    return str(value)


def _unwrapped(value: Any) -> Any:
    """What MongoDB writes with its type, ``{"$oid": "…"}`` or ``{"$numberLong": "7"}``, without it."""
    while isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in TYPED:
        value = next(iter(value.values()))
    return value


def _require_flat(source: Source, name: str, values: Iterable[Any]) -> None:
    """BenchError where a value that is to be an id holds others: which of them is meant nobody can tell."""
    other = (_unwrapped(value) for value in values if not isinstance(value, str))  # few in JSON, where numbers are text
    nested = next((value for value in other if isinstance(value, Mapping | list | tuple)), None)
    if nested is not None:
        raise BenchError(
            f"'{source.path}', column '{name}': {repr(nested)[:80]} is no id; expected a text or a number; write the "
            "one that is meant into a column of its own, or a row for each of several"
        )


def _record(source: Source, number: int, line: bytes) -> Record:
    try:
        return _object(line.decode("utf-8-sig"))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        cause = " ".join(str(error).split())[:120]
        raise BenchError(
            f"{source.path}, line {number}: neither a JSON object nor a Python literal: {cause}"
        ) from error


def _object(line: str) -> Record:
    """A line of JSON, or of a Python literal, which is read and never run."""
    try:
        found = json.loads(line, parse_int=str, parse_float=str)
    except ValueError:
        if "'" not in line:
            raise
        found = ast.literal_eval(line.strip())
    if not isinstance(found, dict):
        raise ValueError(f"found a {type(found).__name__}")
    require_whole(line, found)
    return found


def _plain(source: Source, name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        return pa.array([written(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_floating(kind):  # where NaN is how a gap is written
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    if any(test(kind) for test in BYTES):
        try:
            return column.cast(pa.binary()).cast(pa.string())
        except pa.ArrowInvalid as error:
            raise BenchError(
                f"'{source.path}', column '{name}' holds bytes that are no text; write them as text, such as hex"
            ) from error
    return column
