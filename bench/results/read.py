"""Stored results, read back: one ``Result`` for each finished run (data set x scheme x contract x seed).

A run is a folder with a ``result.json`` of the present ``SCHEMA`` and a ``per_user.parquet`` beside it, anywhere below
``<results>/runs``. Folders whose name starts with a dot hold unfinished work and are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.console import say
from bench.errors import BenchError, CorruptError
from bench.evaluation.metrics import Floats, summaries
from bench.files import require_readable
from bench.results import digests, shapes
from bench.results.digests import HINT, MISSING, RESULT
from bench.results.identity import run_of
from bench.results.places import unfollowed
from bench.results.schema import SCHEMA, Record, from_json
from bench.results.store import readable
from bench.results.table import PER_USER, UserTable, check_outline, read_table

EXAMPLE = "bench run --id-scheme textual,numeric --dataset ml-100k"
# What may come of content that nobody checked yet: of other types, without a field, infinite, nested without end.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(Record):
    """One finished run. ``path`` is its folder as it is written in reports: relative to the results folder."""

    folder: Path
    path: str
    resampled: dict[str, Floats] = field(default_factory=dict)  # filled by bench.report.sampling

    @cached_property
    def table(self) -> UserTable:
        """The per-user table, read when first asked for."""
        table = read_table(digests.check(self.folder, PER_USER, self.files), tuple(self.item_groups))
        _check_agreement(self, table)
        return table

    def values(self, name: str) -> Floats:
        """``[users]``: the strict value of a metric for each user."""
        return self.table.ranks.per_user(name)


def load(
    results: Path, broken: dict[str, BenchError] | None = None, whole: bool = False, quiet: bool = False
) -> list[Result]:
    """All finished runs below ``results/runs``, ordered by folder.

    A broken one is skipped and, unless ``quiet``, named on stderr, and so is a copy of another; ``broken`` is given it,
    by its path. With ``whole`` the tables that a report reads are compared with their digests too. BenchError where
    nothing is finished, or nothing else.
    """
    runs = results / "runs"
    files, links = readable(runs), unfollowed(runs)
    if links and not files:
        raise BenchError(links[0])
    if not files:
        raise BenchError(f"no finished results in '{results}'; make some with: {EXAMPLE}")
    found: list[Result] = []
    lost: dict[str, BenchError] = {}
    for file in files:
        path = file.parent.relative_to(results).as_posix()
        try:
            found.append(_whole(sound(file, path)) if whole else sound(file, path))
        except BenchError as error:
            lost[path] = error
    lost |= _copies(found, results)
    found = [result for result in found if result.path not in lost]
    if not found:
        raise next(iter(lost.values()))
    for reason in () if quiet else (*links, *lost.values()):
        say(f"skipped: {reason}")
    if broken is not None:
        broken.update(lost)
    return found


def _whole(found: Result) -> Result:
    """The same run. BenchError where a table of it is not what was stored."""
    _ = found.table
    if digests.TABLE in found.files:
        digests.check(found.folder, digests.TABLE, found.files)
    return found


def _copies(found: Sequence[Result], results: Path) -> dict[str, BenchError]:
    """Runs that are stored twice, such as in a backup beside the run: all but the one in its place, or the first."""
    known: dict[str, Result] = {}
    lost: dict[str, BenchError] = {}
    for result in sorted(found, key=lambda result: run_of(result).folder(results) != result.folder):
        first = known.setdefault(run_of(result).key, result)
        if first is not result:
            lost[result.path] = BenchError(
                f"'{result.folder}' is the same run as '{first.folder}', {ranks_told(first, result)}; remove one"
            )
    return lost


def ranks_told(one: Result, other: Result) -> str:
    """Whether two runs of one identity ranked their users alike: which of them goes matters only where not."""
    try:
        return "with the same ranks of users" if same_ranks(one, other) else "with other ranks of users"
    except BenchError:
        return "and the ranks of users of one are corrupt"


def same_ranks(one: Result, other: Result) -> bool:
    """Whether two runs tested the same users and ranked each alike. BenchError where a table can't be read."""
    return np.array_equal(one.table.users, other.table.users) and all(
        np.array_equal(getattr(one.table.ranks, name), getattr(other.table.ranks, name))
        for name in ("strict", "optimistic")
    )


def sound(file: Path, path: str) -> Result:
    """As ``read``. BenchError also where the per-user table cannot be the run's, as far as its outline tells."""
    found = read(file, path)
    table = found.folder / PER_USER
    require_readable(table)
    if not table.is_file():
        raise CorruptError(f"'{table}' is missing beside its {RESULT}", MISSING)
    rows = found.split.get("test_targets", found.split["test_users"])
    check_outline(table, rows, tuple(found.item_groups))
    return found


def read(file: Path, path: str) -> Result:
    """The run whose ``result.json`` this is; reports call its folder ``path``."""
    require_readable(file)
    try:
        content = file.read_bytes()
        stored = json.loads(content.decode("utf-8"))
        shapes.require_plain(stored)
        schema = int(stored["schema"])
    except UNREADABLE as error:
        raise _corrupt(file, error) from error
    if schema != SCHEMA:
        remedy = "update bench to read it" if schema > SCHEMA else HINT
        raise BenchError(f"'{file}' has result schema {schema}, this bench reads {SCHEMA}", remedy)
    try:
        found = Result(folder=file.parent, path=path, **from_json(stored))
        _require_sense(found)
    except UNREADABLE as error:
        raise _corrupt(file, error) from error
    digests.require_sealed(file.parent, content, bool(stored.get("sealed", False)))
    return found


def _require_sense(found: Result) -> None:
    """What is read long after the file: KeyError, TypeError, ValueError or OverflowError now, with the file named."""
    int(found.split["test_users"])
    _ = run_of(found).key
    shapes.require(found)
    if found.adapted_on < 0:
        raise ValueError(f"adapted_on {found.adapted_on}")
    if found.protocol < 1:
        raise ValueError(f"protocol {found.protocol}")
    if found.seed < 0:
        raise ValueError(f"seed {found.seed}")


def _corrupt(file: Path, error: Exception) -> BenchError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
    return CorruptError(f"'{file}' is corrupt ({reason})", f"{HINT}, or delete its folder")


def _check_agreement(result: Result, table: UserTable) -> None:
    """A per-user table of another run beside a result.json would give intervals that belong to other values. Of users
    with several targets the table does not say which share an identifier, which only the strict reading does not need.
    """
    for name, stored in result.metrics["strict"].items():
        _check_mean(result, name, stored, float(table.ranks.per_user(name).mean()))
    if table.ranks.user_rows is None:
        for reading, means in summaries(table.ranks, "mrr" in result.metrics["strict"]).items():
            for name in means.keys() & result.metrics[reading].keys():
                _check_mean(result, f"{reading} {name}", result.metrics[reading][name], means[name])
    for kind, group in table.item_groups.items():
        for name, stored in result.item_groups[kind].metrics["strict"].items():
            _check_mean(result, f"{kind} {name}", stored, float(group.values(name).mean()))


def _check_mean(result: Result, name: str, stored: float, mean: float) -> None:
    if not abs(stored - mean) <= shapes.ROUNDING:
        raise CorruptError(
            f"'{result.folder}' contradicts itself: {name} is {stored:.6f} in {RESULT} and {mean:.6f} in {PER_USER}",
            HINT,
        )
