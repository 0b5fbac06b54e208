"""Finished runs of RecBole's neural models: they recommend, are tested on parts, and say why they go nowhere else."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
from recbole_baselines import SASRec, base
from recbole_baselines.state import chosen

import bench as package
from bench.data.dataset import Dataset, ItemTable
from bench.data.formats import write_atomic
from bench.data.joined import join
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.results.kept import STATE
from bench.results.read import Result, load
from bench.tensors import read, write

Bench = Callable[..., SimpleNamespace]
SASREC = ["--baseline=sasrec", "--set=sasrec.hidden_size=8", "--set=sasrec.inner_size=8"]


@pytest.fixture(scope="module")
def park(toy: Dataset) -> Dataset:
    return replace(toy, name="park", items=ItemTable(tuple(f"p{item:02d}" for item in range(30)), toy.items.text))


@pytest.fixture(scope="module")
def words(quick: list[str], park: Dataset, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("several") / "park"
    write_atomic(park, folder)
    return ["run", *SASREC, *quick, "--dataset", f"{toy_folder}+{folder}"]


@pytest.fixture(scope="module")
def done(recbole: None, bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The results by data set: of both together, and of each of them."""
    results = tmp_path_factory.mktemp("sasrec")
    said = bench(*words, "--tune=2", "--results", results)
    assert said.code == 0, said.err
    return {result.dataset.name: result for result in load(results)}


def ranks(result: Result) -> list[int]:
    found: list[int] = pd.read_parquet(result.folder / "per_user.parquet")["rank"].tolist()
    return found


def test_it_recommends_with_the_ranks_of_its_test(done: dict[str, Result], toy: Dataset) -> None:
    """A run whose settings were searched; the search has chosen them, and the file of the run does not name them."""
    saved = package.load("sasrec", results=done["toy+park"].folder.parents[4], dataset="toy+park")
    test = leave_one_out(toy, max_history=20).test
    histories = [[toy.items.ids[item] for item in test.histories[row]] for row in range(len(test))]
    for row, found in enumerate(saved.recommend_many(histories, k=60)):
        scores = {one.item: one.score for one in found}
        target = scores[toy.items.ids[test.items[row]]]
        assert sum(score >= target for score in scores.values()) == ranks(done["toy+park"])[row]
    assert len(saved.recommend([], k=5)) == 5


def test_a_part_is_ranked_among_its_own_items(done: dict[str, Result]) -> None:
    assert done.keys() == {"toy+park", "toy", "park"}
    both = ranks(done["toy"]) + ranks(done["park"])
    assert all(one <= joined for one, joined in zip(both, ranks(done["toy+park"]), strict=True))
    assert both != ranks(done["toy+park"])


def test_validation_of_a_part_is_that_of_its_users(done: dict[str, Result], toy: Dataset, park: Dataset) -> None:
    """Of the weights that were kept, among the items of both data sets."""
    folder = done["toy+park"].folder
    stored = json.loads((folder / "result.json").read_text())
    parts, ids = stored["training"]["best_validation_parts"], [*toy.items.ids, *park.items.ids]
    whole = leave_one_out(join([toy, park]), max_history=20).validation
    asked, _ = whole.parted(int(stored["contract"]["validation_users"]), 0)
    histories = [[ids[item] for item in asked.histories[row]] for row in range(len(asked))]
    gains: dict[str, list[float]] = {"toy": [], "park": []}
    for row, found in enumerate(package.load(folder).recommend_many(histories, k=60)):
        scores = {one.item: one.score for one in found}
        rank = sum(score >= scores[ids[asked.items[row]]] for score in scores.values())
        gains["toy" if asked.users[row] < 40 else "park"].append(1 / math.log2(1 + rank) if rank <= 10 else 0.0)
    assert parts == pytest.approx({name: sum(part) / len(part) for name, part in gains.items()})


def test_on_the_command_line(done: dict[str, Result], bench: Bench) -> None:
    said = bench("recommend", done["toy+park"].folder, "--history", "i03,i04", "-k", "3", "--json")
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["recommended"][0]["items"]) == 3


def test_nothing_is_left_of_its_process(done: dict[str, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tempfile.mkdtemp()
    monkeypatch.setattr(tempfile, "tempdir", kept)
    before = set(psutil.Process().children())
    restored = SASRec(SASRec.Settings(hidden_size=8, inner_size=8))
    restored.restore(done["toy+park"].folder)
    (child,) = set(psutil.Process().children()) - before
    (folder,) = Path(kept).iterdir()
    assert (folder / "job.json").exists()
    del restored  # nobody has closed it
    assert not child.is_running()
    assert not any(Path(kept).iterdir())
    shutil.rmtree(kept)


def test_another_catalogue_is_refused_with_the_reason(
    done: dict[str, Result], words: list[str], bench: Bench, toy_folder: Path, tmp_path: Path
) -> None:
    said = bench(*words, "--zero-shot", "ml-100k", "--results", tmp_path)
    assert said.code == 1
    assert "baseline sasrec/ce has a trained vector for every item of one catalogue" in said.err


def test_a_run_of_before_says_that_nothing_was_kept(
    done: dict[str, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match="holds no state of its baseline; copy it again, or run it again"):
        SASRec().restore(tmp_path)
    monkeypatch.setattr(base, "NEEDED", ("recbole_of_nowhere",))
    with pytest.raises(BenchError, match="sasrec/ce runs in RecBole, and recbole_of_nowhere is not installed"):
        SASRec().restore(done["toy+park"].folder)


@pytest.mark.parametrize(
    "facts", [{}, {"width": "20", "settings": {}}, {"width": 20, "settings": {"data_path": "/"}}, {"width": 20}]
)
def test_a_stranger_sets_nothing_but_what_a_search_does(facts: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is corrupt: it has other facts; run it again"):
        chosen(tmp_path, facts, SASRec.ranges)


def test_weights_of_another_size_are_one_line(done: dict[str, Result], tmp_path: Path) -> None:
    arrays, facts = read(done["toy+park"].folder / STATE, "np", "the state", "")
    write(tmp_path / STATE, {**arrays, "weights.item_embedding.weight": arrays["users"]}, facts, "the state")
    with pytest.raises(BenchError, match=r"sasrec/ce failed in RecBole: RuntimeError: Error.* in loading state_dict"):
        SASRec(SASRec.Settings(hidden_size=8, inner_size=8)).restore(tmp_path)
