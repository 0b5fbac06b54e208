"""Vectors of items that know who chose them, and what is done about items that nobody chose."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TrainView

Vectors = NDArray[np.float32]
Cold = Literal["semantic", "zero", "mean"]
Scale = Literal["unit", "raw"]


def trained_items(train: TrainView) -> NDArray[np.bool_]:
    """``[items]``: which of them occur in a training sequence."""
    found = np.zeros(len(train.items), bool)
    found[train.sequences.values] = True
    return found


def settled(
    vectors: Vectors, trained: NDArray[np.bool_], cold: Cold, scale: Scale = "unit"
) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors, and which items are known, under a policy for those without a training interaction, whose vectors mean
    nothing: ``mean`` of the others, ``zero``, or unknown (``semantic``).

    The mean square of those that mean something is made 1, by one factor for all, or left as it is (``raw``).
    """
    vectors = vectors.copy()
    if scale == "unit":
        vectors /= max(float(np.sqrt(np.square(vectors[trained]).mean())), 1e-12)
    vectors[~trained] = vectors[trained].mean(axis=0) if cold == "mean" else 0
    known = trained.copy() if cold == "semantic" else np.ones(len(vectors), bool)
    return vectors.astype(np.float32), known
