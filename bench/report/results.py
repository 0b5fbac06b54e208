"""Stored results, read back: one ``Result`` for each finished cell (data set x scheme x contract x seed).

A cell is a folder with a ``result.json`` of up to ``SCHEMA`` and a ``per_user.parquet`` beside it, anywhere below
``<results>/runs``. Folders whose name starts with a dot hold unfinished work and are passed over.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.evaluation.metrics import Floats
from bench.files import require_readable
from bench.report.user_table import COLUMNS, UserTable, user_table

SEVERAL_TARGETS = 2  # schema of a result.json with several targets of a user; 1 is one target each
SCHEMA = SEVERAL_TARGETS  # rises when an old reader would misunderstand
EXAMPLE = "bench run --id-scheme textual,numeric --dataset ml-100k"
READINGS = ("strict", "optimistic", "expected")
KINDS = ("warm", "cold")  # of items; results of before they were told apart hold neither
ROUNDING = 1e-5  # by how much a stored mean may differ from the mean of its users

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class DatasetFacts:
    """Which data, and how many users, items and interactions; the fingerprint is a hash of its content. ``joined``: it
    is several data sets in one.
    """

    name: str
    fingerprint: str
    users: int
    items: int
    interactions: int
    joined: bool = False


@dataclass(frozen=True)
class SchemeFacts:
    """What was compared. ``kind`` is ``scheme`` for identifiers and ``baseline`` for classical recommenders.

    ``leaks``: it was fitted on validation and test, to demonstrate a leak. ``source`` is a digest of its code, None in
    results that hold none. ``probe``: it only counts or draws.
    """

    name: str
    version: int
    settings: Mapping[str, Any]
    kind: str
    leaks: bool = False
    source: str | None = None
    probe: bool = False


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


@dataclass(frozen=True)
class KindFacts:
    """How many items, users and targets of one kind were measured, and the metrics as of the whole catalogue."""

    items: int
    users: int
    targets: int
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Result:
    """One finished cell. ``metrics`` is ``metrics[reading][name]`` with readings strict, optimistic and expected.

    ``kinds`` holds the metrics of ``warm`` and ``cold`` items alone, where they were measured. ``audit`` says what the
    data can and cannot measure, None in results of before it was stored. ``place`` is the folder
    as it is written in reports: relative to the results folder.
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
    kinds: Mapping[str, KindFacts] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    resampled: dict[str, Floats] = field(default_factory=dict)  # filled by bench.report.sampling

    @property
    def trained_on(self) -> str:
        """The data set of the model, where it is not the one that is tested; else ``""``."""
        return str(self.contract.get("trained_on", "")).rpartition("@")[0]

    @property
    def zero_shot(self) -> bool:
        """Whether the model has seen nothing of the data set that is tested."""
        return bool(self.contract.get("zero_shot", False))

    @cached_property
    def table(self) -> UserTable:
        """The per-user table, read when first asked for."""
        table = _read_table(_table_file(self.folder), tuple(self.kinds))
        _check_agreement(self, table)
        return table

    def values(self, name: str) -> Floats:
        """``[users]``: the strict value of a metric for each user."""
        return self.table.ranks.per_user(name)


def load(results: Path, broken: dict[str, BenchError] | None = None) -> list[Result]:
    """All finished cells below ``results/runs``, ordered by folder.

    A broken one is left out and named on stderr; ``broken`` is given it, by its place. BenchError where nothing is
    finished, or nothing else.
    """
    runs = results / "runs"
    files = sorted(path for path in runs.rglob("result.json") if not _hidden(path.relative_to(runs)))
    if not files:
        raise BenchError(f"no finished results in '{results}'; make some with: {EXAMPLE}")
    found: list[Result] = []
    lost: dict[str, BenchError] = {}
    for path in files:
        place = path.parent.relative_to(results).as_posix()
        try:
            found.append(sound(path, place))
        except BenchError as error:
            lost[place] = error
    if not found:
        raise next(iter(lost.values()))
    for reason in lost.values():
        print(f"left out: {reason}", file=sys.stderr)
    if broken is not None:
        broken.update(lost)
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:-1])


def sound(path: Path, place: str) -> Result:
    """As ``read``. BenchError also where the per-user table is not the cell's: of it only what its columns are called
    and how many rows it has is looked at, which takes no longer for many users than for few.
    """
    found = read(path, place)
    _check_outline(found)
    return found


