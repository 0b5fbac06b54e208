"""Settings that a stored search has found, for another data set: by name, and stored with the row that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.evaluation.baseline import Found
from bench.results.digests import RESULT
from bench.results.read import read


def tuned(folders: Sequence[str]) -> dict[str, Found]:
    """What the searches in these folders of runs chose, by the name of the scheme or baseline. BenchError where there
    is no search, or two are of one name.
    """
    made: dict[str, Found] = {}
    for folder in folders:
        if not (Path(folder) / RESULT).exists():
            raise BenchError(f"--tuned names folders of finished runs; there is no '{Path(folder) / RESULT}'")
        result = read(Path(folder) / RESULT, folder)
        search = (result.training or {}).get("search")
        if not search:
            raise BenchError(f"--tuned names runs of a search (--tune N); '{folder}' was not searched")
        if result.scheme.name in made:
            raise BenchError(f"--tuned names two searches of {result.scheme.name}; name one")
        trials = search["trials"]
        chosen = trials[search["chosen"]].get("settings") if trials else None
        if chosen is None:
            raise BenchError(f"'{folder}' does not say which settings its search chose; run it again with --force")
        settings = {name: _text(value) for name, value in chosen.items()}
        made[result.scheme.name] = Found(result.dataset.name, len(trials), settings)
    return made


def _text(value: object) -> str:
    """As ``--set`` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
