"""Published scores beside ours, and what may be said about them: reproduced, not reproduced, or not comparable.

``published.toml`` holds the scores, where they come from, and which of our schemes stands for which published system.
A result needs the same task (split, candidates, history), the same data, and a model and budget of a published size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench import toml
from bench.report.rows import Estimate
from bench.results.read import Result
from bench.results.schema import DatasetFacts

REPRODUCED, NOT_REPRODUCED, NOT_COMPARABLE = "reproduced", "not reproduced", "not comparable"
STATISTICS = ("users", "items", "interactions")


@dataclass(frozen=True)
class Caution:
    """What is wrong with some values of a source; ``comparable`` says whether they can be compared at all. ``shared``:
    schemes of ours with the same fault, which can.
    """

    systems: Sequence[str]
    data: Sequence[str]
    comparable: bool
    text: str
    shared: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """One table or log. ``contract`` and ``least`` hold what a contract of ours must say to stand beside it."""

    title: str
    where: str
    protocol: str
    caveat: str
    own: Sequence[str]
    metrics: Sequence[str]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    candidates: str
    contract: Mapping[str, Sequence[Any]]
    least: Mapping[str, float]
    data: Mapping[str, Mapping[str, int]]
    cautions: Sequence[Caution] = ()


@dataclass(frozen=True)
class Match:
    """A scheme or baseline of ours, with these settings, and the published systems that it stands for.

    Under others than ``needs`` it is the same kind of identifier, and its scores are not those of the system.
    """

    scheme: str
    systems: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One published value."""

    source: Source
    data: str
    system: str
    metric: str
    value: float

    @property
    def own(self) -> bool:
        """Whether the source's authors speak about their own system."""
        return self.system in self.source.own

    @property
    def caution(self) -> Caution | None:
        found = (
            stated for stated in self.source.cautions if self.system in stated.systems and self.data in stated.data
        )
        return next(found, None)


@dataclass(frozen=True)
class Published:
    sources: Sequence[Source]
    matches: Sequence[Match]
    tolerance: float


@dataclass(frozen=True)
class ClaimResult:
    """``outcome`` is one of the three, ``why`` its reason in words."""

    outcome: str
    why: str


@cache
def load() -> Published:
    """The published scores that ship with bench."""
    return parse(toml.read(Path(__file__).with_name("published.toml")))


def parse(stated: Mapping[str, Any]) -> Published:
    """What ``published.toml`` says; lines of a source go before the common ones."""
    common = stated["comparable"]
    sources = [
        Source(
            **{name: source[name] for name in ("title", "where", "protocol", "caveat", "own", "metrics", "values")},
            candidates=source.get("candidates", common["candidates"]),
            contract={**common["contract"], **source.get("contract", {})},
            least={**common["least"], **source.get("least", {})},
            data={**stated["data"], **source.get("data", {})},
            cautions=[Caution(**caution) for caution in source.get("caution", [])],
        )
        for source in stated["source"]
    ]
    return Published(sources, [Match(**match) for match in stated["match"]], float(common["tolerance"]))


def systems(published: Published, result: Result) -> Sequence[str]:
    """The published systems that a result stands for."""
    match = _match(published, result)
    return match.systems if match else ()


def _match(published: Published, result: Result) -> Match | None:
    """The first match that the settings of a result do not contradict."""
    stated = result.scheme.settings
    for match in published.matches:
        agrees = all(stated.get(key, value) == value for key, value in match.settings.items())
        if match.scheme == result.scheme.name and agrees:
            return match
    return None


def claims(published: Published, data: str, system: str) -> list[Claim]:
    """All that was published about a system on a data set, its own authors first."""
    found = [
        Claim(source, data, system, metric, value)
        for source in published.sources
        for metric, value in zip(source.metrics, source.values.get(data, {}).get(system, ()), strict=False)
        if not math.isnan(value)
    ]
    return sorted(found, key=lambda claim: not claim.own)


def result_of(published: Published, claim: Claim, ours: Result, estimate: Estimate | None) -> ClaimResult:
    """Whether ours bears a published value out. ``estimate`` is ours, None where the metric is not one of ours.

    Reproduced: comparable, and the published value lies in our 95 % interval, or ours within the tolerance of it.
    """
    why = obstacles(published, claim, ours)
    if estimate is None or why:
        return ClaimResult(NOT_COMPARABLE, "; ".join(why) or f"{claim.metric} is not among our metrics")
    low, high = estimate.interval or (estimate.value, estimate.value)
    off = estimate.value / claim.value - 1
    if low <= claim.value <= high:
        return ClaimResult(REPRODUCED, "it lies in our interval")
    outcome = REPRODUCED if abs(off) <= published.tolerance else NOT_REPRODUCED
    return ClaimResult(outcome, f"ours is {abs(off):.0%} {'higher' if off > 0 else 'lower'}")


def obstacles(published: Published, claim: Claim, ours: Result) -> list[str]:
    """Why a published value and ours may not be compared; nothing where they may."""
    found = _faults(claim.caution, ours)
    if claim.source.candidates != "all":
        found.append(f"they rank {claim.source.candidates} items, we rank all")
    found += _data(claim.source.data.get(claim.data, {}), ours.dataset)
    if ours.trained_on:
        found.append(f"ours was trained on {ours.trained_on}")
    found += _needs(_match(published, ours), claim, ours.scheme.settings)
    unlike = _contract(claim.source, ours)
    if unlike:
        found.append((f"our preset '{ours.preset}': " if ours.preset else "") + ", ".join(unlike))
    return found


def _faults(caution: Caution | None, ours: Result) -> list[str]:
    """What is wrong with theirs and not with ours, or with ours and, as far as is known, not with theirs."""
    if caution and ours.scheme.name in caution.shared:
        return []
    if caution and not caution.comparable:
        return [caution.text]
    return ["ours is shown validation and test items, theirs is not"] if ours.scheme.leaks else []


def _needs(match: Match | None, claim: Claim, stated: Mapping[str, Any]) -> list[str]:
    needs = match.needs if match and claim.system in match.systems else {}
    return [f"our {key} {stated[key]}, not {value}" for key, value in needs.items() if stated.get(key, value) != value]


def _data(theirs: Mapping[str, int], ours: DatasetFacts) -> list[str]:
    if not theirs:
        return ["the statistics of their data are not known"]
    return [
        f"their data have {theirs[name]:,} {name}, ours {getattr(ours, name):,}"
        for name in STATISTICS
        if name in theirs and theirs[name] != getattr(ours, name)
    ]


def _contract(source: Source, ours: Result) -> list[str]:
    """A baseline's contract holds only what binds it, and only that is asked; its budget is among its settings."""
    contract = ours.contract
    budget = {**ours.scheme.settings, **contract} if ours.scheme.kind == "baseline" else contract
    unlike = [
        f"{key} {_plain(contract[key])}, not {_any_of(allowed)}"
        for key, allowed in source.contract.items()
        if key in contract and _named(contract[key]) not in allowed
    ]
    short = [
        f"{key} {stated}, below {least}"
        for key, least in source.least.items()
        if isinstance(stated := budget.get(key), int | float) and stated < least
    ]
    return unlike + short


def _named(value: Any) -> Any:
    """A backbone without the digest of its weights."""
    return value.partition("@")[0] if isinstance(value, str) else value


def _any_of(allowed: Sequence[Any]) -> str:
    """Each once, a model without its owner."""
    return " or ".join(dict.fromkeys(_plain(value).rpartition("/")[2] for value in allowed))


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
