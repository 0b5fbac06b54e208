"""Interactions by user and time, fast for tens of millions: one key where both fit into 63 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Times

BITS = 63


def by_user_and_time(users: NDArray[np.integer], times: Times) -> NDArray[np.intp]:
    """Rows by user, then time. Rows that tie come in no particular order, but always in the same one."""
    if not len(users) or times.dtype.kind != "i":
        return np.lexsort((times, users))
    least, most = int(times.min()), int(times.max())
    span = most - least + 1
    if (int(users.max()) + 1) * span >= 2**BITS:
        return np.lexsort((times, users))
    return np.argsort(users.astype(np.int64) * span + (times - least), kind="stable")


def ties(
    order: NDArray[np.intp], users: NDArray[np.integer], times: Times
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where in ``order`` rows stand that tie with a neighbor, and the number of the group that each belongs to."""
    equal = (np.diff(users[order]) == 0) & (np.diff(times[order]) == 0)
    positions = np.flatnonzero(np.append(equal, False) | np.insert(equal, 0, False))
    begins = np.insert(~equal, 0, True)[positions]
    return positions, np.cumsum(begins)
