"""The identifiers of a finished run, read back from its ``ids.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.report.rows import Row, Section
from bench.results import digests
from bench.results.digests import TABLE
from bench.results.read import Result

END = -1  # stands behind the last token of an identifier


@dataclass(frozen=True, eq=False)
class Identifiers:
    """Of every item: its original id, its title (``""`` where none is stored), its identifier as text and as tokens.

    ``tokens [items, length]`` is filled up with ``END``.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    tokens: NDArray[np.int64]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """``[items]``: tokens of each identifier, without an end token."""
        return np.asarray((self.tokens != END).sum(axis=1), np.int64)


def of_section(section: Section) -> list[tuple[Row, Identifiers]]:
    """The schemes of a section that have token identifiers, best first, each once: seeds and contracts share them."""
    found: dict[str, tuple[Row, Identifiers]] = {}
    for row in section.rows:
        identifiers = None if row.label in found else of_result(row.first)
        if identifiers is not None:
            found[row.label] = row, identifiers
    return list(found.values())


def of_result(result: Result) -> Identifiers | None:
    """None for a baseline, and where a run keeps no tokens. A corrupt file is a BenchError that names it."""
    if result.identifiers is None or TABLE not in result.files:
        return None
    return _read(digests.check(result.folder, TABLE, result.files), result.files[TABLE])


@lru_cache(maxsize=128)
def _read(path: Path, digest: str) -> Identifiers | None:
    try:
        table = pq.read_table(path)
        if "tokens" not in table.column_names or not len(table):
            return None
        return Identifiers(
            _texts(table, "item"), _texts(table, "title"), _texts(table, "identifier"), _tokens(table["tokens"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # Arrow's errors are ValueErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BenchError(f"'{path}' is corrupt ({reason}); run it again with --force") from error


def _texts(table: pa.Table, name: str) -> tuple[str, ...]:
    if name == "title" and name not in table.column_names:  # results of before titles were stored
        return ("",) * len(table)
    return tuple(str(value or "") for value in table[name].to_pylist())


def _tokens(column: pa.ChunkedArray) -> NDArray[np.int64]:
    rows = column.combine_chunks()
    lengths = np.diff(rows.offsets.to_numpy())
    tokens = np.full((len(rows), lengths.max(initial=0)), END, np.int64)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = rows.flatten().to_numpy()
    return tokens


def sample(found: Sequence[Identifiers], count: int, seed: int = 0) -> list[str]:
    """Original ids of ``count`` items that every scheme names, drawn by ``seed`` alone, in order of their ids.

    The same items come out whatever schemes there are, as long as all of them name the whole catalogue.
    """
    shared = sorted(set.intersection(*(set(identifiers.items) for identifiers in found))) if found else []
    chosen = np.random.default_rng(seed).permutation(len(shared))[:count]
    return [shared[position] for position in np.sort(chosen)]
