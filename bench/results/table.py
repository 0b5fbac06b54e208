"""``per_user.parquet``, read back: where the targets of each test user came out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import CorruptError
from bench.evaluation import multi_target
from bench.evaluation.metrics import Floats, Ranks
from bench.results import packed
from bench.results.digests import HINT
from bench.results.schema import COLUMNS, DESCRIBED, GROUP_COLUMNS

if TYPE_CHECKING:
    import pandas as pd  # `bench ls` reads results too, and waits for neither pandas nor Arrow where there are none

PER_USER = "per_user.parquet"
NUMBERS = COLUMNS[2:-1]
LEAST = {"rank": 1, "code_rank": 1, "group_size": 1, "popularity": 0, "history_length": 0}


@dataclass(frozen=True, eq=False)
class GroupTable:
    """Strict ``ranks [targets]`` of the targets of one kind among its items; ``user_rows`` number the users."""

    ranks: Floats
    user_rows: NDArray[np.int64]

    def values(self, name: str) -> Floats:
        """``[users]``: a metric for each user who has a target of the kind."""
        return multi_target.per_user(self.ranks, self.user_rows, name)


@dataclass(frozen=True, eq=False)
class UserTable:
    """Per-user results, all ``[users]`` and ordered by user: where the target came out, in which strata the user falls.

    The order makes runs that tested the same users agree line by line. A user with several targets is one line:
    ``targets`` joins them, ``popularity`` is their mean rounded up, so that 0 says that all are cold. ``ranks`` and
    ``item_groups`` alone are by target: ``item_groups[name]`` holds the ranks of warm or cold targets in that group.
    ``described`` holds those of ``DESCRIBED`` that the result has of every user: how many interactions came before, and
    0 or 1 of how the target stands to the newest of them.
    """

    users: NDArray[np.object_]
    targets: NDArray[np.object_]
    ranks: Ranks
    popularity: NDArray[np.int64]
    history_length: NDArray[np.int64]
    item_groups: Mapping[str, GroupTable]
    described: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    def column(self, name: str) -> NDArray[np.int64]:
        """``[users]``: what users are sliced by."""
        return self.described[name] if name in self.described else np.asarray(getattr(self, name))


def read_table(path: Path, item_groups: Sequence[str]) -> UserTable:
    """The table, with the ranks of these groups of items. BenchError where it is corrupt or empty."""
    try:
        frame = packed.read_any(path)
        frame = frame.iloc[np.argsort(frame["user"].to_numpy(object), kind="stable")]
        columns = {name: _numbers(frame[name]) for name in NUMBERS}
        _require_sense(frame, columns)
        found = _user_table(frame, columns, item_groups)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(path, error) from error
    if not len(found):
        raise CorruptError(f"'{path}' holds no user", HINT)
    return found


def _require_sense(frame: pd.DataFrame, columns: Mapping[str, Floats]) -> None:
    """ValueError where a table holds what no run has stored."""
    for name in ("user", "target"):
        if frame[name].isna().any():
            raise ValueError(f"a {name} is missing")
    for name, least in LEAST.items():
        found = columns[name] if name.endswith("rank") else np.where(np.isinf(columns[name]), -1, columns[name])
        if not bool((found >= least).all()):
            raise ValueError(f"a {name} is not {least} or more")


def _user_table(frame: pd.DataFrame, columns: Mapping[str, Floats], item_groups: Sequence[str]) -> UserTable:
    """From lines by target, sorted by user."""
    users, first, user_rows = np.unique(frame["user"].to_numpy(object), return_index=True, return_inverse=True)
    group_size = columns["group_size"].astype(np.int64)
    better = np.where(np.isfinite(columns["rank"]), columns["rank"] - group_size, 0).astype(np.int64)
    targets = frame["target"].to_numpy(object)
    popularity, counts = columns["popularity"], np.bincount(user_rows)
    if len(users) < len(frame):
        targets = np.array([" ".join(map(str, own)) for own in np.split(targets, first[1:])], object)
        popularity = np.ceil(np.bincount(user_rows, popularity) / counts)
    return UserTable(
        users,
        targets,
        Ranks(columns["code_rank"], better, group_size, user_rows if len(users) < len(frame) else None),
        popularity.astype(np.int64),
        columns["history_length"][first].astype(np.int64),
        {name: _group_table(frame, user_rows, name) for name in item_groups},
        {name: frame[name].to_numpy(np.int64)[first] for name in DESCRIBED if _is_whole(frame, name)},
    )


def _is_whole(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().all())


def _group_table(frame: pd.DataFrame, user_rows: NDArray[np.int64], name: str) -> GroupTable:
    members = frame["cold"].to_numpy(bool) == (name == "cold")
    ranks = _numbers(frame[GROUP_COLUMNS[name]])[members]
    return GroupTable(ranks, np.unique(user_rows[members], return_inverse=True)[1])


def _numbers(column: pd.Series[Any]) -> Floats:
    """A nullable column as floats; null, a target that was not retrieved, becomes ``inf``."""
    return column.to_numpy(dtype=np.float64, na_value=np.inf)


def check_outline(path: Path, rows: int, item_groups: Collection[str]) -> None:
    """BenchError where a table has not these ``rows`` or lacks a column. What is in them is not read: this takes as
    long for few users as for many.
    """
    try:
        found, names = packed.outline(path)
    except (OSError, ValueError) as error:
        raise _corrupt(path, error) from error
    absent = [name for name in (*COLUMNS, *(GROUP_COLUMNS[kind] for kind in item_groups)) if name not in names]
    if absent:
        raise _corrupt(path, KeyError(", ".join(absent)))
    if not found:
        raise CorruptError(f"'{path}' holds no user", HINT)
    if found != rows:
        raise _corrupt(path, ValueError(f"{found:,} rows for {rows:,} test targets"))


def _corrupt(path: Path, error: Exception) -> CorruptError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
    return CorruptError(f"'{path}' is corrupt ({reason})", HINT)
