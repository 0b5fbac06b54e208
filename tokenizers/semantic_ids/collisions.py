"""What to do where items share all their codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Codes = NDArray[np.int64]  # [items, levels]
Distances = Callable[[NDArray[np.int64]], NDArray[np.float32]]  # rows -> [rows, codes of the last level]
Rule = Literal["counter", "reassign", "sinkhorn", "none"]
RULES = get_args(Rule)

SINKHORN_ROUNDS = 20


def resolve(codes: Codes, size: int, distances: Distances, rule: Rule) -> Codes:
    """Codes ``[items, levels or levels + 1]`` under a rule; all but ``none`` make every row unique, or refuse.

    ``counter`` appends the number of the item among those with its codes, in catalogue order, so the last codebook is
    as large as the largest group. ``reassign`` gives all but the nearest item of a group the nearest free code of the
    last level; ``sinkhorn`` first spreads every group evenly over the last level (LC-Rec, section 3.1), then does the
    same. Items that are alone with their codes keep them.
    ``distances`` are those of items to the ``size`` codes of the last level.
    """
    if rule == "none":
        return codes
    if rule == "counter":
        return np.column_stack([codes, occurrence(codes)])
    stay = alone(codes)
    if rule == "sinkhorn":
        codes = spread(codes, distances)
        stay = stay | alone(codes)
    return reassigned(codes, size, distances, stay)


def groups(codes: Codes) -> NDArray[np.int64]:
    """``[items]``: rows that are equal share a number."""
    _, inverse = np.unique(codes, axis=0, return_inverse=True)
    return np.asarray(inverse, np.int64).reshape(-1)


def alone(codes: Codes) -> NDArray[np.bool_]:
    """``[items]``: whether no other item has the same codes."""
    group = groups(codes)
    return np.asarray(np.bincount(group)[group] == 1)


def collision_rate(codes: Codes) -> float:
    """The share of items that share all their codes with another."""
    return float((~alone(codes)).mean())


def occurrence(codes: Codes) -> NDArray[np.int64]:
    """How many earlier rows are equal to each row."""
    group = groups(codes)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    found: NDArray[np.int64] = np.empty(len(codes), np.int64)
    found[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return found


def reassigned(codes: Codes, size: int, distances: Distances, stay: NDArray[np.bool_]) -> Codes:
    """Every item with the nearest code of the last level that is free under its prefix.

    Those that ``stay [items]``, whose codes must differ, keep them. The others ask, in rounds, for the nearest code
    that is still free; of those that ask for one, the nearest gets it. BenchError where a prefix has more items than
    codes.
    """
    prefix = groups(codes[:, :-1])
    crowded = np.unique(prefix[occurrence(codes) > 0])
    codes = codes.copy()
    order = np.argsort(prefix, kind="stable")
    starts = np.searchsorted(prefix[order], np.arange(prefix.max() + 2))
    for group in crowded:
        rows = order[starts[group] : starts[group + 1]]
        if len(rows) > size:
            raise BenchError(
                f"{len(rows)} items share the codes {codes[rows[0], :-1].tolist()}, and the last level has only {size} "
                "codes to tell them apart; use collisions=counter, more levels or larger codebooks"
            )
        codes[rows, -1] = _settled(codes[rows, -1], distances(rows), stay[rows])
    return codes


def _settled(last: NDArray[np.int64], cost: NDArray[np.float32], stay: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distinct codes for the rows of ``cost [rows, codes]``; of equals the lowest code and the first row come first."""
    steps = comparable(cost)
    found: NDArray[np.int64] = last.copy()
    waiting = np.flatnonzero(~stay)
    free = np.ones(steps.shape[1], bool)
    free[last[stay]] = False
    while len(waiting):
        options = np.where(free, steps[waiting], np.inf)
        wanted = options.argmin(axis=1)
        price = options[np.arange(len(waiting)), wanted]
        order = np.lexsort([waiting, price, wanted])
        first = np.ones(len(order), bool)
        first[1:] = wanted[order][1:] != wanted[order][:-1]
        winners = order[first]
        found[waiting[winners]] = wanted[winners]
        free[wanted[winners]] = False
        waiting = np.delete(waiting, winners)
    return found


def comparable(cost: NDArray[np.float32]) -> NDArray[np.float64]:
    """Costs in steps of a millionth of the largest, so that equal vectors have equal ones whatever the last bits of a
    matrix product; what is not finite costs more than all else.
    """
    finite = np.isfinite(cost)
    largest = max(float(np.abs(cost[finite]).max(initial=0)), 1e-30)
    steps: NDArray[np.float64] = np.round(np.where(finite, cost, 2 * largest).astype(np.float64) / largest * 1e6)
    return steps


def spread(codes: Codes, distances: Distances, sharpness: float = 0.05) -> Codes:
    """Items that collide, with last codes of nearly equal use among them: the plan of Sinkhorn and Knopp."""
    group = groups(codes)
    sizes = np.bincount(group)
    colliding = np.flatnonzero(sizes[group] > 1)
    if not len(colliding):
        return codes
    codes = codes.copy()
    order = colliding[np.argsort(group[colliding], kind="stable")]
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        plan = sinkhorn(comparable(distances(rows)), sharpness)
        codes[rows, -1] = np.round(plan, 9).argmax(axis=1)  # of parts that are equal to 9 decimals the first
    return codes


def sinkhorn(cost: NDArray[np.floating], sharpness: float) -> NDArray[np.float64]:
    """The transport plan ``[rows, codes]`` for a cost, rows summing to 1 and columns alike; ``sharpness`` is the weight
    of entropy, as a part of the range of the cost.
    """
    cost = cost.astype(np.float64) - cost.min()
    plan: NDArray[np.float64] = np.exp(-cost / (sharpness * max(float(cost.max()), 1e-12)))
    for _ in range(SINKHORN_ROUNDS):
        plan /= np.maximum(plan.sum(axis=0, keepdims=True), 1e-300)
        plan /= np.maximum(plan.sum(axis=1, keepdims=True), 1e-300)
    return plan
