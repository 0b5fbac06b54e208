"""``log.jsonl``: the stats of a training, a line for each report while it runs, and the whole curve at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import files
from bench.evaluation.by_part import is_of_part
from bench.results import store
from bench.runs.fitting import in_words
from bench.runs.progress import Bar

LOG = "log.jsonl"


def reporter(folder: Path, stage: str, bar: Bar, write: bool = True) -> Callable[[int, int, Mapping[str, float]], None]:
    """Shows the newest stats behind the bar and, in the process that may ``write``, appends them to the log."""
    shown: dict[str, float] = {}

    def progress(step: int, total: int, stats: Mapping[str, float]) -> None:
        shown.update(stats)
        bar.total = total
        bar.at(step, in_words({name: value for name, value in shown.items() if not is_of_part(name)}))
        if stats and write:
            with store.writable(folder / LOG), (folder / LOG).open("a", encoding="utf-8") as file:
                file.write(line(stage, {"step": step, **stats}))
            bar.display.track(stage, step, stats)

    return progress


def line(stage: str, point: Mapping[str, Any]) -> str:
    return json.dumps({"stage": stage, **point}) + "\n"


def rewrite(folder: Path, lines: Iterable[str]) -> None:
    """The log anew from the curves: what a killed process had done since its checkpoint stands in it twice."""
    with store.writable(folder / LOG):
        files.write_text(folder / LOG, "".join(lines))
