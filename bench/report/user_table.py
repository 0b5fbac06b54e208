"""The per-user table of a finished run: where each user's targets came out, and what is told of user and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation import several
from bench.evaluation.metrics import Floats, Ranks

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["user", "target", "rank", "code_rank", "group_size", "popularity", "history_length"]
DESCRIBED = ("interactions_before", "ascends", "tied", "transition_seen")  # of users; older results hold none


@dataclass(frozen=True, eq=False)
class KindTable:
    """Strict ``ranks [targets]`` of the targets of one kind among the items of that kind; ``owners`` number users."""

    ranks: Floats
    owners: NDArray[np.int64]

    def values(self, name: str) -> Floats:
        """``[users]``: a metric for each user who has a target of the kind."""
        return several.per_user(self.ranks, self.owners, name)


@dataclass(frozen=True, eq=False)
class UserTable:
    """Per-user results, all ``[users]`` and ordered by user: where the target came out, in which strata the user falls.

    The order makes cells that tested the same users agree line by line. A user with several targets is one line:
    ``targets`` joins them, ``popularity`` is their mean rounded up, so that 0 says that all are cold. ``ranks`` and
    ``kinds`` alone are by target: ``kinds[name]`` holds the ranks of warm or cold targets among items of that kind.
    ``described`` holds those of ``DESCRIBED`` that the result has of every user: how many interactions came before, and
    0 or 1 of how the target stands to the newest of them.
    """

    users: NDArray[np.object_]
    targets: NDArray[np.object_]
    ranks: Ranks
    popularity: NDArray[np.int64]
    history_length: NDArray[np.int64]
    kinds: Mapping[str, KindTable]
    described: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    def column(self, name: str) -> NDArray[np.int64]:
        """``[users]``: what users are sliced by."""
        return self.described[name] if name in self.described else np.asarray(getattr(self, name))


def user_table(frame: pd.DataFrame, kinds: Sequence[str]) -> UserTable:
    """From the stored lines by target."""
    frame = frame.iloc[np.argsort(frame["user"].to_numpy(object), kind="stable")]
    columns = {name: _numbers(frame[name]) for name in COLUMNS[2:]}
    users, first, owners = np.unique(frame["user"].to_numpy(object), return_index=True, return_inverse=True)
    group_size = columns["group_size"].astype(np.int64)
    better = np.where(np.isfinite(columns["rank"]), columns["rank"] - group_size, 0).astype(np.int64)
    targets = frame["target"].to_numpy(object)
    popularity, counts = columns["popularity"], np.bincount(owners)
    if len(users) < len(frame):
        targets = np.array([" ".join(map(str, held)) for held in np.split(targets, first[1:])], object)
        popularity = np.ceil(np.bincount(owners, popularity) / counts)
    return UserTable(
        users,
        targets,
        Ranks(columns["code_rank"], better, group_size, owners if len(users) < len(frame) else None),
        popularity.astype(np.int64),
        columns["history_length"][first].astype(np.int64),
        {name: _kind_table(frame, owners, name) for name in kinds},
        {name: frame[name].to_numpy(np.int64)[first] for name in DESCRIBED if _whole(frame, name)},
    )


def _whole(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().all())


def _kind_table(frame: pd.DataFrame, owners: NDArray[np.int64], name: str) -> KindTable:
    members = frame["cold"].to_numpy(bool) == (name == "cold")
    ranks = _numbers(frame[f"{name}_rank"])[members]
    return KindTable(ranks, np.unique(owners[members], return_inverse=True)[1])


def _numbers(column: pd.Series[Any]) -> Floats:
    """A nullable column as floats; null, a target that was not retrieved, becomes ``inf``."""
    return column.to_numpy(dtype=np.float64, na_value=np.inf)
