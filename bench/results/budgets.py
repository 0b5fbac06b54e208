"""What a budget of time or FLOPs was converted to by the runs of one row, whose seeds train for as many steps each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import files
from bench.results import store
from bench.results.digests import RESULT
from bench.training.budget import CONVERTED

Budget = Mapping[str, Any]


def known(folder: Path, fits: Callable[[Budget], bool] = bool) -> Budget:
    """What the unfinished or the finished run of ``folder`` has, or one of another seed beside it; empty where nobody
    has any, or nothing of it ``fits``.
    """
    return next((found for _, found in of_row(folder) if fits(found)), {})


def of_row(folder: Path) -> Iterator[tuple[Path, Budget]]:
    """The folder of each run of a row that has converted its budget, and to what: that of ``folder`` first, unfinished
    before finished, then those of other seeds, finished before unfinished.
    """
    others = sorted(each for each in _homes(folder.parent) if each != folder)
    looks = [(_unfinished, folder), (_finished, folder)]
    looks += [(look, home) for look in (_finished, _unfinished) for home in others]
    for look, home in looks:
        if found := look(home):
            yield home, found


def note(partial: Path, budget: Budget) -> None:
    """Keep in a partial folder what its budget was converted to."""
    begun = files.read_json(partial / store.BEGUN)
    store.write_json(partial / store.BEGUN, {**begun, "budget": budget})


def agreed(partial: Path, own: Budget) -> Budget:
    """Of what several seeds of a row have measured at once, and noted, that which all of them take: that of a finished
    one, else what was noted first. ``own`` was noted in ``partial`` just now.
    """
    homes = _homes(partial.parent)
    finished = next(filter(None, map(_finished, sorted(homes))), None)
    if finished:
        return finished
    noted = [(*found, home) for home in homes if (found := _noted(home))]
    return min(noted, key=lambda each: (each[0], each[2]))[1] if noted else own


def _homes(row: Path) -> set[Path]:
    """Where the runs of a row are, or will be."""
    hidden = files.matching(row, f".*{store.PARTIAL}*")
    return {store.home_of(path) for path in hidden} | {path.parent for path in files.matching(row, f"*/{RESULT}")}


def _finished(home: Path) -> Budget:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return _whole((files.read_json(home / RESULT)["training"] or {}).get("budget"))
    return {}


def _unfinished(home: Path) -> Budget:
    found = _noted(home)
    return found[1] if found else {}


def _noted(home: Path) -> tuple[int, Budget] | None:
    """What unfinished work has noted, and when: of a baseline in the folder that is its own."""
    partial, begun = store.partial_folder(home), store.begun_as(home)
    own = partial / store.TRAINING_FOLDER / CONVERTED
    with contextlib.suppress(OSError, ValueError):
        if begun and (found := _whole(begun.budget)):
            return (partial / store.BEGUN).stat().st_mtime_ns, found
        if found := _whole(files.read_json(own)):
            return own.stat().st_mtime_ns, found
    return None


def _whole(found: Any) -> Budget:
    return found if isinstance(found, dict) and isinstance(found.get("steps"), int) else {}
