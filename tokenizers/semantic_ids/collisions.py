"""What to do where items share all their codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.ids.grouping import equal_rows

Codes = NDArray[np.int64]  # [items, levels]
Distances = Callable[[NDArray[np.int64]], NDArray[np.float32]]  # rows -> [rows, codes of the last level]
Rule = Literal["counter", "reassign", "sinkhorn", "none"]
RULES = get_args(Rule)

SINKHORN_ROUNDS = 20


def resolve(
    codes: Codes,
    size: int,
    distances: Distances,
    rule: Rule,
    capacity: int = 0,
    popularity: NDArray[np.integer] | None = None,
) -> Codes:
    """Codes ``[items, levels or levels + 1]`` under a rule; all but ``none`` make every row unique, or refuse.

    ``counter`` appends the number of the item among those with its codes, in catalogue order or by ``popularity
    [items]`` from the most popular on, so the last codebook is as large as the largest group. With a ``capacity`` above
    0 no more items than that share their codes: the others first get the nearest code of the last level with room.
    ``reassign`` gives all but the nearest item of a group the nearest free code of the last level; ``sinkhorn`` first
    spreads every group evenly over the last level (LC-Rec, section 3.1), then does the same. Items that are alone with
    their codes keep them.
    ``distances`` are those of items to the ``size`` codes of the last level.
    """
    if rule == "none":
        return codes
    if rule == "counter":
        if capacity:
            group = groups(codes)
            codes = reassigned(codes, size, distances, np.bincount(group)[group] <= capacity, capacity)
        return np.column_stack([codes, occurrence(codes, popularity)])
    stay = alone(codes)
    if rule == "sinkhorn":
        codes = spread(codes, distances)
        stay = stay | alone(codes)
    return reassigned(codes, size, distances, stay)


def resolve_new(codes: Codes, known: Codes, size: int, distances: Distances, rule: Rule, capacity: int = 0) -> Codes:
    """Codes of new items ``[new, levels]`` beside ``known [items, levels or levels + 1]``, under the rule that these
    were made unique by, none of which changes. ``sinkhorn`` is ``reassign`` here: nobody known spreads.

    ``distances`` are those of new items. BenchError as from ``resolve``.
    """
    if rule == "none":
        return codes
    count, levels = len(known), codes.shape[1]
    both = np.concatenate([known[:, :levels], codes])
    new = np.arange(len(both)) >= count

    def of_both(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found = np.zeros((len(rows), size), np.float32)  # those of known items decide nothing
        found[rows >= count] = distances(rows[rows >= count] - count)
        return found

    if rule != "counter":
        return reassigned(both, size, of_both, ~new | alone(both))[count:]
    if capacity:
        group = groups(both)
        both = reassigned(both, size, of_both, ~new | (np.bincount(group)[group] <= capacity), capacity)
    return np.column_stack([both, occurrence(both)])[count:]


def groups(codes: Codes) -> NDArray[np.int64]:
    """``[items]``: rows that are equal share a number."""
    return equal_rows(codes)


def alone(codes: Codes) -> NDArray[np.bool_]:
    """``[items]``: whether no other item has the same codes."""
    group = groups(codes)
    return np.asarray(np.bincount(group)[group] == 1)


def collision_rate(codes: Codes) -> float:
    """The share of items that share all their codes with another."""
    return float((~alone(codes)).mean())


def occurrence(codes: Codes, popularity: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """How many equal rows come before each row, in order or by ``popularity [items]``, the most popular first."""
    group = groups(codes)
    order = np.argsort(group, kind="stable") if popularity is None else np.lexsort((-popularity, group))
    sizes = np.bincount(group)
    found: NDArray[np.int64] = np.empty(len(codes), np.int64)
    found[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return found


def reassigned(codes: Codes, size: int, distances: Distances, stay: NDArray[np.bool_], capacity: int = 1) -> Codes:
    """Every item with the nearest code of the last level that is free under its prefix, where so many fit each.

    Those that ``stay [items]``, of whom no more than fit have one code, keep it. The others ask, in rounds, for the
    nearest code that is still free; of those that ask for one, the nearest get it. BenchError where a prefix has more
    items than fit.
    """
    prefix = groups(codes[:, :-1])
    crowded = np.unique(prefix[~stay])
    codes = codes.copy()
    order = np.argsort(prefix, kind="stable")
    starts = np.searchsorted(prefix[order], np.arange(prefix.max() + 2))
    for group in crowded:
        rows = order[starts[group] : starts[group + 1]]
        if len(rows) > size * capacity:
            most = f", of {capacity} items each," if capacity > 1 else ""
            raise BenchError(
                f"{len(rows)} items share the codes {codes[rows[0], :-1].tolist()}, and the last level has only {size} "
                f"codes{most} to tell them apart; use collisions=counter or none, more levels or larger codebooks"
            )
        codes[rows, -1] = _settled(codes[rows, -1], distances(rows), stay[rows], capacity)
    return codes


def _settled(
    last: NDArray[np.int64], cost: NDArray[np.float32], stay: NDArray[np.bool_], capacity: int
) -> NDArray[np.int64]:
    """Codes for the rows of ``cost [rows, codes]``, each for at most ``capacity`` of them; of equals the lowest code
    and the first row come first.
    """
    steps = comparable(cost)
    found: NDArray[np.int64] = last.copy()
    waiting = np.flatnonzero(~stay)
    room = capacity - np.bincount(last[stay], minlength=steps.shape[1])
    while len(waiting):
        options = np.where(room > 0, steps[waiting], np.inf)
        wanted = options.argmin(axis=1)
        price = options[np.arange(len(waiting)), wanted]
        order = np.lexsort([waiting, price, wanted])
        asked = wanted[order]
        winners = order[np.arange(len(order)) - np.searchsorted(asked, asked) < room[asked]]
        found[waiting[winners]] = wanted[winners]
        room -= np.bincount(wanted[winners], minlength=len(room))
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
