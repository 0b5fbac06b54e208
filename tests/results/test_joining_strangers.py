"""Joining what others have changed, while others are at work, on disks that end: nothing is lost or mixed unseen."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from bench import files
from bench.results import archive, digests, joining
from bench.results import read as stored

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def mine(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("mine")
    said = bench("run", "--id-scheme", "numeric/sequential", "--baseline", "pop", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


def names(results: Path) -> list[str]:
    return sorted(run.scheme.name for run in stored.load(results, whole=True))


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The result of a run, changed and sealed again as a stranger may have it."""
    stored = json.loads((folder / "result.json").read_text())
    change(stored)
    (folder / "result.json").write_text(json.dumps(stored))
    digests.seal(folder)


@pytest.fixture
def baseline(mine: Path, tmp_path: Path) -> Path:
    """A results folder with one run, and nothing else."""
    (run,) = mine.glob("runs/*/pop*/*/0")
    shutil.copytree(run, tmp_path / "a" / run.relative_to(mine))
    return tmp_path / "a"


def moved(results: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy beside a results folder, whose run is changed and lies where it lay."""
    copy = results.with_name(name)
    shutil.copytree(results, copy)
    (file,) = copy.rglob("result.json")
    edited(file.parent, change)
    return copy


def test_runs_that_lie_alike_are_both_kept(bench: Bench, baseline: Path, tmp_path: Path) -> None:
    """Who has another version of a plugin has other defaults, which folders do not name."""
    other = moved(baseline, "b", lambda stored: stored["scheme"]["settings"].update(window=7))
    for out, sources in ((tmp_path / "one", [[baseline, other]]), (tmp_path / "two", [[baseline], [other], [other]])):
        for given in sources:
            said = bench("results", "join", *given, "--out", out)
            assert said.code == 0, said.err
        found = stored.load(out, whole=True)
        assert [run.scheme.settings.get("window") for run in found] in ([None, 7], [7, None])


def test_one_run_is_once_in_a_folder_however_its_sources_call_it(bench: Bench, baseline: Path, tmp_path: Path) -> None:
    def turned(found: dict[str, Any]) -> None:
        found["contract"] = dict(reversed(found["contract"].items()))
        found["scheme"]["settings"] |= {"b": 1, "a": 2}

    def straight(found: dict[str, Any]) -> None:
        found["scheme"]["settings"] |= {"a": 2, "b": 1}

    one, other = moved(baseline, "b", straight), moved(baseline, "c", turned)
    said = bench("results", "join", one, other, "--out", tmp_path / "out")
    assert "note: 1 run is in an earlier source as well, with the same ranks" in said.err
    (folder,) = (file.parent for file in other.rglob("result.json"))
    shutil.copytree(folder, tmp_path / "flat")
    assert bench("results", "join", tmp_path / "flat", "--out", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out").rglob("result.json"))) == 1


def test_what_is_left_out_is_not_what_others_are_compared_with(bench: Bench, baseline: Path, tmp_path: Path) -> None:
    other = moved(baseline, "b", lambda found: found["dataset"].update(fingerprint="0123456789abcdef"))
    again = moved(other, "c", lambda found: None)
    said = bench("results", "join", baseline, other, again, "--out", tmp_path / "out", "--details")
    assert said.err.count("left out: pop on toy") == 2
    assert "that one is kept" not in said.err


def test_a_run_without_a_place_hurts_no_other(bench: Bench, mine: Path, baseline: Path, tmp_path: Path) -> None:
    long = moved(baseline, "b", lambda found: found["dataset"].update(name="x" * 300))
    said = bench("results", "join", long, mine, "--out", tmp_path / "out", "--all")
    assert said.code == 1
    assert "skipped: " in said.err
    assert "has no place in" in said.err
    assert names(tmp_path / "out") == ["numeric/sequential", "pop"]


def test_a_kill_while_a_run_is_replaced_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mine: Path, tmp_path: Path
) -> None:
    """Before each change to the disk, the run that is there is there, or its successor."""
    out, seen = tmp_path / "out", []

    def look(step: str, path: Path) -> None:
        if step in ("rename", "remove"):
            seen.append(names(out))

    bench("results", "join", mine, "--out", out)
    monkeypatch.setattr(files, "hook", look)
    assert bench("results", "join", mine, "--out", out).code == 0
    assert seen
    assert all(found == ["numeric/sequential", "pop"] for found in seen)
    assert not list(out.rglob(".*"))


def test_a_run_that_is_replaced_while_it_is_packed_is_not_mixed_with_its_successor(
    monkeypatch: pytest.MonkeyPatch, baseline: Path, tmp_path: Path
) -> None:
    (table,) = baseline.rglob("per_user.parquet")
    pack = joining.packed.pack

    def late(source: Path, folder: Path) -> None:
        frame = pd.read_parquet(table)
        frame.assign(target=frame["target"].to_numpy()[::-1]).to_parquet(table)
        edited(source, lambda found: found["files"].update({table.name: digests.of_file(table)}))
        pack(source, folder)

    with joining.opened([str(baseline)]) as found:
        monkeypatch.setattr(joining.packed, "pack", late)
        joining.join(found, tmp_path / "out")
    assert "was replaced or removed while it was read; do it again" in found.skipped[0]
    assert not list((tmp_path / "out").rglob("result.json"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_not_the_fault_of_an_archive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mine: Path, tmp_path: Path, number: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    packed = tmp_path / "a.zip"
    assert bench("results", "pack", "--results", mine, "--out", packed).code == 0
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    said = bench("results", "join", mine, packed, "--out", tmp_path / "out")
    assert said.code == 1
    assert said.err.startswith(f"bench: cannot unpack '{packed}' in ")
    assert f"{os.strerror(number)}; the variable TMPDIR names another folder" in said.err
    assert "ask for the archive again" not in said.err


def test_an_archive_can_be_written_where_the_clock_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "a"
    file.parent.mkdir()
    file.touch()
    os.utime(file, (0, 0))
    archive.write(file.parent, tmp_path / "a.zip")
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["a"]
