"""`bench doctor` says what is here and what will not run; what is broken ends no other examination."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch

from bench import __version__
from bench.commands import examination
from bench.commands.examination import Fact, examine

Bench = Callable[..., SimpleNamespace]


def test_what_a_maintainer_asks_for_is_there(bench: Bench, tmp_path: Path) -> None:
    done = bench("doctor", "--results", tmp_path, "--data-dir", tmp_path)
    assert done.code == 0, done.out
    release = torch.__version__.partition("+")[0]  # an index may leave out for what it was built
    for said in (__version__, release, numpy.__version__, "GPU", "free", "identifier schemes", "ml-100k"):
        assert said in done.out
    assert "nothing is broken" in done.out
    found = json.loads(bench("doctor", "--results", tmp_path, "--data-dir", tmp_path, "--json").out)
    assert set(found) >= {"bench", "libraries", "devices", "disk", "environment", "data sets", "plugins", "results"}
    libraries = {fact["name"]: fact["value"] for fact in found["libraries"]}
    assert libraries["numpy"] == numpy.__version__


def test_it_names_no_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "alice.smith"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BENCH_DATA_DIR", str(home / "data"))
    assert "alice.smith" not in str(examine(home / "results", None))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    disk = {fact.name: fact for fact in examine(tmp_path / "file", tmp_path)["disk"]}
    assert disk["results"].broken
    assert not disk["temporary files"].broken
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing is left of the examination"


def test_one_examination_that_fails_ends_no_other(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[Fact]:
        raise RuntimeError("no driver")

    monkeypatch.setattr(examination, "_devices", fail)
    done = bench("doctor", "--results", tmp_path, "--data-dir", tmp_path)
    assert done.code == 1
    assert "RuntimeError: no driver" in done.out
    assert "broken: 1" in done.out
    assert "identifier schemes" in done.out


def test_a_library_that_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"rich": "1.0", "typer": None}
    monkeypatch.setattr(examination, "installed", lambda name: versions.get(name, "99"))
    facts = {fact.name: fact for fact in examination._libraries()}
    assert facts["rich"].broken
    assert "1.0, but >=" in facts["rich"].value
    assert facts["typer"].value == "is not installed (needed)"
