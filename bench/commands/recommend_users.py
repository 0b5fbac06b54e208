"""``bench recommend --users``: what a finished run recommends to many users, written to one file in batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bench import machine
from bench.console import Console, say
from bench.data import sources, splitting
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.files import output
from bench.results.saved import AnySaved

ALL = "all"
BATCH = 1024  # users whose recommendations are in memory at once
SCHEMA = pa.schema({"user": pa.string(), "rank": pa.int32(), "item": pa.string(), "score": pa.float32()})
WRITERS = {".parquet": pq.ParquetWriter, ".csv": pyarrow.csv.CSVWriter}


@dataclass
class Counts:
    """What was written and what was not: users without a known item, ids of no user, items that the run lacks."""

    users: int = 0
    recommendations: int = 0
    users_skipped: int = 0
    unknown_users: int = 0
    unknown_items: int = 0
    seconds: float = 0.0


@dataclass
class Histories:
    """Users and the items of their histories that a run knows, oldest first; the others are counted."""

    saved: AnySaved
    dataset: Dataset
    rows: Sequence[int]
    counts: Counts = field(default_factory=Counts)

    def batches(self) -> Iterator[tuple[list[str], list[list[str]]]]:
        """Users and their histories, at most ``BATCH`` of them."""
        for start in range(0, len(self.rows), BATCH):
            named = [(row, self._known(row)) for row in self.rows[start : start + BATCH]]
            kept = [(self.dataset.users[row], history) for row, history in named if history]
            self.counts.users_skipped += len(named) - len(kept)
            if kept:
                yield [user for user, _ in kept], [history for _, history in kept]

    def _known(self, row: int) -> list[str]:
        named = [self.dataset.items.ids[item] for item in self.dataset.sequences[row]]
        found, unknown = self.saved.known(named)
        self.counts.unknown_items += unknown
        return found


def write(
    saved: AnySaved, users: str, out: Path, k: int, exclude: bool | None, data_dir: Path | None, as_json: bool
) -> None:
    """Write ``k`` items for each of the ``users`` (``all``, a file of ids, interactions), and print what was done.

    BenchError where the name of the file is none of a table, where users are of no known data, or where no user of
    them has an item that the run knows.
    """
    if out.suffix not in WRITERS:
        raise BenchError(f"recommendations are written as {' or '.join(WRITERS)}; got '{out}'")
    begun, histories = time.perf_counter(), _histories(saved, users, data_dir)
    counts = histories.counts
    with output(out, "the recommendations") as partial, WRITERS[out.suffix](partial, SCHEMA) as writer:
        for names, batch in histories.batches():
            table = _table(names, saved, batch, k, exclude)
            writer.write_table(table)
            counts.users += len(names)
            counts.recommendations += len(table)
        if not counts.users:
            raise BenchError(f"none of the {len(histories.rows):,} users in '{users}' has an item that the run knows")
    counts.seconds = round(time.perf_counter() - begun, 3)
    if as_json:
        machine.show({"run": saved.result.path, "out": str(out), **asdict(counts)})
    else:
        Console(stderr=True).print(_said(out, counts), soft_wrap=True)


def _table(
    names: Sequence[str], saved: AnySaved, batch: Sequence[Sequence[str]], k: int, exclude: bool | None
) -> pa.Table:
    found = saved.recommend_many(batch, k, exclude)
    lines: list[dict[str, Any]] = [
        {"user": user, "rank": rank, "item": one.item, "score": one.score}
        for user, ranked in zip(names, found, strict=True)
        for rank, one in enumerate(ranked, start=1)
    ]
    return pa.Table.from_pylist(lines, SCHEMA)


def _histories(saved: AnySaved, users: str, data_dir: Path | None) -> Histories:
    """Whole histories: whatever a user did is known when something is recommended, test items too."""
    if users == ALL:
        dataset = _own(saved, users, data_dir)
        return Histories(saved, dataset, range(len(dataset.users)))
    listed = _listed(users)
    if listed is not None and not any(set(line) & set(" ,;\t{[") for line in listed):
        return _of_users(saved, users, listed, _own(saved, users, data_dir))
    try:
        dataset = _interactions(users, data_dir)
    except BenchError:
        found = _of_odd_names(saved, users, listed or [], data_dir)
        if found is None:
            raise
        return found
    for note in dataset.notes if Path(users).exists() else ():  # how it was read, which is a guess
        say(f"note: {note}")
    return Histories(saved, dataset, range(len(dataset.users)))


def _of_users(saved: AnySaved, users: str, listed: Sequence[str], dataset: Dataset) -> Histories:
    row_of = {user: row for row, user in enumerate(dataset.users)}
    rows = [row_of[user] for user in listed if user in row_of]
    if not rows:
        raise BenchError(f"none of the {len(listed):,} ids in '{users}' is a user of {dataset.name}")
    return Histories(saved, dataset, rows, Counts(unknown_users=len(listed) - len(rows)))


def _of_odd_names(saved: AnySaved, users: str, listed: Sequence[str], data_dir: Path | None) -> Histories | None:
    """As ``_of_users``, of a file that is no table, where its lines are users for all the commas and blanks in them."""
    with contextlib.suppress(BenchError):
        return _of_users(saved, users, listed, _own(saved, users, data_dir)) if listed else None
    return None


def _own(saved: AnySaved, users: str, data_dir: Path | None) -> Dataset:
    """The data set of the run, with ties in time in the order in which the run read them. One that has changed since is
    said to have.
    """
    run = saved.result.dataset
    try:
        found = splitting.ordered(sources.find(run.name, data_dir), saved.contract)[0]
    except BenchError as error:
        what = "" if users == ALL else ", a list of its users,"
        raise BenchError(f"--users {users}{what} needs the data set of the run: {error}") from error
    by_time = saved.contract.split == "global-temporal"
    fingerprint = found.dated_fingerprint if by_time else found.fingerprint
    if fingerprint != run.fingerprint:
        say(
            f"note: the data set {run.name} is not what the run was made on (its fingerprint is {fingerprint}, and was "
            f"{run.fingerprint}): users and histories are those of now, and an id is taken to mean the item that it "
            "meant then"
        )
    return found


def _interactions(users: str, data_dir: Path | None) -> Dataset:
    try:
        return sources.find(users, data_dir)
    except BenchError as error:
        if not str(error).startswith("unknown data set"):
            raise
        reason = f"--users takes all, a file or a data set; there is no file and no data set '{users}'"
        raise BenchError(reason, "for one user, write the id into a file") from error


def _listed(users: str) -> list[str] | None:
    """The lines of a text, each once; None where there are none. A mark of the byte order, which spreadsheets write, is
    no part of the first.
    """
    try:
        lines = [line.strip() for line in Path(users).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return None
    return list(dict.fromkeys(lines)) or None


def _said(out: Path, counts: Counts) -> str:
    skipped = {
        "ids that are no user's": counts.unknown_users,
        "users without an item that the run knows": counts.users_skipped,
        "items that the run does not know": counts.unknown_items,
    }
    without = "".join(f"; skipped {count:,} {what}" for what, count in skipped.items() if count)
    done = f"{counts.recommendations:,} recommendations for {counts.users:,} users in {counts.seconds:.1f} s"
    return f"written: {out}: {done}{without}"
