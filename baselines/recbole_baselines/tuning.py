"""Random search over RecBole's ranges: every trial has the same validation users and the same budget of epochs.

A trial that fails, because it diverges or RecBole refuses its settings, is part of the record and not chosen.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import write_json
from recbole_baselines.messages import told
from recbole_baselines.models import Ranges

FAILED = "failed.json"
SPENT = ("seconds", "loading_seconds", "validation_seconds", "processor_seconds")  # the first holds the third
KEPT = ("best_validation", "best_step", "epochs", *SPENT)  # of what a training came to

Progress = Callable[[int, int, dict[str, float]], None]


def draws(ranges: Ranges, present: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """``trials`` different settings: the ``present`` ones, then others drawn uniformly from the grid of ``ranges``, all
    of it where it is smaller. So a search never ends below the settings that it began with.

    The first trials of a longer search are those of a shorter one.
    """
    grid = [dict(zip(ranges, values, strict=True)) for values in product(*ranges.values())]
    others = [settings for settings in grid if settings != present]
    order = np.random.default_rng(seed).permutation(len(others)).tolist()
    return [dict(present), *(others[at] for at in order)][:trials] if ranges else []


def attempt(settings: dict[str, Any], folder: Path, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the search keeps of one trial: its settings, its seconds, and how it validated or why it failed.

    A failure is written into ``folder``, where a resumed search finds it.
    """
    failure, begin, processor = folder / FAILED, time.monotonic(), time.process_time()
    if failure.exists():
        return read_json(failure)
    try:
        found = train()
        return {"settings": settings, **{name: found[name] for name in KEPT}}
    except OSError:  # a full disk, or nobody waits for the search any more: no fault of the settings
        raise
    except Exception as error:  # RecBole raises whatever it likes
        traceback.print_exc()
        seconds, used = time.monotonic() - begin, time.process_time() - processor  # reading the data is among them
        spent = dict(zip(SPENT, (seconds, 0.0, 0.0, used), strict=True))
        record = {"settings": settings, "failed": told(error), **spent}
        write_json(failure, record)
        return record


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """PyTorch says of a full disk what it says of a training that diverges: RuntimeError. Here it is an OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"a checkpoint can't be written ({error}); free some space") from error


def best(tried: list[dict[str, Any]]) -> int:
    """The number of the trial that validated best, the first of equals. RuntimeError where all have failed."""
    scores = [trial.get("best_validation", -np.inf) for trial in tried]
    if max(scores) == -np.inf:
        raise RuntimeError(f"all {len(tried)} trials of the search failed, the first with {tried[0]['failed']}")
    return scores.index(max(scores))


def summary(search: Mapping[str, Any], metric: str) -> str:
    """What a search came to, in a line."""
    trials, chosen = search["trials"], search["chosen"]
    settings = ", ".join(f"{name}={value}" for name, value in trials[chosen]["settings"].items())
    first, found = trials[0].get("best_validation"), trials[chosen]["best_validation"]
    line = f"trial {chosen + 1} of {len(trials)} chosen, with {settings}: {metric} {found:.4f} on validation"
    before = f"; {first:.4f} with the settings as they are" if chosen and first is not None else ""
    failed = sum("failed" in trial for trial in trials)
    return line + before + (f"; {failed} of the trials failed" if failed else "")


def within(progress: Progress, number: int, trials: int) -> Progress:
    """Progress of one trial as a part of the whole search, and which trial it is."""

    def part(step: int, total: int, stats: dict[str, float]) -> None:
        progress(number * total + step, trials * total, {"trial": number + 1, **stats} if stats else {})

    return part


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
