"""The order of interactions: what ties in time, whether item ids ascend, whether time stamps are times at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.ties import arranged, id_ranks, neighbors, positional, tied, tied_pairs, unnumbered

MANY = 0.5  # share of tied interactions from which every run says so
NEARLY_ALL = 0.99  # share from which the order of histories is that of ties


@dataclass(frozen=True)
class Order:
    """Shares are 0..1, NaN where there is nothing to share.

    ``tied`` is of interactions, ``ascending`` of neighboring pairs of different items that ascend in item id, all of
    them and those that tie in time; of the latter as the file has them as well, where it is known. ``pairs_in_ties``
    counts neighbors that tie in time. ``timeless``: no user has two time stamps. ``unnumbered`` are the users
    whose time stamps are not quite positions where those of nearly all are.
    """

    positional: bool
    unnumbered: int
    timeless: bool
    tied: float
    ascending: float
    ascending_in_ties: float
    ascending_in_ties_of_file: float
    pairs_in_ties: int


def order(dataset: Dataset) -> Order:
    """Of a data set with at least one interaction."""
    ties, inside = tied_pairs(dataset), neighbors(dataset.sequences)
    return Order(
        positional=positional(dataset),
        unnumbered=unnumbered(dataset),
        timeless=bool(inside.any() and not (inside & ~ties).any()),
        tied=float(tied(dataset).mean()),
        ascending=_ascending(dataset, inside),
        ascending_in_ties=_ascending(dataset, ties),
        ascending_in_ties_of_file=_of_file(dataset, ties),
        pairs_in_ties=int(ties.sum()),
    )


def _ascending(dataset: Dataset, pairs: NDArray[np.bool_]) -> float:
    steps = np.diff(id_ranks(dataset.items.ids)[dataset.sequences.values])[pairs]
    steps = steps[steps != 0]
    return float((steps > 0).mean()) if len(steps) else math.nan


def _of_file(dataset: Dataset, ties: NDArray[np.bool_]) -> float:
    """As ``ties=file`` orders them."""
    return math.nan if dataset.file_rows is None or not ties.any() else _ascending(arranged(dataset, "file"), ties)


def time_notes(dataset: Dataset) -> tuple[str, ...]:
    """That time stamps say little or nothing about order, where they do: one line for every run and report."""
    found = order_of_time(dataset)
    if found >= NEARLY_ALL:
        return (
            f"{100 * found:.0f} % of the interactions have the same time stamp as a neighbor: the order of histories "
            "is arbitrary, and nothing sequential can be learned or measured",
        )
    if found >= MANY:
        return (
            f"{100 * found:.0f} % of the interactions have the same time stamp as a neighbor: the order among these "
            "is arbitrary, and which of them came next can be neither learned nor measured",
        )
    return ()


def order_of_time(dataset: Dataset) -> float:
    """The share of tied interactions; 0 where there is none."""
    return float(tied(dataset).mean()) if len(dataset.times) else 0.0
