"""Trials of a search for the settings of a model of RecBole (``bench.training.search``).

A trial that fails, because it diverges or RecBole refuses its settings, is part of the record and not chosen.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.files import write_json
from bench.training.search import Searched, rungs, said
from recbole_baselines.messages import told

FAILED = "failed.json"
SECONDS = ("seconds", "loading_seconds", "validation_seconds", "processor_seconds")  # the first holds the third
SPENT = (*SECONDS, "steps", "target_examples", "looks", "training_flops")
KEPT = ("best_validation", "best_step", "epochs", *SPENT)  # of what a training came to

Progress = Callable[[int, int, dict[str, float]], None]


def attempt(folder: Path, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the search keeps of one trial: what it has spent, and how it validated or why it failed.

    A failure is written into ``folder``, where a resumed search finds it.
    """
    failure, begin, processor = folder / FAILED, time.monotonic(), time.process_time()
    if failure.exists():
        return read_json(failure)
    try:
        found = train()
        return {name: found[name] for name in KEPT}
    except OSError:  # a full disk, or nobody waits for the search any more: no fault of the settings
        raise
    except Exception as error:  # RecBole raises whatever it likes
        traceback.print_exc()
        seconds, used = time.monotonic() - begin, time.process_time() - processor  # reading the data is among them
        spent = {**dict.fromkeys(SPENT, 0.0), "seconds": seconds, "processor_seconds": used}
        record = {"failed": told(error), **spent}
        write_json(failure, record)
        return record


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """PyTorch says of a full disk what it says of a training that diverges: RuntimeError. Here it is an OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"a checkpoint can't be written ({error}); free some space") from error


def summary(search: Mapping[str, Any], metric: str) -> str:
    """What a search came to, in a line."""
    records = tuple(tuple(trial["rungs"]) for trial in search["trials"])
    return said(Searched(search["chosen"], records), [trial["settings"] for trial in search["trials"]], metric)


class Steps:
    """How far a search is, in steps of all that it trains: ``next`` is the progress of the next training."""

    def __init__(self, trials: int, whole: int, progress: Progress) -> None:
        self.lengths = [max(1, round(rung.fraction * whole)) for rung in rungs(trials) for _ in range(rung.trials)]
        self.done, self.whole, self.progress = 0, sum(self.lengths), progress

    def next(self, number: int) -> Progress:
        """Of a training of this trial."""
        before, length = self.done, self.lengths.pop(0)
        self.done += length

        def part(step: int, total: int, stats: dict[str, float]) -> None:
            at = before + step * length // max(total, 1)
            self.progress(at, self.whole, {"trial": number + 1, **stats} if stats else {})

        return part


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
