"""The requirements of a scheme, in the order in which they are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.conformance.fixtures import Fixtures
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
from bench.conformance.request import NAMES
from bench.conformance.result import CheckResult, skipped
from bench.conformance.training import learns, resumable

_CHECKS = (fits, serializable, unique, length, vocabulary, round_trip, deterministic, blind, learns, resumable)
REQUIREMENTS: Mapping[str, Callable[[Fixtures], CheckResult]] = MappingProxyType(dict(zip(NAMES, _CHECKS, strict=True)))
NEEDS = {"fits": (), "serializable": ("fits",), "resumable": ("fits", "serializable", "learns")}


def check_requirement(name: str, fixtures: Fixtures) -> CheckResult:
    """The result on one requirement, found once. It is skipped where one that it rests on failed."""
    if name not in fixtures.results:
        first = (
            need
            for need in NEEDS.get(name, ("fits", "serializable"))
            if check_requirement(need, fixtures).state == "failed"
        )
        missing = next(first, None)
        fixtures.results[name] = skipped(f"'{missing}' failed") if missing else REQUIREMENTS[name](fixtures)
    return fixtures.results[name]
