"""The promises of a scheme, in the order in which they are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.conformance.evidence import Evidence
from bench.conformance.identifiers import (
    blind,
    deterministic,
    fits,
    length,
    round_trip,
    serialisable,
    unique,
    vocabulary,
)
from bench.conformance.request import NAMES
from bench.conformance.training import learns, resumable
from bench.conformance.verdict import Verdict, skipped

_JUDGES = (fits, serialisable, unique, length, vocabulary, round_trip, deterministic, blind, learns, resumable)
PROMISES: Mapping[str, Callable[[Evidence], Verdict]] = MappingProxyType(dict(zip(NAMES, _JUDGES, strict=True)))
NEEDS = {"fits": (), "serialisable": ("fits",), "resumable": ("fits", "serialisable", "learns")}


def judge(name: str, evidence: Evidence) -> Verdict:
    """The verdict on one promise, found once. It is skipped where one that it rests on is broken."""
    if name not in evidence.verdicts:
        first = (need for need in NEEDS.get(name, ("fits", "serialisable")) if judge(need, evidence).state == "broken")
        missing = next(first, None)
        evidence.verdicts[name] = skipped(f"'{missing}' is broken") if missing else PROMISES[name](evidence)
    return evidence.verdicts[name]
