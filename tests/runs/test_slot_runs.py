"""Codes in slots through whole runs: like any other scheme, and ranked whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bench as package
from bench.data.dataset import Dataset, Sequences
from bench.data.formats import write_atomic
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import SlotIds
from bench.model.recommender import Decoding
from bench.results.saved import restore

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
SMALL = [f"--set=set/rpg.{line}" for line in ("slots=3", "codes=8", "dimensions=6", "quantizer=pq")]


@pytest.fixture(scope="module")
def results(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("slots")
    said = bench("run", "--id-scheme=set/rpg,numeric", *quick, *SMALL, "--results", results)
    assert said.code == 0, said.err
    return results


@pytest.fixture(scope="module")
def run(results: Path) -> Path:
    return next(results.glob("runs/*/set.rpg@*/*/0/result.json")).parent


def test_the_result_says_how_it_is_written(run: Path) -> None:
    found = json.loads((run / "result.json").read_text())["identifiers"]
    assert (found["tokens_mean"], found["decode_steps"], found["slots"], found["collision_rate"]) == (1.0, 1, 3, 0.0)
    table = pd.read_parquet(run / "ids.parquet")
    assert table["identifier"].nunique() == 30
    assert table["identifier"].tolist() == ["-".join(map(str, codes)) for codes in table["codes"]]


def test_the_report_has_it_beside_tokens(bench: Bench, results: Path, tmp_path: Path) -> None:
    said = bench("report", "--results", results, "--out", tmp_path / "r.md", "--html", tmp_path / "r.html")
    assert said.code == 0, said.err
    text = (tmp_path / "r.md").read_text()
    assert "set/rpg" in text
    assert "numeric/sequential" in text


def test_a_finished_run_ranks_again_as_it_was_tested(run: Path, toy: Dataset) -> None:
    model, test = restore(run), leave_one_out(toy).test
    found = model.rank(test.histories, len(toy.items), Decoding())
    ranks = (found.items == test.items[:, None]).argmax(1) + 1
    stored = pd.read_parquet(run / "per_user.parquet")
    inside = stored["rank"].notna().to_numpy()
    assert np.array_equal(stored["rank"][inside], ranks[inside])
    assert (ranks[~inside] > 20).all()


def test_it_recommends_what_it_ranks(bench: Bench, results: Path, run: Path, toy: Dataset) -> None:
    loaded = package.load("set/rpg", results=results)
    found = loaded.recommend(["i03", "i04"], 5)
    model = restore(run)
    assert isinstance(model.ids, SlotIds)
    read = Sequences.from_rows([[3, 4]])
    expected = model.rank(read, 5, Decoding()).items[0]
    assert [one.item for one in found] == [toy.items.ids[item] for item in expected]
    said = bench("recommend", "set/rpg", "--history", "i03,i04", "--count", "5", "--results", results, "--json")
    assert said.code == 0, said.err
    shown = json.loads(said.out)["recommended"][0]["items"]
    assert [row["item"] for row in shown] == [one.item for one in found]
    with pytest.raises(BenchError, match="set/rpg"):
        package.load("set/rpg", results=results, index="Flat")


def test_its_identifiers_are_exported_from_the_run_and_without_one(
    bench: Bench, run: Path, toy_folder: Path, toy: Dataset, tmp_path: Path
) -> None:
    words = ["--dataset", toy_folder, *SMALL, "--results", tmp_path]
    for scheme, name in ((run, "run.json"), ("set/rpg", "scheme.json")):
        more = [] if scheme == run else words
        said = bench("ids", "export", scheme, "--out", tmp_path / name, *more)
        assert said.code == 0, said.err
    found = json.loads((tmp_path / "run.json").read_text())
    assert found == json.loads((tmp_path / "scheme.json").read_text())
    assert list(found) == list(toy.items.ids)
    assert all(len(codes) == 3 for codes in found.values())


def test_exported_codes_run_again_as_tokens(
    bench: Bench, run: Path, quick: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    """The same codes in sequence: what the comparison of parallel and sequential writing is made of."""
    out = tmp_path / "slots.index.json"
    assert bench("ids", "export", run, "--out", out).code == 0
    said = bench("run", "--id-scheme", f"file:{out}", *quick, "--set=max_steps=1", "--results", tmp_path)
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path)
    assert json.loads((folder / "result.json").read_text())["identifiers"]["tokens_mean"] == 3.0


def test_another_catalogue_is_refused_with_the_reason(
    bench: Bench, quick: list[str], dated: Dataset, tmp_path: Path
) -> None:
    write_atomic(replace(dated, name="moor"), tmp_path / "moor")
    said = bench("run", "--id-scheme=set/rpg", *quick, *SMALL, "--zero-shot", tmp_path / "moor", "--results", tmp_path)
    assert said.code == 1
    assert "set/rpg cannot name the items of another catalogue: its codes are learned" in said.err


def test_several_targets_of_a_user_are_ranked_in_time_order(
    bench: Bench, quick: list[str], dated: Dataset, run_folders: RunFolders, tmp_path: Path
) -> None:
    write_atomic(dated, tmp_path / "dated")
    quick = ["--dataset", str(tmp_path / "dated"), *quick[2:]]
    words = ["--set=split=global-temporal", "--set=max_steps=2", *SMALL]
    said = bench("run", "--id-scheme=set/rpg", *quick, *words, "--results", tmp_path)
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path)
    assert json.loads((folder / "result.json").read_text())["identifiers"]["decode_steps"] == 1