def read(path: Path, place: str) -> Result:
    """The cell whose ``result.json`` this is; reports call its folder ``place``."""
    require_readable(path)
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
        dataset=DatasetFacts(
            **{name: data[name] for name in ("name", "fingerprint", "users", "items", "interactions")},
            joined=bool(data.get("parts")),
        ),
        scheme=SchemeFacts(
            name=str(scheme["name"]),
            version=int(scheme["version"]),
            settings=dict(scheme["settings"]),
            kind=str(scheme["kind"]),
            leaks=bool(scheme.get("leaks", False)),
            source=scheme.get("source"),
            probe=bool(scheme.get("probe", False)),
        ),
        contract=dict(stored["contract"]),
        contract_id=str(stored["contract_id"]),
        preset=stored["preset"],
        seed=int(stored["seed"]),
        split={name: int(count) for name, count in stored["split"].items()},
        metrics={reading: _floats(stored["metrics"][reading]) for reading in READINGS},
        identifiers=None if stored["identifiers"] is None else _identifiers(stored["identifiers"]),
        costs=Costs(**{name: _cost(stored["costs"][name]) for name in Costs.__dataclass_fields__}),
        training=stored["training"],
        environment=dict(stored["environment"]),
        created=str(stored["created"]),
        kinds={name: _kind(stored[name]) for name in KINDS if stored.get(name) is not None},
        audit=stored.get("audit"),
    )


def _kind(found: Mapping[str, Any]) -> KindFacts:
    metrics = {reading: _floats(found["metrics"][reading]) for reading in READINGS}
    return KindFacts(int(found["items"]), int(found["users"]), int(found["targets"]), metrics)


def _identifiers(found: Mapping[str, Any]) -> IdentifierFacts:
    known = [name for name in IdentifierFacts.__dataclass_fields__ if name != "further"]
    further = {name: value for name, value in found.items() if name not in known}
    return IdentifierFacts(**{name: found[name] for name in known}, further=further)


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _cost(value: Any) -> float | None:
    return None if value is None else float(value)


def _check_outline(result: Result) -> None:
    from pyarrow import parquet

    path = _table_file(result.folder)
    try:
        outline = parquet.read_metadata(path)
    except (OSError, ValueError) as error:
        raise _damaged_table(path, error) from error
    wanted = [*COLUMNS, *(["cold"] if result.kinds else []), *(f"{name}_rank" for name in result.kinds)]
    absent = [name for name in wanted if name not in outline.schema.names]
    if absent:
        raise _damaged_table(path, KeyError(", ".join(absent)))
    if not outline.num_rows:
        raise _empty_table(path)
    rows = result.split.get("test_targets", result.split.get("test_users", outline.num_rows))
    if outline.num_rows != rows:
        raise _damaged_table(path, ValueError(f"{outline.num_rows:,} rows for {rows:,} test targets"))


def _table_file(folder: Path) -> Path:
    path = folder / "per_user.parquet"
    require_readable(path)
    if not path.is_file():
        raise BenchError(f"'{path}' is missing beside its result.json; run that cell again with --force")
    return path


def _damaged_table(path: Path, error: Exception) -> BenchError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
    return BenchError(f"'{path}' is damaged ({reason}); run that cell again with --force")


def _empty_table(path: Path) -> BenchError:
    return BenchError(f"'{path}' holds no user; run that cell again with --force")


def _read_table(path: Path, kinds: Sequence[str]) -> UserTable:
    import pandas as pd  # here: `bench ls` reads results too, and does not wait for pandas or Arrow

    try:
        return user_table(pd.read_parquet(path), kinds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged_table(path, error) from error


def _check_agreement(result: Result, table: UserTable) -> None:
    """A per-user table of another run beside a result.json would give intervals that belong to other values."""
    if not len(table):
        raise _empty_table(_table_file(result.folder))
    for name in ("hit@10", "ndcg@10"):
        _check_mean(result, name, result.metrics["strict"][name], table.ranks.per_user(name))
        for kind, held in table.kinds.items():
            _check_mean(result, f"{kind} {name}", result.kinds[kind].metrics["strict"][name], held.values(name))


def _check_mean(result: Result, name: str, stored: float, values: Floats) -> None:
    if not abs(stored - values.mean()) <= ROUNDING:
        raise BenchError(
            f"'{result.folder}' disagrees with itself: {name} is {stored:.6f} in result.json and "
            f"{values.mean():.6f} in per_user.parquet; run that cell again with --force"
        )
