"""What is asked for, and the names of what is promised; light, for tests are collected by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.sources import EMBEDDED

NAMES = (
    *("fits", "serialisable", "unique", "length", "vocabulary", "round-trip", "deterministic", "blind"),
    *("learns", "resumable"),
)


@dataclass(frozen=True)
class Asked:
    """A scheme as the command line names it, the data set, and ``key=value`` texts as of ``bench run``."""

    scheme: str
    dataset: str = EMBEDDED
    overrides: tuple[str, ...] = ()
    seed: int = 0
    data_dir: Path | None = None
