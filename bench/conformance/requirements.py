"""The requirements of a scheme and of a baseline, in the order in which they are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.conformance import scores
from bench.conformance.baseline_fixtures import BaselineFixtures
from bench.conformance.fixtures import AnyFixtures, Fixtures
from bench.conformance.identifiers import (
    blind,
    deterministic,
    fits,
    length,
    round_trip,
    serializable,
    unique,
    vocabulary,
)
from bench.conformance.request import BASELINE_NAMES, NAMES, CheckRequest
from bench.conformance.result import CheckResult, skipped
from bench.conformance.training import learns, resumable

_CHECKS = (fits, serializable, unique, length, vocabulary, round_trip, deterministic, blind, learns, resumable)
REQUIREMENTS: Mapping[str, Callable[[Fixtures], CheckResult]] = MappingProxyType(dict(zip(NAMES, _CHECKS, strict=True)))
BASELINE_REQUIREMENTS: Mapping[str, Callable[[BaselineFixtures], CheckResult]] = MappingProxyType(
    {name: getattr(scores, name) for name in BASELINE_NAMES}
)
NEEDS = {"fits": (), "serializable": ("fits",), "resumable": ("fits", "serializable", "learns")}
BASELINE_NEEDS = {"fits": (), "scores": ("fits",), "transfers": ("fits", "scores", "restores"), "declares": ()}


def fixtures_of(asked: CheckRequest) -> Fixtures | BaselineFixtures:
    """What a scheme or a baseline is checked on. BenchError where it is not one of them."""
    return BaselineFixtures(asked) if asked.baseline else Fixtures(asked)


def check_requirement(name: str, fixtures: Fixtures | BaselineFixtures) -> CheckResult:
    """The result on one requirement, found once. It is skipped where one that it rests on failed."""
    if name not in fixtures.results:
        needed = (need for need in _needs(name, fixtures) if check_requirement(need, fixtures).state == "failed")
        missing = next(needed, None)
        fixtures.results[name] = skipped(f"'{missing}' failed") if missing else _checked(name, fixtures)
    return fixtures.results[name]


def _needs(name: str, fixtures: AnyFixtures) -> tuple[str, ...]:
    if isinstance(fixtures, BaselineFixtures):
        return BASELINE_NEEDS.get(name, ("fits", "scores"))
    return NEEDS.get(name, ("fits", "serializable"))


def _checked(name: str, fixtures: Fixtures | BaselineFixtures) -> CheckResult:
    if isinstance(fixtures, BaselineFixtures):
        return BASELINE_REQUIREMENTS[name](fixtures)
    return REQUIREMENTS[name](fixtures)
