"""What the best scheme costs, in sentences, beside what the others cost."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.notes import loaded, machines_differ
from bench.report.numbers import seconds
from bench.report.rows import Row

TRAINING, INFERENCE = "training_seconds", "inference_seconds_per_1000_users"


def spending(top: Row, schemes: Sequence[Row]) -> list[str]:
    """Nothing where no time was measured. Seconds of different machines, or of a busy one, are not compared."""
    training, inference = top.cost(TRAINING), top.cost(INFERENCE)
    parts = [
        *([f"its training took {clock(training)}"] if training else []),
        *([f"ranking 1,000 users took {clock(inference)}"] if inference else []),
    ]
    if not parts:
        return []
    said = [f"{top.label} costs: {' and '.join(parts)}."]
    if machines_differ(schemes):
        return [*said, "The schemes ran on different machines, so their times do not compare."]
    if loaded(schemes):
        return [*said, "The machine was busy with other work, so times are too long and do not compare well."]
    others = [row.cost(TRAINING) for row in schemes if row is not top]
    known = [value for value in others if value]
    if training and known and len(known) == len(others):
        return [*said, f"Training of the {_others(known)}."]
    return said


def _others(known: Sequence[float]) -> str:
    if len(known) == 1:
        return f"other scheme took {clock(known[0])}"
    low, high = clock(min(known)), clock(max(known))
    return f"other {len(known)} schemes took {low if low == high else f'{low} to {high}'}"


def clock(value: float) -> str:
    """``42 s``, ``25 min``, ``3.1 h``: a time as one says it."""
    if value < 120:
        return f"{seconds(value)} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
