"""Where results may be written: what is refused is one line, and nothing is written or removed there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import files

Bench = Callable[..., SimpleNamespace]
DEAD = 999_999_999  # no process has this number


@pytest.fixture(scope="module")
def mine(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("mine")
    said = bench("run", "--baseline", "pop", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def refused(said: SimpleNamespace) -> str:
    assert (said.code, said.err.count("\n")) == (1, 1), said.err
    return str(said.err)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.7z", "x.TAR", "x.zst"])
def test_a_folder_is_not_named_like_an_archive(bench: Bench, mine: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    said = refused(bench("results", "pack", "--results", mine, "--out", out))
    assert said == (
        f"bench: '{out}' is named like an archive, and results are written to a folder or, by bench results pack, to a "
        ".zip; give it another name\n"
    )
    assert "is named like an archive" in refused(bench("results", "join", mine, "--out", out))
    assert entries(tmp_path) == []


def test_a_zip_is_written_whatever_the_case_of_its_name(bench: Bench, mine: Path, tmp_path: Path) -> None:
    assert bench("results", "pack", "--results", mine, "--out", tmp_path / "X.ZIP").code == 0
    assert (tmp_path / "X.ZIP").is_file()
    assert "is named like an archive" in refused(bench("results", "join", mine, "--out", tmp_path / "y.zip"))
    assert bench("results", "join", tmp_path / "X.ZIP", "--out", tmp_path / "out").code == 0


def test_a_folder_that_is_named_so_stays_one(bench: Bench, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "x.zip").mkdir()
    assert bench("results", "pack", "--results", mine, "--out", tmp_path / "x.zip").code == 0
    assert bench("results", "join", tmp_path / "x.zip", "--out", tmp_path / "out").code == 0


def test_a_folder_of_something_else_is_left_alone(bench: Bench, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "runs").mkdir(parents=True)  # which other programs write as well
    (tmp_path / "photos" / "runs" / "events.out").touch()
    (tmp_path / "note").touch()
    before = entries(tmp_path)
    for words in (["pack", "--results", mine], ["join", mine]):
        said = refused(bench("results", *words, "--out", tmp_path / "photos"))
        assert "it holds 'runs/events.out' and no results; name a new or an empty folder, or a results folder" in said
        assert "it is a file; name a new" in refused(bench("results", *words, "--out", tmp_path / "note"))
    assert entries(tmp_path) == before
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".gitkeep").touch()
    assert bench("results", "pack", "--results", mine, "--out", tmp_path / "empty").code == 0


def test_nothing_is_packed_into_where_it_comes_from(bench: Bench, mine: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(mine, own)
    before = entries(own)
    said = refused(bench("results", "pack", "--results", own, "--out", own))
    assert f"cannot pack '{own}' into itself; name another folder, or a .zip" in said
    for below in ("runs", "runs/toy", "runs/more"):
        said = refused(bench("results", "pack", "--results", own, "--out", own / below))
        assert f"it lies within '{own / 'runs'}', which is read" in said
    assert entries(own) == before
    assert bench("results", "pack", "--results", own, "--out", own / "packed").code == 0


def test_what_a_killed_pack_left_is_removed_by_the_next_and_by_clean(bench: Bench, mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert bench("results", "pack", "--results", mine, "--out", out).code == 0
    (run,) = (path.parent for path in out.rglob("result.json"))
    left = run.with_name(f".0.{files.place()}-{DEAD}-1-01234567.tmp")
    shutil.copytree(run, left)
    (left / f".a.{files.place()}-{DEAD}-1-01234567.tmp").touch()
    said = bench("clean", "--results", out, "--yes")
    assert "removed: 1 entry" in said.out
    assert not left.exists()
    shutil.copytree(run, left)
    assert bench("results", "pack", "--results", mine, "--out", out).code == 0
    assert not left.exists()


def test_runs_behind_a_link_are_not_passed_over_without_a_word(bench: Bench, mine: Path, tmp_path: Path) -> None:
    """Who moves a data set's folder to a larger disk is told why its rows are missing."""
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    (elsewhere / "pop@1" / "contract" / "0").mkdir(parents=True)
    (elsewhere / "pop@1" / "contract" / "0" / "result.json").write_text("{}")
    (results / "runs").mkdir(parents=True)
    (results / "runs" / "toy").symlink_to(elsewhere)
    (results / "runs" / "toy" / ".hidden").symlink_to(tmp_path)
    asked = ["report"], ["verify"], ["results", "pack", "--out", tmp_path / "a.zip"]
    for words in (*([*words, "--results", results] for words in asked), ["results", "join", results]):
        said = bench(*words)
        assert said.code == 1
        assert said.err.splitlines() == [
            f"bench: '{results / 'runs' / 'toy'}' is a link, which is not followed; let the whole results folder be "
            "the link"
        ]
    shutil.copytree(mine / "runs" / "toy", results / "runs" / "toy2")
    for words, code in ((["report", "--results"], 0), (["verify", "--results"], 0), (["results", "join"], 1)):
        said = bench(*words, results, *([] if words[0] == "verify" else ["--out", tmp_path / words[0]]))
        assert said.code == code
        assert f"skipped: '{results / 'runs' / 'toy'}' is a link, which is not followed" in said.err
    (tmp_path / "link").symlink_to(results)
    (results / "runs" / "toy").unlink()
    assert "is a link" not in bench("verify", "--results", tmp_path / "link").err
