"""Results and logs travel; where things lie on the machine that made them, and who worked there, does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.privacy import shortened, shortened_values, without_folders

Bench = Callable[..., SimpleNamespace]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/srv/alice/data/toys", "toys"),
        ("~/models/t5", "t5"),
        ("./mine.py:Mine", "mine.py:Mine"),
        ("../other/v.npy", "v.npy"),
        ("--set=set.vectors=/srv/alice/v.npy", "--set=set.vectors=v.npy"),
        ("file:/srv/alice/x.index.json,numeric/random", "file:x.index.json,numeric/random"),
        ("/data/a+/data/b", "b"),
        ("google/mt5-small", "google/mt5-small"),
        ("textual/title", "textual/title"),
        ("epochs=5", "epochs=5"),
        ("0,1,2", "0,1,2"),
        ("", ""),
        ("/", "/"),
    ],
)
def test_of_a_path_its_last_part_is_kept(word: str, kept: str) -> None:
    assert shortened(word) == kept


def test_a_path_that_exists_is_one_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alice" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert shortened("alice/data") == "data"
    assert shortened("bob/data") == "bob/data"


def test_values_that_are_no_text_stay() -> None:
    assert shortened_values({"a": 1, "b": None, "c": "/x/y", "d": True}) == {"a": 1, "b": None, "c": "y", "d": True}


def test_a_log_names_neither_home_nor_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/alice")
    log = "in /srv/alice/work/run/job.json of /srv/alice/.cache"
    assert without_folders(log, Path("/srv/alice/work/run")) == "in ./job.json of ~/.cache"


def test_no_result_and_no_report_says_where_it_was_made(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "home" / "alice.smith" / "project-x"
    (secret / "toy").mkdir(parents=True)
    for file in toy_folder.iterdir():
        (secret / "toy" / file.name).write_bytes(file.read_bytes())
    results = secret / "r"
    done = bench("run", "--baseline", "pop", "--preset", "smoke", "--dataset", secret / "toy", "--results", results)
    assert done.code == 0, done.err
    assert bench("report", "--results", results, "--html", results / "r.html", "--csv", results / "r.csv").code == 0
    written = [path for path in results.rglob("*") if path.is_file()]
    assert any(path.name == "result.json" for path in written)
    assert [
        path.name for path in written if b"alice.smith" in path.read_bytes() or b"project-x" in path.read_bytes()
    ] == []
    (found,) = results.glob("runs/*/*/*/*/result.json")
    assert "--dataset toy" in json.dumps(json.loads(found.read_text()))
