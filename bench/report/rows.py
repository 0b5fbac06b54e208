"""Stored runs become the rows of a report: one for each scheme under one contract, averaged over its seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from bench.console import visible
from bench.errors import BenchError
from bench.evaluation.metrics import Floats
from bench.evaluation.seed_noise import ASSUMED, NONE, UNIT, SeedNoise, SeedsPart, at_least, pooled, widened
from bench.evaluation.statistics import ends, mean_and_sd
from bench.report import sampling
from bench.report.contracts import agree
from bench.results.read import Result, ranks_told
from bench.results.schema import DatasetFacts

HEADLINE = "ndcg@10"

Read = Callable[[Result], float | None]


@dataclass(frozen=True)
class Estimate:
    """A strict metric: mean over users and seeds, its 95 % interval over both, its deviation over seeds.

    Intervals are None where all users have the same value: there they say nothing. ``sd`` is None for one seed, whose
    interval has the noise of training from others. ``of_users`` is the interval without that noise.
    """

    value: float
    interval: tuple[float, float] | None
    sd: float | None
    of_users: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """Runs that differ only in their seed, ordered by it.

    ``repeated`` are the rows of the same data and contract that have several seeds, as runs, this one among them:
    they say how much a score moves when training is done again.
    """

    label: str
    runs: tuple[Result, ...]
    repeated: tuple[tuple[Result, ...], ...] = ()

    @property
    def first(self) -> Result:
        """A run to take from what all seeds share: data, scheme, contract."""
        return self.runs[0]

    @property
    def baseline(self) -> bool:
        return self.first.scheme.kind == "baseline"

    @property
    def probe(self) -> bool:
        """Whether it only counts or draws: what a model has to beat before it has shown anything."""
        return self.first.scheme.probe

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def trained(self) -> bool:
        """Whether another seed would have trained another model."""
        return any(_trained(run) for run in self.runs)

    def metric(self, name: str, reading: str = "strict") -> tuple[float, float | None]:
        """Mean over seeds and sample deviation (None for one seed).

        The mean is rounded to 12 decimals: behind them equal scores differ by the order in which users were summed, and
        what is best, second or first in a table must not hang on that.
        """
        mean, sd = mean_and_sd([run.metrics[reading][name] for run in self.runs])
        return round(mean, 12), sd

    def estimate(self, name: str) -> Estimate:
        """The metric with its interval; reads the per-user tables."""
        value, sd = self.metric(name)
        if np.ptp(self.values(name)) == 0:
            return Estimate(value, None, sd)
        of_users = ends(self.resampled(name))
        return Estimate(value, widened(of_users, value, self.seeds_part(name), limits=UNIT), sd, of_users)

    def noise(self, read: Read) -> SeedNoise:
        """What another seed is worth, relative to the score that ``read`` finds in a run."""
        if not self.trained:
            return NONE
        shared = self.shared_noise(read)
        return ASSUMED if shared is None else at_least(shared, scores(self.runs, read))

    def shared_noise(self, read: Read) -> SeedNoise | None:
        """That of all rows with several seeds together; None where there is none."""
        return pooled([scores(runs, read) for runs in self.repeated])

    def seeds_part(self, name: str) -> SeedsPart:
        """The part of the variance of a strict metric's mean that comes from the seeds."""
        return self.noise(strict(name)).of_mean(self.metric(name)[0], len(self.runs))

    def values(self, name: str) -> Floats:
        """``[seeds, users]``: the strict metric of every user, ordered by user.

        BenchError where seeds tested different users, or them on different items.
        """
        for run in self.runs[1:]:
            for what in ("users", "targets"):
                if not np.array_equal(getattr(run.table, what), getattr(self.first.table, what)):
                    raise BenchError(
                        f"seeds {self.first.seed} and {run.seed} of '{self.label}' on '{self.first.dataset.name}' "
                        f"tested different {what} under one contract; run one of them again with --force"
                    )
        return np.stack([run.values(name) for run in self.runs])

    def resampled(self, name: str) -> Floats:
        """``[resamples]``: the metric's mean over resampled users, and over the seeds as they are."""
        sampling.resample(self.runs, [name])
        return np.asarray(np.mean([run.resampled[name] for run in self.runs], axis=0), np.float64)

    def cost(self, name: str) -> float | None:
        """Mean of a field of ``Costs`` over seeds; None where it was not measured."""
        return _mean(getattr(run.costs, name) for run in self.runs)

    def identifier(self, name: str) -> float | None:
        """Mean of a field of ``IdentifierFacts`` over seeds; None for baselines."""
        return _mean(None if run.identifiers is None else getattr(run.identifiers, name) for run in self.runs)

    def further(self, name: str) -> list[float]:
        """Means over seeds of a stored statistic of the identifiers: one, one for each level, or none."""
        values = [_numbers(run.identifiers.further.get(name)) for run in self.runs if run.identifiers]
        if not values or len({len(found) for found in values}) > 1:
            return []
        return [float(value) for value in np.mean(values, axis=0)]


def _trained(run: Result) -> bool:
    """A result without training, or without weights, holds nothing that another seed would have trained."""
    return run.training is not None and bool(run.costs.parameters)


def strict(name: str) -> Read:
    """Reads a strict metric from a run."""
    return lambda run: run.metrics["strict"].get(name)


