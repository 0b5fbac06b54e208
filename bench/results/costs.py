"""What a stored run has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Costs:
    """What a run took: seconds, MB, weights. None where a cost was not measured or does not exist.

    ``processor_seconds`` are those of training and validation, of all processes. ``training_flops`` are floating-point
    operations of matrix products; ``tokens_read`` and ``tokens_written`` are those of training, without padding.
    """

    parameters: float | None
    id_construction_seconds: float | None
    training_seconds: float | None
    inference_seconds_per_1000_users: float | None
    peak_memory_mb: float | None
    validation_seconds: float | None = None
    processor_seconds: float | None = None
    id_construction_processor_seconds: float | None = None
    preparation_seconds: float | None = None
    training_flops: float | None = None
    tokens_read: float | None = None
    tokens_written: float | None = None


def read_costs(stored: Mapping[str, Any]) -> Costs:
    """From ``costs`` of a ``result.json``. KeyError where one without a default is missing."""
    named = {field.name: stored.get(field.name) for field in fields(Costs) if field.default is None}
    named |= {field.name: stored[field.name] for field in fields(Costs) if field.default is MISSING}
    return Costs(**{name: None if value is None else float(value) for name, value in named.items()})
