"""Stored cells become the rows of a report: one for each scheme under one contract, averaged over its seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.evaluation.metrics import Floats
from bench.evaluation.statistics import ends, mean_and_sd, resampled_over_seeds
from bench.report import sampling
from bench.report.results import DatasetFacts, Result
from bench.report.table import visible

HEADLINE = "ndcg@10"


@dataclass(frozen=True)
class Estimate:
    """A strict metric: mean over users and seeds, its 95 % interval over both, its deviation over seeds.

    The interval is None where all users have the same value: there it says nothing. ``sd`` is None for one seed.
    """

    value: float
    interval: tuple[float, float] | None
    sd: float | None


@dataclass(frozen=True, eq=False)
class Row:
    """Cells that differ only in their seed, ordered by it."""

    label: str
    cells: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """A cell to take from what all seeds share: data, scheme, contract."""
        return self.cells[0]

    @property
    def baseline(self) -> bool:
        return self.first.scheme.kind == "baseline"

    @property
    def probe(self) -> bool:
        """Whether it only counts or draws: what a model has to beat before it has shown anything."""
        return self.first.scheme.probe

    @property
    def seeds(self) -> list[int]:
        return [cell.seed for cell in self.cells]

    @property
    def collides(self) -> bool:
        """Whether any two items share an identifier, so that strict and optimistic metrics differ."""
        return any(cell.identifiers is not None and cell.identifiers.collision_rate > 0 for cell in self.cells)

    def metric(self, name: str, reading: str = "strict") -> tuple[float, float | None]:
        """Mean over seeds and sample deviation (None for one seed)."""
        return mean_and_sd([cell.metrics[reading][name] for cell in self.cells])

    def estimate(self, name: str) -> Estimate:
        """The metric with its interval; reads the per-user tables."""
        value, sd = self.metric(name)
        return Estimate(value, None if np.ptp(self.values(name)) == 0 else ends(self.resampled(name)), sd)

    def values(self, name: str) -> Floats:
        """``[seeds, users]``: the strict metric of every user, ordered by user.

        BenchError where seeds tested different users, or them on different items.
        """
        for cell in self.cells[1:]:
            for what in ("users", "targets"):
                if not np.array_equal(getattr(cell.table, what), getattr(self.first.table, what)):
                    raise BenchError(
                        f"seeds {self.first.seed} and {cell.seed} of '{self.label}' on '{self.first.dataset.name}' "
                        f"tested different {what} under one contract; run one of them again with --force"
                    )
        return np.stack([cell.values(name) for cell in self.cells])

    def resampled(self, name: str, seed: int = 0) -> Floats:
        """``[resamples]``: the metric's mean over resampled users and, with ``seed``, over resampled seeds."""
        sampling.resample(self.cells, [name])
        return resampled_over_seeds(np.stack([cell.resampled[name] for cell in self.cells], axis=1), seed)

    def cost(self, name: str) -> float | None:
        """Mean of a field of ``Costs`` over seeds; None where it was not measured."""
        return _mean(getattr(cell.costs, name) for cell in self.cells)

    def identifier(self, name: str) -> float | None:
        """Mean of a field of ``IdentifierFacts`` over seeds; None for baselines."""
        return _mean(None if cell.identifiers is None else getattr(cell.identifiers, name) for cell in self.cells)

    def further(self, name: str) -> list[float]:
        """Means over seeds of a stored figure of the identifiers: one, one for each level, or none."""
        held = [_figures(cell.identifiers.further.get(name)) for cell in self.cells if cell.identifiers]
        if not held or len({len(found) for found in held}) > 1:
            return []
        return [float(value) for value in np.mean(held, axis=0)]


def _figures(value: object) -> list[float]:
    """A number or a list of numbers; anything else is no figure."""
    values = value if isinstance(value, list) else [value]
    numbers = [float(found) for found in values if isinstance(found, int | float) and not isinstance(found, bool)]
    return numbers if len(numbers) == len(values) else []


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


@dataclass(frozen=True, eq=False)
class Section:
    """All rows on one data set: probes before schemes before other baselines, best first."""

    title: str
    dataset: DatasetFacts
    rows: tuple[Row, ...]


def sections(results: Sequence[Result]) -> list[Section]:
    """Rows by data set. Data of one name but different content never share a section."""
    labels = _labels(results)
    ordered = sorted(results, key=lambda result: (_cell_key(result), result.seed))
    rows = [_row(labels, list(cells)) for _, cells in groupby(ordered, _cell_key)]
    found = []
    for (name, fingerprint), members in groupby(rows, lambda row: _data_key(row.first)):
        others = {row.first.dataset.fingerprint for row in rows if row.first.dataset.name == name}
        title = visible(name if len(others) == 1 else f"{name} (data {fingerprint})")
        ranked = tuple(
            sorted(members, key=lambda row: (not row.probe, row.baseline, -row.metric(HEADLINE)[0], row.label))
        )
        found.append(Section(title, ranked[0].first.dataset, ranked))
    return found


def _data_key(result: Result) -> tuple[str, str]:
    return result.dataset.name, result.dataset.fingerprint


def _cell_key(result: Result) -> tuple[str, ...]:
    scheme = result.scheme
    return *_data_key(result), scheme.name, str(scheme.version), _text(scheme.settings), _text(result.contract)


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _row(labels: Mapping[tuple[str, int, str], str], cells: list[Result]) -> Row:
    for before, after in pairwise(cells):
        if before.seed == after.seed:
            raise BenchError(f"the same cell is stored twice, in '{before.folder}' and '{after.folder}'; remove one")
    return Row(labels[_scheme_key(cells[0])] + _home(cells[0]), tuple(cells))


def _home(result: Result) -> str:
    """Which model it is, where it was not trained on these data alone; never to be mistaken for one that was."""
    if not result.trained_on:
        return ""
    return f", {'zero-shot from' if result.zero_shot else 'trained on'} {result.trained_on}"


def _scheme_key(result: Result) -> tuple[str, int, str]:
    return result.scheme.name, result.scheme.version, _text(result.scheme.settings)


def _labels(results: Sequence[Result]) -> dict[tuple[str, int, str], str]:
    """A scheme's name, and of its version and settings only what tells it from others of that name in the report."""
    labels = {}
    for result in results:
        scheme = result.scheme
        namesakes = [other.scheme for other in results if other.scheme.name == scheme.name]
        label = scheme.name
        if len({other.version for other in namesakes}) > 1:
            label += f"@{scheme.version}"
        varying = differing([other.settings for other in namesakes])
        if varying:
            label += " (" + ", ".join(f"{key}={scheme.settings.get(key, 'none')}" for key in varying) + ")"
        labels[_scheme_key(result)] = visible(label)
    return labels


def differing(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that are absent from one of the mappings or have different values, in order of appearance."""
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    absent = object()
    return [key for key in keys if any(found.get(key, absent) != mappings[0].get(key, absent) for found in mappings)]