def scores(runs: Iterable[Result], read: Read) -> list[float]:
    """One for each seed that has one."""
    return [value for value in map(read, runs) if value is not None]


def _numbers(value: object) -> list[float]:
    """A number or a list of numbers; anything else is none."""
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
    ordered = sorted(results, key=lambda result: (_run_key(result), result.seed))
    rows = [_row(labels, list(runs)) for _, runs in groupby(ordered, _run_key)]
    rows = [with_repeated(row, results) for row in rows]
    found, titles = [], _titles(rows)
    for key, members in groupby(rows, lambda row: _data_key(row.first)):
        ranked = tuple(
            sorted(members, key=lambda row: (not row.probe, row.baseline, -row.metric(HEADLINE)[0], row.label))
        )
        found.append(Section(titles[key], ranked[0].first.dataset, ranked))
    return found


def _titles(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """The name of each data set; of several of one name also what tells them apart, and the fingerprint alone where
    nothing that a reader knows does.
    """
    known: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    for row in rows:
        facts = known.setdefault(row.first.dataset.name, {}).setdefault(_data_key(row.first), _facts(row.first.dataset))
        facts.update(_conditions(row.first))
    titles = {}
    for name, namesakes in known.items():
        unlike = differing(list(namesakes.values()))
        said = {key: ", ".join(facts[what] for what in unlike if what in facts) for key, facts in namesakes.items()}
        for key, text in said.items():
            told = [text] if text and list(said.values()).count(text) == 1 else [text, f"data {key[1]}"]
            titles[key] = visible(name if len(said) == 1 else f"{name} ({', '.join(filter(None, told))})")
    return titles


def _facts(dataset: DatasetFacts) -> dict[str, str]:
    return {what: f"{getattr(dataset, what):,} {what}" for what in ("users", "items", "interactions")}


def _conditions(result: Result) -> dict[str, str]:
    """The lines of the contract that decide what the data are."""
    contract = result.contract
    split = {"split": str(contract["split"])} if "split" in contract else {}
    return {**split, **({"ties": f"ties={contract['ties']}"} if "ties" in contract else {})}


def with_repeated(row: Row, results: Iterable[Result]) -> Row:
    """The row with what is known of training again, of these results and its own. Rows that train nothing tell
    nothing, nor does what leaks, whose high scores would outweigh all others; of a run that is stored twice one copy
    counts.
    """
    known = (result for result in results if _data_key(result) == _data_key(row.first) and not result.scheme.leaks)
    fitting = [result for result in (*row.runs, *known) if _trained(result) and agree(row.first, result)]
    seeds: dict[tuple[str, ...], dict[int, Result]] = {}
    for result in fitting:
        seeds.setdefault(_run_key(result), {}).setdefault(result.seed, result)
    return replace(row, repeated=tuple(tuple(by_seed.values()) for by_seed in seeds.values() if len(by_seed) > 1))


def _data_key(result: Result) -> tuple[str, str]:
    return result.dataset.name, result.dataset.fingerprint


def _run_key(result: Result) -> tuple[str, ...]:
    scheme = result.scheme
    return *_data_key(result), scheme.name, str(scheme.version), _text(scheme.stated), _text(result.contract)


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _row(labels: Mapping[tuple[str, int, str], str], runs: list[Result]) -> Row:
    for before, after in pairwise(runs):
        if before.seed == after.seed:
            twice = f"the same run is stored twice, in '{before.folder}' and '{after.folder}'"
            raise BenchError(f"{twice}, {ranks_told(before, after)}; remove one")
    return Row(labels[_scheme_key(runs[0])] + _home(runs[0]), tuple(runs))


def _home(result: Result) -> str:
    """Which model it is, where it was not trained on these data alone; never to be mistaken for one that was."""
    return f", {result.origin}" if result.origin else ""


def _scheme_key(result: Result) -> tuple[str, int, str]:
    return result.scheme.name, result.scheme.version, _text(result.scheme.stated)


def _labels(results: Sequence[Result]) -> dict[tuple[str, int, str], str]:
    """A scheme's name, and of its version and settings only what tells it from others of that name in the report."""
    labels = {}
    for result in results:
        scheme = result.scheme
        alike = [other for other in results if other.scheme.name == scheme.name]
        namesakes = [other.scheme for other in alike]
        label = scheme.name
        if len({other.version for other in namesakes}) > 1:
            label += f"@{scheme.version}"
        varying = [key for key in differing([other.stated for other in namesakes]) if not _of_the_unseen(key, alike)]
        if scheme.recipe and "recipe" not in varying:
            varying = ["recipe", *varying]  # a row of its own, which says so where no other row is beside it too
        if varying:
            label += " (" + ", ".join(f"{key}={scheme.stated.get(key, 'none')}" for key in varying) + ")"
        labels[_scheme_key(result)] = visible(label)
    return labels


def _of_the_unseen(key: str, results: Sequence[Result]) -> bool:
    """Whether a setting is one of tests on unseen data, the same for all of them: the row says already what it is."""
    having = [result for result in results if key in result.scheme.stated]
    unseen = [result for result in results if result.zero_shot or result.adapted_on]
    return having == unseen and len({str(result.scheme.stated[key]) for result in having}) == 1


def differing(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that are absent from one of the mappings or have different values, in order of appearance."""
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    absent = object()
    return [key for key in keys if any(found.get(key, absent) != mappings[0].get(key, absent) for found in mappings)]
