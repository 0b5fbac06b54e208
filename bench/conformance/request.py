"""What is asked for, and the names of the requirements; light, for tests are collected by it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.data.sources import EMBEDDED

NAMES = (
    *("fits", "serializable", "unique", "length", "vocabulary", "round-trip", "deterministic", "blind"),
    *("learns", "resumable"),
)


BASELINE_NAMES = (
    *("fits", "scores", "independent", "deterministic", "blind", "restores", "transfers", "adapts", "resumable"),
    *("facts", "declares"),
)


@dataclass(frozen=True)
class CheckRequest:
    """A scheme, or a ``baseline``, as the command line names it, the data set, and ``key=value`` texts as of
    ``bench run``.
    """

    subject: str
    dataset: str = EMBEDDED
    overrides: tuple[str, ...] = ()
    seed: int = 0
    data_dir: Path | None = None
    baseline: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the requirements, in the order in which they are checked."""
        return BASELINE_NAMES if self.baseline else NAMES

    @property
    def words(self) -> str:
        """Scheme or baseline, and options, as of the command line, to be copied into another command."""
        options = {"--dataset": self.dataset, "--seed": str(self.seed), "--data-dir": str(self.data_dir)}
        plain = {"--dataset": EMBEDDED, "--seed": "0", "--data-dir": "None"}
        given = [part for name, value in options.items() if value != plain[name] for part in (name, value)]
        return shlex.join([self.subject, *given, *(f"--set={override}" for override in self.overrides)])
