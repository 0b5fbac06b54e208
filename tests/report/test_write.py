"""`bench report`: what is chosen, which files come of it, and what stops it."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from bench import api, files
from bench.errors import BenchError
from bench.report.write import ReportFilter, chosen
from bench.results.read import load

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


def names(root: Path, only: ReportFilter) -> list[tuple[str, str]]:
    return sorted((found.dataset.name, found.scheme.name) for found in chosen(load(root), only))


def test_a_preset_keeps_its_schemes_and_the_baselines_that_agree(runs: Path) -> None:
    assert names(runs, ReportFilter(preset="smoke")) == [("toys", "pop"), ("toys", "two")]
    assert names(runs, ReportFilter(["toys"], preset="cpu")) == [("toys", "one"), ("toys", "pop")]


def test_a_contract_is_named_by_the_beginning_of_its_id(runs: Path) -> None:
    seen = {found.scheme.name: found.contract_id for found in load(runs)}
    assert names(runs, ReportFilter(contract=seen["two"][:5])) == [("toys", "pop"), ("toys", "two")]
    assert names(runs, ReportFilter(contract=seen["longer"])) == [("toys", "longer")]


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (ReportFilter(["toyz"]), "unknown data set with results 'toyz'; did you mean 'toys'?"),
        (ReportFilter(preset="standard"), "unknown preset with results 'standard'; known: cpu, none, smoke"),
        (ReportFilter(contract="zzz"), "unknown contract with results 'zzz'; known: "),
    ],
)
def test_what_is_not_there_is_one_line(runs: Path, only: ReportFilter, said: str) -> None:
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


def test_what_was_asked_for_is_written_where_the_default_report_cannot_be(
    bench: Bench, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(step: str, path: Path) -> None:
        if step == "write" and path.parent == runs:  # as a folder that may not be written
            raise PermissionError(errno.EACCES, "Permission denied", str(files.beside(path)))

    monkeypatch.setattr(files, "hook", hook)
    mine = tmp_path / "mine"
    page, request = mine / "p.html", mine / "again.toml"
    words = ["report", "--results", runs, "--preset", "cpu"]
    said = bench(*words, "--html", page, "--request", request)
    assert (said.code, page.exists(), request.exists()) == (0, True, True), said.err
    refused = f"cannot write the report to '{runs / 'report.md'}': [Errno 13] Permission denied"
    notes = [line for line in said.err.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: {refused}; --out FILE writes it somewhere else"]
    assert f"written: {page}\n" in said.err
    page.unlink()
    named = bench(*words, "--html", page, "--out", runs / "report.md")
    assert (named.code, page.exists()) == (1, True)
    assert named.err == f"bench: {refused}\n"
    for output in ({"html": mine / "api.html"}, {"request": mine / "api.toml"}):
        api.write_report(runs, preset="cpu", **output)
        assert all(path.exists() for path in output.values())
    for asked in ({}, {"html": page, "out": runs / "report.md"}):  # the Markdown is what is asked for
        with pytest.raises(BenchError, match="cannot write the report to"):
            api.write_report(runs, preset="cpu", **asked)


def test_an_impossible_file_is_refused_before_anything_is_read(bench: Bench, tmp_path: Path) -> None:
    said = bench("report", "--results", tmp_path / "nothing", "--csv", "cells.xlsx")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "its name must end in .csv or .parquet" in said.err


@pytest.mark.parametrize("option", ["--figure", "--cost-figure", "--rank-figure"])
def test_an_impossible_picture_is_refused_before_anything_is_read(bench: Bench, tmp_path: Path, option: str) -> None:
    said = bench("report", "--results", tmp_path / "nothing", option, "picture.pdf")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "its name must end in .png or .svg" in said.err


def corrupt(folder: Path, harm: str) -> str:
    """Break a run; the file that is then to be named."""
    result, table = folder / "result.json", folder / "per_user.parquet"
    if harm == "newer":
        result.write_text(result.read_text().replace('"schema": 4', '"schema": 99'))
    elif harm == "cut":
        result.write_bytes(result.read_bytes()[:300])
    elif harm == "no table":
        table.unlink()
    elif harm == "cut table":
        table.write_bytes(table.read_bytes()[:300])
    elif harm == "no column":
        pd.read_parquet(table).drop(columns="code_rank").to_parquet(table)
    else:
        pd.read_parquet(table).iloc[1:].to_parquet(table)
    return str(result if harm in ("newer", "cut") else table)


HARMS = ["newer", "cut", "no table", "cut table", "no column", "a row less"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_run_stops_no_other(bench: Bench, runs: Path, harm: str) -> None:
    run_folder = next(
        found for found in load(runs) if (found.scheme.name, found.dataset.name) == ("longer", "toys")
    ).folder
    named = corrupt(run_folder, harm)
    for words in (["report"], ["compare", "one", "two", "--dataset", "toys"]):
        said = bench(*words, "--results", runs)
        assert said.code == 0, said.err
        first, *more = said.err.splitlines()
        assert first.startswith(f"skipped: '{named}' ")
        assert not any("skipped" in line for line in more), "it is said once, of however many runs"
    assert "longer" not in (runs / "report.md").read_text()


@pytest.mark.parametrize("harm", HARMS)
def test_where_nothing_else_is_left_a_broken_run_stops_the_report(
    bench: Bench, store: Store, tmp_path: Path, harm: str
) -> None:
    named = corrupt(store("one"), harm)
    said = bench("report", "--results", tmp_path)
    assert (said.code, said.err.count("\n")) == (1, 1), said.err
    assert named in said.err


@pytest.fixture
def real(bench: Bench, toy_folder: Path, tmp_path: Path) -> Path:
    """Two runs in the folders that a run gives them, and a broken third."""
    results = tmp_path / "results"
    words = ["--preset", "smoke", "--dataset", toy_folder, "--results", results]
    assert bench("run", "--baseline", "pop,random,repeat", *words).code == 0
    (run_folder,) = results.glob("runs/toy/repeat@1/*/0")
    corrupt(run_folder, "cut")
    return results


def test_a_report_notes_which_runs_of_the_data_set_are_broken(bench: Bench, real: Path) -> None:
    (real / "runs" / "result.json").write_text("{")  # of no data set
    assert bench("report", "--results", real).code == 0
    report = (real / "report.md").read_text()
    plain = report.replace("\\", "").replace("*", "")
    assert len(re.findall(r"missing: runs/toy/repeat@1/\w+-\w+/0 cannot be read$", plain, re.MULTILINE)) == 1


def test_a_broken_run_that_is_asked_for_is_an_error(bench: Bench, real: Path) -> None:
    assert bench("compare", "pop", "random", "--results", real).code == 0
    (run_folder,) = real.glob("runs/toy/repeat@1/*/0")
    for name in ("repeat", "repeat@1", run_folder):
        said = bench("compare", name, "pop", "--results", real)
        assert said.code == 1
        assert said.err.splitlines()[-1].startswith(f"bench: '{run_folder / 'result.json'}' is corrupt (")
    said = bench("compare", "pop", "reapeat", "--results", real)
    assert said.err.splitlines()[-1] == "bench: unknown run 'reapeat'; known: pop, random"
