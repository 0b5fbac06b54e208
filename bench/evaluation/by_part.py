"""The validation metric of each data set that was joined, beside that of all users together.

In a curve and a log the metric of ``toys`` is ``ndcg@10/toys``. It is that of its users among the items of all data
sets: what selects is the mean over all users, and this says whose mean it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIVIDER = "/"


@dataclass(frozen=True)
class Parts:
    """Names and numbers of users of the data sets that were joined, in their order; none where there is one."""

    names: tuple[str, ...] = ()
    users: tuple[int, ...] = ()

    def scores(self, metric: str, per_user: NDArray[np.float64], users: NDArray[np.integer]) -> dict[str, float]:
        """The mean of ``per_user [n]`` under the name of the metric, and that of each part which has any of ``users
        [n]``, rows of the training sequences.
        """
        found = {metric: float(per_user.mean())}
        parts = np.searchsorted(np.cumsum(self.users), users, side="right")
        for number, name in enumerate(self.names if len(self.names) > 1 else ()):
            own = per_user[parts == number]
            found |= {f"{metric}{DIVIDER}{name}": float(own.mean())} if len(own) else {}
        return found


def is_of_part(name: str) -> bool:
    """Whether a name in a curve is the metric of one part."""
    return DIVIDER in name


def at_step(curve: Sequence[Mapping[str, Any]], step: int) -> dict[str, dict[str, float]]:
    """What is stored of the validation whose weights were kept: ``best_validation_parts``, by name; nothing where one
    data set was trained on.
    """
    points = [point for point in curve if point["step"] == step and any(map(is_of_part, point))]
    parts = {name.partition(DIVIDER)[2]: value for point in points for name, value in point.items() if is_of_part(name)}
    return {"best_validation_parts": parts} if parts else {}
