"""A search for settings: the same number of trials, ranges and rules of selection for schemes and trained baselines.

Successive halving (Jamieson and Talwalkar, 2016): all trials have a small part of the budget, the better ones of them
twice as much, and the one that is left has the whole of it, which is the row of the table. Each trains anew under a
schedule of its own length. What ranks trials is validation after equal numbers of steps, so no clock has a say and a
search that is repeated chooses the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from bench.errors import BenchError

# What all that is trained in steps shares, by its line of the contract. Sizes are searched where that is asked for.
LEARNING_RATES = (0.01, 0.005, 0.003, 0.001, 0.0005, 0.0001)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)
WEIGHT_DECAYS = (0.0, 0.01, 0.1)
SHARED: Mapping[str, tuple[Any, ...]] = {
    "learning_rate": LEARNING_RATES,
    "dropout": DROPOUTS,
    "weight_decay": WEIGHT_DECAYS,
}

LEAST = 4  # no trial has less of the budget than one part in two to the power of this

Settings = dict[str, Any]
Record = dict[str, Any]  # what came of a trial: ``best_validation``, or why it ``failed``; and what it took


@dataclass(frozen=True)
class Rung:
    """So many trials with this fraction of the budget each."""

    trials: int
    fraction: float


def rungs(trials: int) -> list[Rung]:
    """All that a search of so many trials goes through: every rung costs at most what the whole budget does, but for
    the first where there are many trials. The last is one trial with everything.
    """
    found = [Rung(1, 1.0)]
    while found[0].trials < trials:
        level = len(found)
        first = level == LEAST or 2**level >= trials
        found.insert(0, Rung(trials if first else 2**level, 0.5**level))
    return found


def draws(ranges: Mapping[str, Sequence[Any]], present: Settings, trials: int, seed: int) -> list[Settings]:
    """``trials`` different settings: the ``present`` ones, then others drawn uniformly from the grid of ``ranges``, all
    of it where it is smaller. So a search never ends below the settings that it began with but by chance.

    The first trials of a longer search are those of a shorter one.
    """
    grid = [dict(zip(ranges, values, strict=True)) for values in product(*ranges.values())]
    others = [settings for settings in grid if settings != present]
    order = np.random.default_rng(seed).permutation(len(others)).tolist()
    return [dict(present), *(others[place] for place in order)][:trials] if ranges else []


@dataclass(frozen=True)
class Searched:
    """The trial that won, and of every trial its records, one for each rung that it came to."""

    chosen: int
    records: tuple[tuple[Record, ...], ...]

    def summary(self, trials: Sequence[Settings], seed: int) -> dict[str, Any]:
        """As ``result.json`` holds it."""
        tried = [
            {"settings": settings, "rungs": list(records)}
            for settings, records in zip(trials, self.records, strict=True)
        ]
        return {"seed": seed, "chosen": self.chosen, "trials": tried}

    def total(self, name: str) -> float | None:
        """Of all trials, None where one of them does not know it."""
        values = [record.get(name) for records in self.records for record in records]
        known = [float(value) for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None


def halve(trials: int, attempt: Callable[[int, float], Record]) -> Searched:
    """Every rung but the last, which is the row itself. ``attempt`` trains a trial with a fraction of the budget.

    BenchError where no trial of a rung comes to anything.
    """
    alive, records = list(range(trials)), [list[Record]() for _ in range(trials)]
    steps = rungs(trials)
    for rung, following in pairwise(steps):
        for number in alive:
            records[number].append(attempt(number, rung.fraction))
        alive = better(alive, [records[number][-1] for number in alive])[: following.trials]
    return Searched(alive[0], tuple(tuple(held) for held in records))


def better(alive: Sequence[int], records: Sequence[Record]) -> list[int]:
    """The trials that came to something, best first; of equals, the one that was drawn first."""
    scored = [(number, record) for number, record in zip(alive, records, strict=True) if "failed" not in record]
    if not scored:
        raise BenchError(f"all {len(alive)} trials of the search failed, the first with {records[0]['failed']}")
    return [number for number, _ in sorted(scored, key=lambda pair: (-pair[1]["best_validation"], pair[0]))]


def said(searched: Searched, trials: Sequence[Settings], metric: str) -> str:
    """What a search came to, in a line."""
    settings = ", ".join(f"{name}={value}" for name, value in trials[searched.chosen].items())
    line = f"trial {searched.chosen + 1} of {len(trials)} chosen, with {settings}"
    last = searched.records[searched.chosen]
    score = (
        f": {metric} {last[-1]['best_validation']:.4f} on validation after {last[-1]['steps']:,} steps" if last else ""
    )
    failed = sum("failed" in record for records in searched.records for record in records)
    return line + score + (f"; {failed} of the trials failed" if failed else "")
