"""Licences, somebody else's files, full disks, kills, and two at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.conversions.write import read_record
from bench.data.download import RetryPolicy
from bench.data.formats import read_atomic
from bench.data.get import GetRequest, get
from bench.data.records import Records
from bench.data.registry import Counts, Source

QUICK = RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0)
FILES = ["dataset.json", "interactions.parquet", "items.parquet", "toys.inter", "toys.item"]


def test_a_licence_is_accepted_before_anything_is_fetched(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str]
) -> None:
    licensed = replace(toys, must_accept=True)
    said = refused(licensed, tmp_path)
    assert "'toys' has a licence: none stated: do not redistribute (https://snap" in said
    assert said.endswith("if you accept it, add --accept-licence")
    assert web.asked == []
    assert get(licensed, tmp_path, GetRequest(accept_licence=True), retry=QUICK).new


@pytest.mark.parametrize("place", ["toys/toys.inter", "toys/notes.txt", "toys.inter"])
def test_somebody_elses_files_are_not_touched(
    toys: Source, web: Any, tmp_path: Path, place: str, refused: Callable[..., str]
) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / place).write_text("mine")
    for request in (GetRequest(), GetRequest(force=True)):
        assert "was not created by `bench data get`; move it away" in refused(toys, tmp_path, request)
    assert (tmp_path / place).read_text() == "mine"
    assert web.asked == []


def test_what_is_here_in_another_form_is_said_and_made_anew_by_force(
    toys: Source, tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder = get(toys, tmp_path, retry=QUICK).folder
    assert "exists and differs in ties; --force rebuilds it" in refused(toys, tmp_path, GetRequest(ties="id"))
    assert "exists and differs in text" in refused(toys, tmp_path, GetRequest(text=("title",)))
    assert "exists and differs in conversion" in refused(replace(toys, version=toys.version + 1), tmp_path)
    assert get(toys, tmp_path, GetRequest(text=("brand",), force=True), retry=QUICK).new
    assert list(read_atomic(folder).items.text) == ["brand"]


def test_what_has_changed_on_disk_is_said(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    folder = get(toys, tmp_path, retry=QUICK).folder
    with (folder / "toys.inter").open("a") as file:
        file.write("A000\tB000\t5\t1\n")
    (folder / "items.parquet").unlink()
    said = refused(toys, tmp_path)
    assert "has changed files (items.parquet, toys.inter); --force rebuilds it" in said
    assert get(toys, tmp_path, GetRequest(force=True), retry=QUICK).new
    assert not get(toys, tmp_path, retry=QUICK).new


def test_a_folder_on_another_disk_is_rebuilt_there_however_often(toys: Source, tmp_path: Path) -> None:
    root, disk = tmp_path / "data", tmp_path / "disk" / "toys-2014"
    root.mkdir()
    disk.parent.mkdir()
    (root / "toys").symlink_to(disk)  # made by the first call
    assert get(toys, root, retry=QUICK).new
    for ties in ("id", "digest"):
        assert get(toys, root, GetRequest(ties=ties, force=True), retry=QUICK).new
        assert read_record(disk)["ties"] == ties  # type: ignore[index]
    assert (root / "toys").is_symlink()
    assert [path.name for path in disk.parent.iterdir()] == ["toys-2014"]


def test_a_misspelt_column_costs_no_download(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str]
) -> None:
    beginning = tmp_path / ".downloads" / "toys" / toys.files[0].name
    beginning.parent.mkdir(parents=True)
    beginning.write_bytes(web.files[beginning.name])  # whole, from a call that ended later
    assert "unknown text column 'titel'; did you mean 'title'?" in refused(toys, tmp_path, GetRequest(text=("titel",)))
    assert beginning.exists()
    assert web.asked == []


def test_unknown_columns_and_rules(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "unknown text column 'titel'; did you mean 'title'?" in refused(toys, tmp_path, GetRequest(text=("titel",)))
    assert "unknown rule for ties 'random'" in refused(toys, tmp_path, GetRequest(ties="random"))
    assert not (tmp_path / "toys").exists()


CALL = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from bench.data import registry
from bench.data.download import RetryPolicy
from bench.data.get import GetRequest, get
from bench.errors import BenchError
limit = int(sys.argv[3])
import bench.data.conversions.write
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    toys = replace(registry.find("toys"), expected=None)
    print(get(toys, Path(sys.argv[1]), GetRequest(given=(Path(sys.argv[2]),), force=True)).counts)
except BenchError as error:
    print(error)
"""
KILLED = CALL.replace(
    "import bench.data.conversions.write",
    "import os, bench.files\n"
    "bench.files.hook = lambda step, path: os._exit(9) if (step, path.name) == ('rename', 'toys') else None",
)


@pytest.fixture
def by_hand(toys: Source, web: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "hand"
    folder.mkdir()
    for file in toys.files:
        (folder / file.name).write_bytes(web.files[file.name])
    return folder


@pytest.mark.parametrize("limit", [1_000, 5_000, 10_000])
def test_a_disk_that_fills_while_writing_keeps_nothing(
    by_hand: Path, tmp_path: Path, limit: int, remains: Callable[[Path], list[str]]
) -> None:
    root = tmp_path / "data"
    done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, str(limit)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cannot write to '{root}': "), done.stdout
    assert "make room, or name another folder with --data-dir" in done.stdout
    assert remains(root) == []


def test_a_full_disk_leaves_the_old_data_set_as_it_was(by_hand: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for limit in ("0", "10000"):
        done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, limit], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout
    record = read_record(root / "toys")
    assert record is not None
    assert read_atomic(root / "toys").fingerprint == record["data_digest"]


def test_a_killed_run_leaves_nothing_that_counts_as_a_data_set(
    by_hand: Path, tmp_path: Path, counts: Counts, remains: Callable[[Path], list[str]]
) -> None:
    root = tmp_path / "data"
    done = subprocess.run([sys.executable, "-c", KILLED, root, by_hand, "0"], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert not (root / "toys").exists()
    done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, "0"], capture_output=True, text=True)
    assert done.stdout.strip() == str(counts), done.stderr
    assert remains(root) == [f"toys/{name}" for name in FILES]


def test_the_old_data_set_is_back_after_a_kill_while_it_was_aside(
    by_hand: Path, tmp_path: Path, remains: Callable[[Path], list[str]]
) -> None:
    root = tmp_path / "data"
    for call, code, limit in ((CALL, 0, "0"), (KILLED, 9, "0"), (CALL, 0, "10000")):
        done = subprocess.run([sys.executable, "-c", call, root, by_hand, limit], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert "cannot write" in done.stdout
    assert remains(root) == [f"toys/{name}" for name in FILES]


def test_two_at_once_do_not_meet(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    from filelock import FileLock

    (tmp_path / ".downloads").mkdir()
    with FileLock(tmp_path / ".downloads" / "toys.lock"):
        assert "another `bench data get toys` is running in" in refused(toys, tmp_path)
    assert get(toys, tmp_path, retry=QUICK).new


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write to" in refused(toys, tmp_path)
    tmp_path.chmod(0o700)


def test_data_sets_that_arrive_together_are_all_recorded(toys: Source, counts: Counts, tmp_path: Path) -> None:
    records, names = Records(tmp_path), [f"set{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        kept = [pool.submit(records.keep, replace(toys, name=name), {"file": name}, counts) for name in names]
    assert [task.exception() for task in kept] == [None] * 8
    assert sorted(json.loads((tmp_path / "first_downloads.json").read_text())) == names
