"""Stored results, read back: one ``Result`` for each finished cell (data set x scheme x contract x seed).

A cell is a folder with a ``result.json`` of ``SCHEMA`` and a ``per_user.parquet`` beside it, anywhere below
``<results>/runs``. Folders whose name starts with a dot hold unfinished work and are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.evaluation.metrics import Floats, Ranks, per_user

SCHEMA = 1  # of result.json; rises when an old reader would misunderstand
EXAMPLE = "bench run --id-scheme textual,numeric --dataset ml-100k"
COLUMNS = ["user", "target", "rank", "code_rank", "group_size", "popularity", "history_length"]
ROUNDING = 1e-5  # by how much a stored mean may differ from the mean of its users

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class DatasetFacts:
    """Which data, and how many users, items and interactions; the fingerprint is a hash of its content."""

    name: str
    fingerprint: str
    users: int
    items: int
    interactions: int


@dataclass(frozen=True)
class SchemeFacts:
    """What was compared. ``kind`` is ``scheme`` for identifiers and ``baseline`` for classical recommenders.

    ``leaks``: it was fitted on validation and test, to demonstrate a leak. ``source`` is a digest of its code, None in
    results that hold none.
    """

    name: str
    version: int
    settings: Mapping[str, Any]
    kind: str
    leaks: bool = False
    source: str | None = None


@dataclass(frozen=True)
class IdentifierFacts:
    """Identifiers in figures; rates are shares of items that share an identifier, ``_test`` by test interactions.

    ``further`` holds whatever else was stored about them, such as how much of a codebook is used.
    """

    tokens_mean: float
    tokens_max: int
    vocabulary: int
    collision_rate: float
    collision_rate_test: float
    largest_group: int
    further: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """What a cell took: seconds, MB, weights. None where a cost was not measured or does not exist."""

    parameters: float | None
    fit_seconds: float | None
    train_seconds: float | None
    inference_seconds_per_1000_users: float | None
    peak_memory_mb: float | None


@dataclass(frozen=True, eq=False)
class UserTable:
    """Per-user results, all ``[users]`` and ordered by user: where the target came out, in which strata the user falls.

    The order makes cells that tested the same users agree line by line.
    """

    users: NDArray[np.object_]
    targets: NDArray[np.object_]
    ranks: Ranks
    popularity: NDArray[np.int64]
    history_length: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, eq=False)
class Result:
    """One finished cell. ``metrics`` is ``metrics[reading][name]`` with readings strict, optimistic and expected.

    ``place`` is the folder as it is written in reports: relative to the results folder.
    """

    folder: Path
    place: str
    bench: str
    dataset: DatasetFacts
    scheme: SchemeFacts
    contract: Mapping[str, Scalar]
    contract_id: str
    preset: str | None
    seed: int
    split: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    identifiers: IdentifierFacts | None
    costs: Costs
    training: Mapping[str, Any] | None
    environment: Mapping[str, Scalar]
    created: str
    resampled: dict[str, Floats] = field(default_factory=dict)  # filled by bench.report.sampling

    @cached_property
    def table(self) -> UserTable:
        """The per-user table, read when first asked for."""
        table = _read_table(self.folder / "per_user.parquet")
        _check_agreement(self, table)
        return table

    def values(self, name: str) -> Floats:
        """``[users]``: the strict value of a metric for each user."""
        return per_user(self.table.ranks.strict, name)


def load(results: Path) -> list[Result]:
    """All finished cells below ``results/runs``, ordered by folder."""
    runs = results / "runs"
    files = sorted(path for path in runs.rglob("result.json") if not _hidden(path.relative_to(runs)))
    if not files:
        raise BenchError(f"no finished results in '{results}'; make some with: {EXAMPLE}")
    return [read(path, path.parent.relative_to(results).as_posix()) for path in files]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:-1])


def read(path: Path, place: str) -> Result:
    """The cell whose ``result.json`` this is; reports call its folder ``place``."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        schema = int(stored["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if schema > SCHEMA:
        raise BenchError(
            f"'{path}' has result schema {schema}, this bench reads up to {SCHEMA}; update bench to read it"
        )
    try:
        return _result(path.parent, place, stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BenchError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return BenchError(f"'{path}' is damaged ({reason}); delete its folder and run the cell again")


def _result(folder: Path, place: str, stored: Mapping[str, Any]) -> Result:
    scheme, data = stored["scheme"], stored["dataset"]
    return Result(
        folder=folder,
        place=place,
        bench=str(stored["bench"]),
        dataset=DatasetFacts(**{name: data[name] for name in DatasetFacts.__dataclass_fields__}),
        scheme=SchemeFacts(
            name=str(scheme["name"]),
            version=int(scheme["version"]),
            settings=dict(scheme["settings"]),
            kind=str(scheme["kind"]),
            leaks=bool(scheme.get("leaks", False)),
            source=scheme.get("source"),
        ),
        contract=dict(stored["contract"]),
        contract_id=str(stored["contract_id"]),
        preset=stored["preset"],
        seed=int(stored["seed"]),
        split={name: int(count) for name, count in stored["split"].items()},
        metrics={reading: _floats(stored["metrics"][reading]) for reading in ("strict", "optimistic", "expected")},
        identifiers=None if stored["identifiers"] is None else _identifiers(stored["identifiers"]),
        costs=Costs(**{name: _cost(stored["costs"][name]) for name in Costs.__dataclass_fields__}),
        training=stored["training"],
        environment=dict(stored["environment"]),
        created=str(stored["created"]),
    )


def _identifiers(found: Mapping[str, Any]) -> IdentifierFacts:
    known = [name for name in IdentifierFacts.__dataclass_fields__ if name != "further"]
    further = {name: value for name, value in found.items() if name not in known}
    return IdentifierFacts(**{name: found[name] for name in known}, further=further)


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _cost(value: Any) -> float | None:
    return None if value is None else float(value)


def _read_table(path: Path) -> UserTable:
    if not path.is_file():
        raise BenchError(f"'{path}' is missing beside its result.json; run that cell again with --force")
    try:
        frame = pd.read_parquet(path, columns=COLUMNS)
        frame = frame.iloc[np.argsort(frame["user"].to_numpy(object), kind="stable")]
        columns = {name: _numbers(frame[name]) for name in COLUMNS[2:]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BenchError(f"'{path}' is damaged ({reason}); run that cell again with --force") from error
    group_size = columns["group_size"].astype(np.int64)
    better = np.where(np.isfinite(columns["rank"]), columns["rank"] - group_size, 0).astype(np.int64)
    return UserTable(
        frame["user"].to_numpy(object),
        frame["target"].to_numpy(object),
        Ranks(columns["code_rank"], better, group_size),
        columns["popularity"].astype(np.int64),
        columns["history_length"].astype(np.int64),
    )


def _numbers(column: pd.Series[Any]) -> Floats:
    """A nullable column as floats; null, a target that was not retrieved, becomes ``inf``."""
    return column.to_numpy(dtype=np.float64, na_value=np.inf)


def _check_agreement(result: Result, table: UserTable) -> None:
    """A per-user table of another run beside a result.json would give intervals that belong to other values."""
    if not len(table):
        raise BenchError(f"'{result.folder / 'per_user.parquet'}' holds no user; run that cell again with --force")
    for name in ("hit@10", "ndcg@10"):
        stored, found = result.metrics["strict"][name], float(per_user(table.ranks.strict, name).mean())
        if abs(stored - found) > ROUNDING:
            raise BenchError(
                f"'{result.folder}' disagrees with itself: {name} is {stored:.6f} in result.json and {found:.6f} in "
                "per_user.parquet; run that cell again with --force"
            )
