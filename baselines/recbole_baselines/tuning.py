"""Random search over RecBole's ranges: every trial has the same validation users and the same budget of epochs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from recbole_baselines.models import Ranges


def draws(ranges: Ranges, trials: int, seed: int) -> list[dict[str, Any]]:
    """``trials`` different settings drawn uniformly from the grid of ``ranges``, all of it where it is smaller.

    The first trials of a longer search are those of a shorter one.
    """
    grid = list(product(*ranges.values())) if ranges else []
    order = np.random.default_rng(seed).permutation(len(grid))
    return [dict(zip(ranges, grid[place], strict=True)) for place in order[:trials].tolist()]
