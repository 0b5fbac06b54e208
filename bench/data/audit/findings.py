"""The audit of a data set: all statistics, and in words what they mean for a comparison of recommenders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.data.audit import conclusion
from bench.data.audit.order import Order, order
from bench.data.audit.statistics import Statistics, statistics
from bench.data.audit.strength import DRAWS, Strength, merged, strength
from bench.data.audit.texts import Texts, texts
from bench.data.dataset import Dataset

VERSION = 4  # rises when a statistic or a sentence changes, so that no stored audit is taken for a new one
CORE = 5


@dataclass(frozen=True)
class Audit:
    """``fewest`` are the interactions of the user, and of the item, that has the fewest; ``merged_users`` go under an
    id that they share with others. ``strength`` is None where nobody has three interactions.
    """

    name: str
    statistics: Statistics
    order: Order
    texts: Texts
    fewest: tuple[int, int]
    merged_users: int
    strength: Strength | None

    @property
    def core(self) -> bool:
        """Whether every user and every item has five interactions."""
        return min(self.fewest) >= CORE

    @property
    def conclusion(self) -> str:
        """One paragraph: what these data can tell and what not."""
        return conclusion.paragraph(
            self.name, self.order, self.statistics, self.strength, self.texts, self.merged_users
        )

    @property
    def summary(self) -> str:
        """The same in a line, for under a table."""
        return conclusion.line(self.order, self.statistics, self.strength, self.texts, self.merged_users)

    def plain(self) -> dict[str, Any]:
        """Everything as plain values; NaN, which JSON lacks, is None."""
        stored = asdict(self)
        stored["strength"] = None if self.strength is None else self.strength.plain()
        said = {"version": VERSION, "summary": self.summary, "conclusion": self.conclusion}
        return {**said, "core": self.core, **_without_nan(stored)}


def audit(dataset: Dataset, draws: int = DRAWS) -> Audit:
    """Of a data set with at least one interaction. Toys takes ten seconds; of a large one a sample is counted."""
    lengths = dataset.sequences.lengths
    popularity = np.bincount(dataset.sequences.values, minlength=len(dataset.items))
    return Audit(
        dataset.name,
        statistics(dataset),
        order(dataset),
        texts(dataset.items),
        (int(lengths.min()), int(popularity.min())),
        int(merged(dataset.users).sum()),
        strength(dataset, draws),
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and value != value else value
