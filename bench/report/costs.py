"""The cost table: what identifiers and runs take, and how many seeds stand behind a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report.numbers import flops, number, seconds, weights
from bench.report.quality import stored
from bench.report.rows import Row
from bench.report.table import Cell, Column


@dataclass(frozen=True)
class Cost:
    """A column: its title, the field it is stored in, how it is read and how it is written."""

    title: str
    field: str
    read: Callable[[Row], float | None]
    written: Callable[[float | None], str]


def costs(rows: Sequence[Row]) -> list[Column]:
    """Means over seeds; a dash for what does not exist or was not measured."""
    first, *others = (Column(cost.title, tuple(_cell(row, cost) for row in rows)) for cost in COSTS)
    return [first, Column("decode steps", tuple(_steps(row) for row in rows)), *others]


def summary(rows: Sequence[Row]) -> list[Column]:
    """What stands beside quality in the main table: time to train and to rank, and the number of seeds."""
    shown = {cost.field: cost for cost in COSTS}
    return [Column(shown[field].title, tuple(_cell(row, shown[field]) for row in rows)) for field in SUMMARY]


def _cell(row: Row, cost: Cost) -> Cell:
    value = cost.read(row)
    return Cell(cost.written(value), stored(row, cost.field), value)


def _steps(row: Row) -> Cell:
    """Beam search writes a token of every beam in each step, so the longest identifier says how many there are.

    Identifiers that are written in other steps say so, whatever the contract has beam search do.
    """
    value, field = next(iter(row.further("decode_steps")), None), "identifiers.decode_steps"
    if value is None:
        value, field = row.identifier("tokens_max"), "identifiers.tokens_max"
        value = value if row.first.contract.get("decoder") == "beam" else None
    return Cell(number(value, 0), stored(row, field), value)


def _measured(title: str, name: str, written: Callable[[float | None], str]) -> Cost:
    return Cost(title, f"costs.{name}", lambda row: row.cost(name), written)


def whole(value: float | None) -> str:
    return number(value, 0)


COSTS = (
    Cost("tokens per item", "identifiers.tokens_mean", lambda row: row.identifier("tokens_mean"), number),
    _measured("parameters", "parameters", weights),
    _measured("ID construction (s)", "id_construction_seconds", seconds),
    _measured("training (s)", "training_seconds", seconds),
    _measured("validation (s)", "validation_seconds", seconds),
    _measured("processor (s)", "processor_seconds", seconds),
    _measured("training FLOPs", "training_flops", flops),
    _measured("steps", "steps", whole),
    _measured("target examples", "target_examples", whole),
    _measured("looks", "looks", whole),
    _measured("own steps", "own_steps", whole),
    _measured("own examples", "own_examples", whole),
    _measured("own FLOPs", "own_flops", flops),
    _measured("tokens read", "tokens_read", weights),
    _measured("tokens written", "tokens_written", weights),
    _measured("inference (s per 1,000 users)", "inference_seconds_per_1000_users", seconds),
    _measured("peak memory (MB)", "peak_memory_mb", lambda value: number(value, 0)),
    Cost("seeds", "seed", lambda row: float(len(row.runs)), lambda value: number(value, 0)),
)
SUMMARY = ("costs.training_seconds", "seed", "costs.inference_seconds_per_1000_users")  # fields of the main table
