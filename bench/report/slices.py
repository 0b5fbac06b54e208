"""Users in slices: by how popular their target is, how long their history is, and how target and newest item stand to
one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.metrics import Floats
from bench.report.quality import stored
from bench.report.rows import HEADLINE, Row
from bench.report.table import DASH, Cell, Column
from bench.results.table import UserTable

NORMAL = 1.96  # standard errors to either side


@dataclass(frozen=True, eq=False)
class Slicing:
    """A partition of users by one column of their table. ``least [slices]`` are the smallest values, ascending;
    ``names`` are those of the slices where numbers would say nothing.
    """

    name: str
    title: str
    column: str
    least: NDArray[np.int64]
    names: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """``0 (cold)``, ``1``, ``5 or more`` and the like; users below the first least value are in the first slice."""
        return list(self.names) or [self._label(at) for at in range(len(self.least))]

    def _label(self, at: int) -> str:
        low = int(self.least[at])
        if self.column == "popularity" and low == 0:
            return "0 (cold)"
        if at == len(self.least) - 1:
            return f"{low} or more" if at else "all"
        high = int(self.least[at + 1]) - 1
        first = at == 0 and self.column != "popularity"
        return f"up to {high}" if first else f"{low}" if low == high else f"{low}{DASH}{high}"

    def of(self, table: UserTable) -> NDArray[np.intp]:
        """``[users]``: the slice that each user is in."""
        found = np.searchsorted(self.least, table.column(self.column), side="right") - 1
        return np.asarray(np.maximum(found, 0), np.intp)


def slicings(tables: Sequence[UserTable]) -> list[Slicing]:
    """Of runs over one test; the first sets the bounds, and only what all tables hold is sliced by.

    About a quarter of the users in each slice; targets that training never saw are a slice of their own.
    """
    table = tables[0]
    cold = [0] if (table.popularity == 0).any() else []
    popularity = [*cold, *_quarters(table.popularity[table.popularity > 0])]
    return [
        Slicing("popularity", "popularity of the target in training", "popularity", np.array(popularity, np.int64)),
        _by_history(tables),
        *(two for two in TWOFOLD if all(two.column in other.described for other in tables) and _divides(two, table)),
    ]


def _by_history(tables: Sequence[UserTable]) -> Slicing:
    """By all that came before; older results know only how much of it was shown."""
    whole = all("interactions_before" in table.described for table in tables)
    column = "interactions_before" if whole else "history_length"
    title = "length of the history" if whole else "length of the history shown"
    return Slicing("history", title, column, np.array(_quarters(tables[0].column(column)), np.int64))


def _divides(slicing: Slicing, table: UserTable) -> bool:
    return len(np.unique(table.column(slicing.column))) > 1


def _twofold(name: str, title: str, column: str, names: tuple[str, str]) -> Slicing:
    return Slicing(name, title, column, np.array([0, 1]), names)


TWOFOLD = (
    _twofold(
        "transition",
        "whether training has the target right after the newest item",
        "transition_seen",
        ("unseen (generalization)", "seen (memorization)"),
    ),
    _twofold("direction", "item id of the target beside that of the newest item", "ascends", ("not higher", "higher")),
    _twofold("tie", "time of the target beside that of the newest item", "tied", ("later", "the same")),
)


def _quarters(values: NDArray[np.int64]) -> list[int]:
    if not len(values):
        return []
    return sorted({int(value) for value in np.quantile(values, [0, 0.25, 0.5, 0.75], method="higher")})


def sliced(rows: Sequence[Row], slicing: Slicing) -> list[Column]:
    """Strict NDCG@10 of the users in each slice, with normal 95 % intervals over users alone; nothing is tested."""
    found = [_estimates(row, slicing) for row in rows]
    return [
        Column(label, tuple(_cells(rows, slicing, [means[at] for means in found])))
        for at, label in enumerate(slicing.labels)
    ]


def _cells(rows: Sequence[Row], slicing: Slicing, found: Sequence[tuple[float | None, float]]) -> list[Cell]:
    return [
        Cell(
            DASH if value is None else f"{value:.4f}",
            stored(row, "per_user.parquet:rank", f"per_user.parquet:{slicing.column}"),
            value,
            ends=_cut_off(normal(value, error)),
        )
        for row, (value, error) in zip(rows, found, strict=True)
    ]


def _cut_off(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    """Where the metric ends."""
    return ends and (max(0.0, ends[0]), min(1.0, ends[1]))


def _estimates(row: Row, slicing: Slicing) -> list[tuple[float | None, float]]:
    values, members = row.values(HEADLINE).mean(axis=0), slicing.of(row.first.table)
    return [mean_and_error(values[members == at]) for at in range(len(slicing.least))]


def normal(value: float | None, error: float) -> tuple[float, float] | None:
    """The normal 95 % interval; None where there is no error to make one of."""
    return (value - NORMAL * error, value + NORMAL * error) if value is not None and error else None


def mean_and_error(values: Floats) -> tuple[float | None, float]:
    """Mean and its standard error; no mean without users, and an error of 0 says that there is none."""
    if not len(values):
        return None, 0.0
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def sizes(table: UserTable, slicing: Slicing) -> str:
    """``0 (cold): 12; 1: 4,853; …``: how many users each slice has."""
    counts = np.bincount(slicing.of(table), minlength=len(slicing.least))
    return "; ".join(f"{label}: {count:,}" for label, count in zip(slicing.labels, counts, strict=True))
