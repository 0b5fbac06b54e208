"""The best of scores that never are in memory together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import Sequences

Excluded = Callable[[int, int], NDArray[np.bool_]]  # of a stretch of columns, [B, n]: which of them may not be ranked


def best_of(
    scores: Callable[[int, int], Tensor],
    users: int,
    count: int,
    k: int,
    at_once: int,
    excluded: Excluded | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Columns of the ``k`` highest of ``count`` scores for each user, best first, equal ones in order, and the scores.

    ``scores(start, stop)`` gives a stretch of them, ``[users, stop - start]``. What is ``excluded`` scores minus
    infinity.
    """
    best = torch.zeros(users, 0, dtype=torch.long, device=device)
    kept = torch.zeros(users, 0, device=device)
    for start in range(0, count, at_once):
        stop = min(start + at_once, count)
        part = scores(start, stop)
        if excluded is not None:
            part[torch.from_numpy(excluded(start, stop)).to(device)] = float("-inf")
        chosen = first(part, k)
        kept, best = torch.cat([kept, part.gather(1, chosen)], 1), torch.cat([best, chosen + start], 1)
        order = first(kept, k)
        kept, best = kept.gather(1, order), best.gather(1, order)
    return best, kept


def excluded_items(without: Sequences | None, users: int, candidates: NDArray[np.bool_] | None) -> Excluded | None:
    """What may not be ranked of a stretch of items, being in the user's row ``without`` or no candidate; None where all
    may.
    """
    if without is None and candidates is None:
        return None

    def stretch(start: int, stop: int) -> NDArray[np.bool_]:
        none = np.zeros(stop - start, bool) if candidates is None else ~candidates[start:stop]
        found = np.tile(none, (users, 1))
        if without is not None:
            inside = (without.values >= start) & (without.values < stop)
            rows = np.repeat(np.arange(users), without.lengths)[inside]
            found[rows, without.values[inside] - start] = True
        return found

    return stretch


def first(scores: Tensor, count: int) -> Tensor:
    """Columns of the ``count`` highest ``scores [B, n]``, best first, equal ones in order: ``[B, min(count, n)]``."""
    if count >= scores.shape[1]:
        return scores.sort(dim=1, descending=True, stable=True).indices
    values, columns = scores.topk(count, dim=1)
    columns = columns.sort(dim=1).values
    columns = columns.gather(1, scores.gather(1, columns).sort(dim=1, descending=True, stable=True).indices)
    torn = (scores >= values[:, -1:]).sum(1) > count  # topk takes any of those that tie for the last rank
    if torn.any():
        columns[torn] = scores[torn].sort(dim=1, descending=True, stable=True).indices[:, :count]
    return columns
