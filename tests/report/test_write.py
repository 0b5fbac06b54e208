"""`bench report`: what is chosen, which files come of it, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from bench.errors import BenchError
from bench.report.results import load
from bench.report.write import Only, chosen

Store = Callable[..., Path]
Bench = Callable[..., SimpleNamespace]


@pytest.fixture
def runs(store: Store, tmp_path: Path) -> Path:
    store("one", quality=0.5)
    store("two", quality=0.4, preset="smoke", contract={"beam": 50})
    store("pop", kind="baseline")
    store("longer", kind="baseline", contract={"max_history": 50})
    store("one", dataset="beauty")
    return tmp_path


def names(root: Path, only: Only) -> list[tuple[str, str]]:
    return sorted((found.dataset.name, found.scheme.name) for found in chosen(load(root), only))


def test_a_preset_keeps_its_schemes_and_the_baselines_that_agree(runs: Path) -> None:
    assert names(runs, Only(preset="smoke")) == [("toys", "pop"), ("toys", "two")]
    assert names(runs, Only(["toys"], preset="cpu")) == [("toys", "one"), ("toys", "pop")]


def test_a_contract_is_named_by_the_beginning_of_its_id(runs: Path) -> None:
    held = {found.scheme.name: found.contract_id for found in load(runs)}
    assert names(runs, Only(contract=held["two"][:5])) == [("toys", "pop"), ("toys", "two")]
    assert names(runs, Only(contract=held["longer"])) == [("toys", "longer")]


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (Only(["toyz"]), "unknown data set with results 'toyz'; did you mean 'toys'?"),
        (Only(preset="standard"), "unknown preset with results 'standard'; known: cpu, none, smoke"),
        (Only(contract="zzz"), "unknown contract with results 'zzz'; known: "),
    ],
)
def test_what_is_not_there_is_one_line(runs: Path, only: Only, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        chosen(load(runs), only)
    assert str(caught.value).startswith(said)


def test_all_files_are_written_and_named(bench: Bench, runs: Path) -> None:
    files = {"out": "r.md", "latex": "r.tex", "csv": "c.parquet", "values": "v.csv", "figure": "q.svg"}
    options = [word for option, name in files.items() for word in (f"--{option}", runs / name)]
    said = bench("report", "--results", runs, "--preset", "cpu", *options)
    assert said.code == 0, said.err
    for name in files.values():
        assert str(runs / name) in said.err.replace("\n", "")
        assert (runs / name).stat().st_size > 500
    assert set(pd.read_parquet(runs / "c.parquet")["scheme"]) == {"one", "pop"}
    assert pd.read_csv(runs / "v.csv")["source"].notna().all()


def test_an_impossible_file_is_refused_before_anything_is_read(bench: Bench, tmp_path: Path) -> None:
    said = bench("report", "--results", tmp_path / "nothing", "--csv", "cells.xlsx")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "its name must end in .csv or .parquet" in said.err


@pytest.mark.parametrize("option", ["--figure", "--cost-figure", "--rank-figure"])
def test_an_impossible_picture_is_refused_before_anything_is_read(bench: Bench, tmp_path: Path, option: str) -> None:
    said = bench("report", "--results", tmp_path / "nothing", option, "picture.pdf")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "its name must end in .png or .svg" in said.err


@pytest.mark.parametrize("harm", ["newer", "cut", "no table"])
def test_a_cell_that_cannot_be_read_stops_the_report_with_one_line(bench: Bench, runs: Path, harm: str) -> None:
    cell = next(iter(load(runs))).folder
    if harm == "newer":
        text = (cell / "result.json").read_text()
        (cell / "result.json").write_text(text.replace('"schema": 1', '"schema": 99'))
    elif harm == "cut":
        (cell / "result.json").write_bytes((cell / "result.json").read_bytes()[:300])
    else:
        (cell / "per_user.parquet").unlink()
    for words in (["report"], ["compare", "one", "two", "--dataset", "toys"]):
        said = bench(*words, "--results", runs)
        if words[0] == "report" or harm != "no table":
            assert (said.code, said.err.count("\n")) == (1, 1), said.err
            assert str(cell) in said.err
