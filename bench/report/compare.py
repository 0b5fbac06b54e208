"""Two runs on the same users: what sets them apart, and in which users the difference lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.report.comparisons import Comparison, Pair, compare
from bench.report.contracts import other_code, varying
from bench.report.quality import FURTHER, HEADLINES
from bench.report.rows import HEADLINE, Row
from bench.report.slices import Slicing, mean_and_error, normal, slicings
from bench.results.read import Result
from bench.results.schema import LOAD

METRICS = (*HEADLINES, *FURTHER)

Unlike = Mapping[str, Mapping[str, Mapping[str, list[str]]]]


@dataclass(frozen=True)
class Slice:
    """Users of one slice and what both runs reach on them; ``interval`` is that of the difference.

    ``part`` of the whole difference is theirs: the parts of a slicing sum to 1, and one that pulls the other way is
    negative. None where there is no difference to part.
    """

    slicing: str
    label: str
    users: int
    one: float | None
    other: float | None
    interval: tuple[float, float] | None
    part: float | None


@dataclass(frozen=True, eq=False)
class Difference:
    """All that ``bench compare`` says. ``unlike[kind]`` is what ``contracts.varying`` finds between A and B."""

    pair: Pair
    metrics: Mapping[str, Comparison]
    slicings: tuple[Slicing, ...]
    slices: tuple[Slice, ...]
    unlike: Unlike


def difference(one: Row, other: Row) -> Difference:
    """A minus B. BenchError where they have no user with the same target in common."""
    pair = Pair(one, other)
    if one.first.dataset.name != other.first.dataset.name:
        raise BenchError(
            f"cannot compare '{one.label}' on {one.first.dataset.name} with '{other.label}' on "
            f"{other.first.dataset.name}; name two runs on one data set"
        )
    if unlike := other_code(one.first, other.first):
        raise BenchError(
            f"cannot compare '{one.first.path}' with '{other.first.path}': other code computed them, {unlike}; "
            "run the older one again"
        )
    if not pair.users:
        raise BenchError(
            f"cannot compare '{one.first.path}' with '{other.first.path}': no user was tested on one item in both"
        )
    (metrics,) = compare([pair], METRICS)
    found = tuple(slicings([one.first.table, other.first.table]))
    slices = tuple(part for slicing in found for part in _slices(pair, slicing))
    return Difference(pair, metrics, found, slices, _unlike(one.first, other.first))


def _slices(pair: Pair, slicing: Slicing) -> list[Slice]:
    one, other = (values.mean(axis=0) for values in pair.values(HEADLINE))
    members, whole = slicing.of(pair.one.first.table)[pair.lines[0]], float((one - other).sum())
    found = []
    for at, label in enumerate(slicing.labels):
        inside = members == at
        gap, error = mean_and_error((one - other)[inside])
        found.append(
            Slice(
                slicing.name,
                label,
                int(inside.sum()),
                mean_and_error(one[inside])[0],
                mean_and_error(other[inside])[0],
                normal(gap, error),
                float((one - other)[inside].sum()) / whole if not np.isclose(whole, 0) else None,
            )
        )
    return found


def _unlike(one: Result, other: Result) -> dict[str, dict[str, dict[str, list[str]]]]:
    """A baseline is not trained under the contract: it differs only in what its own contract holds."""
    partial = [letter for letter, run in (("A", one), ("B", other)) if run.scheme.kind == "baseline"]
    described = {kind: {"A": of(one), "B": of(other)} for kind, of in DESCRIBED.items()}
    return {kind: varying(pair, partial if kind == "contract" else ()) for kind, pair in described.items()}


UNSTEADY = ("command", "bench", *LOAD)  # of the environment: another in every run, or told by the run itself

DESCRIBED: Mapping[str, Callable[[Result], Mapping[str, Any]]] = {
    "data": lambda run: {"fingerprint": run.dataset.fingerprint, **run.split},
    "contract": lambda run: run.contract,
    "settings": lambda run: {
        "scheme": f"{run.scheme.name}@{run.scheme.version}",
        **run.scheme.stated,
    },
    "environment": lambda run: {"bench": run.bench, **{k: v for k, v in run.environment.items() if k not in UNSTEADY}},
}
