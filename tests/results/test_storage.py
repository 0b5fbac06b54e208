"""What is removed, and what is not: never more than was said, and never half of a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import files
from bench.errors import BenchError
from bench.results import leases, storage, store
from bench.results.holders import Holder
from bench.results.storage import ASIDE, CACHE, DAY, LEASE, LEFT, RUN, UNFINISHED, Piece, pieces, readable_size, surplus

DEAD = 999_999_999  # no process has this number


def put(path: Path, size: int = 10, days: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One of each kind."""
    home = tmp_path / "r" / "runs" / "toys" / "one@1" / "c0ffee00-012345"
    put(home / "0" / "result.json")
    put(home / "0" / "log.jsonl", 5)
    put(home / ".0.lock", 0)
    put(home / ".0.old" / "result.json", 7)
    put(home / ".0.corrupt" / "result.json", 8)
    put(home / ".1.partial" / "stage-0.safetensors", 9)
    put(tmp_path / "r" / "cache" / "ids" / "a.safetensors", 100, days=50)
    put(tmp_path / "r" / "cache" / "text" / "b.safetensors", 200, days=5)
    put(tmp_path / "r" / "cache" / "text" / "c.safetensors", 300, days=1)
    put(tmp_path / "r" / f".report.md.{files.place()}-{DEAD}-1-01234567.tmp", 3)
    put(tmp_path / "r" / "report.md", 1000)
    return tmp_path / "r"


def by_kind(found: list[Piece]) -> dict[str, list[tuple[str, int]]]:
    kinds: dict[str, list[tuple[str, int]]] = {}
    for each in found:
        kinds.setdefault(each.what, []).append((each.path.name[:8], each.size))
    return kinds


def test_everything_of_ours_is_found_and_nothing_else(results: Path) -> None:
    assert by_kind(pieces(results)) == {
        RUN: [("0", 15)],
        LEFT: [(".0.old", 7), (".report.", 3)],
        ASIDE: [(".0.corru", 8)],
        UNFINISHED: [(".1.parti", 9)],
        CACHE: [("a.safete", 100), ("b.safete", 200), ("c.safete", 300)],
    }


def test_a_run_that_a_kill_left_between_two_renamings_is_a_run(results: Path) -> None:
    home = next(results.glob("runs/*/*/*"))
    files.remove(home / "0")
    found = by_kind(pieces(results))
    assert found[RUN] == [(".0.old", 7)]
    assert found[LEFT] == [(".report.", 3)]


@pytest.mark.parametrize(
    ("days", "most", "gone"),
    [
        (30, None, ["a"]),
        (3, None, ["a", "b"]),
        (0, None, ["a", "b", "c"]),
        (60, None, []),
        (60, 600, []),
        (60, 599, ["a"]),
        (60, 500, ["a"]),
        (60, 499, ["a", "b"]),
        (3, 0, ["a", "b", "c"]),
    ],
)
def test_caches_go_by_age_and_then_by_size_the_longest_unused_first(
    results: Path, days: float, most: float | None, gone: list[str]
) -> None:
    assert [each.path.stem for each in surplus(pieces(results), days, most)] == gone


def test_what_is_removed_is_gone_with_its_empty_folders_and_the_rest_stays(results: Path) -> None:
    found = pieces(results)
    storage.remove(results, [each for each in found if each.what != RUN and each.path.stem not in ("b", "c")])
    assert by_kind(pieces(results)) == {RUN: [("0", 15)], CACHE: [("b.safete", 200), ("c.safete", 300)]}
    assert not (results / "cache" / "ids").exists()
    assert (results / "report.md").exists()
    storage.remove(results, pieces(results))
    assert pieces(results) == []
    assert results.is_dir()


def test_a_finished_run_survives_the_removal_of_its_unfinished_successor(results: Path) -> None:
    home = next(results.glob("runs/*/*/*"))
    put(home / ".0.partial" / "begun.json")
    storage.remove(results, [each for each in pieces(results) if each.what == UNFINISHED])
    assert store.finished(home / "0")
    assert not list(home.glob(".*.partial"))


def test_a_run_that_another_process_is_at_is_not_removed(results: Path) -> None:
    home = next(results.glob("runs/*/*/*"))
    with leases.held(home / "0"):
        ((kept, reason),) = storage.remove(results, [each for each in pieces(results) if each.what in (RUN, CACHE)])
    assert (kept.what, kept.path) == (RUN, home / "0")
    assert re.search(r"another process .* is working on", reason)
    assert store.finished(home / "0")
    assert not [each for each in pieces(results) if each.what == CACHE]  # they come after the run, and go all the same


def test_leases_go_where_a_run_is_finished_and_nobody_has_been_at_it_for_a_day(results: Path) -> None:
    home = next(results.glob("runs/*/*/*"))
    old = time.time() - 2 * DAY
    for run in range(3):
        path = put(home / f".{run}.lease-3")
        holder = Holder("t", place=files.place(), pid=DEAD, released=run < 2)
        path.write_text(json.dumps(asdict(holder)))
        os.utime(path, (old, old))
    found = [each.path.name for each in pieces(results) if each.what == LEASE]
    assert found == [".0.lease-3"]  # 1 has something unfinished, 2 has nothing yet
    with leases.held(home / "0"):
        storage.remove(results, [Piece(home / ".0.lease-3", LEASE, 1, old)])
        assert list(home.glob(".0.lease-*"))
    assert not [each for each in pieces(results) if each.what == LEASE]  # somebody was at it just now
    (path,) = home.glob(".0.lease-*")
    os.utime(path, (old, old))
    storage.remove(results, [each for each in pieces(results) if each.what == LEASE])
    assert not list(home.glob(".0.lease-*"))
    assert store.finished(home / "0")


def test_a_link_is_removed_and_not_followed(results: Path, tmp_path: Path) -> None:
    home = next(results.glob("runs/*/*/*"))
    thesis = put(tmp_path / "home" / "thesis.tex")
    put(tmp_path / "home" / "result.json")
    (home / "2").symlink_to(tmp_path / "home")
    store.remove(home / "2", finished_too=True)
    assert thesis.exists()
    assert not (home / "2").is_symlink()


def test_nothing_outside_a_results_folder_is_a_run_to_be_removed(results: Path, tmp_path: Path) -> None:
    stranger = put(tmp_path / "mine" / "result.json")
    with pytest.raises(BenchError, match=r"is not in .*runs'; name its results folder with --results"):
        storage.require_run(results, stranger)
    home = next(results.glob("runs/*/*/*"))
    assert storage.require_run(results, home / "0" / "result.json") == home / "0"


KILLED = """
import os, signal, sys
from pathlib import Path
from bench import files
from bench.results import store
left = int(sys.argv[2])
def hook(step, path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
files.hook = hook
store.remove(Path(sys.argv[1]), finished_too=True)
"""


def test_a_kill_while_a_run_is_removed_leaves_all_of_it_or_none(results: Path) -> None:
    folder = next(results.glob("runs/*/*/*")) / "0"
    for step in range(20):
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(step)], check=False, timeout=60)
        assert folder.exists() == (folder / "log.jsonl").exists() == store.finished(folder)
        if not done.returncode:
            break
        assert by_kind(pieces(results)).get(RUN, [("0", 15)]) == [("0", 15)]
    assert step > 2
    assert not folder.exists()


def test_sizes_for_people() -> None:
    sizes = [readable_size(size) for size in (0, 999, 1000, 1_234_567, 999_600, 5e9, 7e12)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 MB", "5.0 GB", "7.0 TB"]
