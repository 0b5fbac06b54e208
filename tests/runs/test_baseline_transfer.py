"""Baselines on other data than they were fitted on: each part of a joined data set, and catalogues never seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from trivial_baselines import Graph, Markov, Popularity, Repeat

import bench as package
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.formats import write_atomic
from bench.data.joined import join
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline, Baseline
from bench.plugins import BASELINES
from bench.results.read import Result, load
from bench.runs import subjects
from bench.runs.saved_baseline import SavedBaseline
from bench.runs.subjects import load_baseline

Bench = Callable[..., SimpleNamespace]

COUNTING = "pop,markov,repeat,random,graph"


@pytest.fixture(scope="module")
def park(toy: Dataset) -> Dataset:
    """The same walks over other items."""
    ids = tuple(f"p{item:02d}" for item in range(30))
    return replace(toy, name="park", items=ItemTable(ids, {"title": toy.items.text["title"]}))


@pytest.fixture(scope="module")
def moor(toy: Dataset) -> Dataset:
    """Ten items of the toys among twenty of its own, and walks that go backwards."""
    ids = (*toy.items.ids[:10], *(f"m{item:02d}" for item in range(20)))
    backwards = Sequences.from_rows([toy.sequences[user][::-1] for user in range(len(toy.users))])
    return replace(toy, name="moor", items=ItemTable(ids, toy.items.text), sequences=backwards)


@pytest.fixture(scope="module")
def words(quick: list[str], folders: dict[str, str]) -> list[str]:
    joined = f"{folders['toy']}+{folders['park']}"
    return ["run", "--baseline", COUNTING, *quick, "--dataset", joined, "--zero-shot", folders["moor"]]


@pytest.fixture(scope="module")
def done(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("transfer")
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    return results


def result_of(results: Path, dataset: str, baseline: str) -> Result:
    (found,) = [each for each in load(results) if (each.dataset.name, each.scheme.name) == (dataset, baseline)]
    return found


def ranked(scores: np.ndarray, targets: np.ndarray) -> list[int]:
    """One by one: behind all that score as much."""
    return [sum(score >= row[target] for score in row.tolist()) for row, target in zip(scores, targets, strict=True)]


def fitted(cls: type[Baseline], dataset: Dataset) -> Baseline:
    baseline = cls()
    baseline.fit(leave_one_out(dataset).train)
    return baseline


# -- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Popularity, Markov, Repeat, Graph])
def test_a_part_is_ranked_among_its_own_items(done: Path, toy: Dataset, park: Dataset, cls: type[Baseline]) -> None:
    joined = join([toy, park])
    whole, test = fitted(cls, joined), leave_one_out(joined, max_history=20).test
    scores = whole.score(test.histories)
    for number, name in enumerate(("toy", "park")):
        result, users = result_of(done, name, cls.name), slice(40 * number, 40 * number + 40)
        assert (result.trained_on, result.zero_shot) == ("toy+park", False)
        own = scores[users, 30 * number : 30 * number + 30]
        table = pd.read_parquet(result.folder / "per_user.parquet")
        assert table["rank"].tolist() == ranked(own, test.items[users] - 30 * number)


# -- the unseen -------------------------------------------------------------------------------------------------------


def test_the_unseen_is_marked_and_said_to_have_trained_nobody(done: Path) -> None:
    for name in COUNTING.split(","):
        result, home = result_of(done, "moor", name), result_of(done, "toy+park", name)
        assert (result.trained_on, result.zero_shot) == ("toy+park", True)
        assert (result.split["train_users"], result.split["test_users"]) == (0, 40)
        assert json.loads((result.folder / "result.json").read_text())["training"]["model"] == home.path
        assert result.costs.training_seconds == home.costs.training_seconds


def test_popularity_knows_the_items_that_both_have(done: Path, toy: Dataset, park: Dataset, moor: Dataset) -> None:
    counted = np.bincount(leave_one_out(toy).train.sequences.values, minlength=30)
    expected = np.array([counted[item] if item < 10 else 0 for item in range(30)])
    test = leave_one_out(moor).test
    table = pd.read_parquet(result_of(done, "moor", "pop").folder / "per_user.parquet")
    assert table["rank"].tolist() == ranked(np.tile(expected, (40, 1)), test.items)


def test_a_chain_goes_on_only_between_items_that_both_have(done: Path, moor: Dataset) -> None:
    chain, home = Markov(), result_of(done, "toy+park", "markov").folder
    chain.restore(home)
    before = chain.after.toarray()
    chain.transfer(view(moor), home)
    after = chain.after.toarray()
    assert np.array_equal(after[:10, :10], before[:10, :10])
    assert after[:10, :10].any()
    assert not after[10:].any()
    assert not after[:, 10:].any()


def view(dataset: Dataset) -> TrainView:
    return TrainView(dataset.name, dataset.items, Sequences.from_rows([]), seed=0)


def test_text_alone_ranks_what_has_no_transitions(done: Path, moor: Dataset) -> None:
    graph = Graph()
    graph.transfer(view(moor), result_of(done, "toy+park", "graph").folder)
    scores = graph.score(Sequences.from_rows([[3, 12], [12], []]))
    assert scores.shape == (3, 30)
    assert scores[0].argmax() in (3, 12)  # nothing is more like an item than itself
    assert scores[1].argmax() == 12
    alike = [item for item in range(30) if item % 10 == 2 or item // 10 == 1]  # a word of its title
    unlike = [item for item in range(30) if item not in alike]
    assert scores[1, alike].mean() > 2 * scores[1, unlike].mean()
    without = Graph(subjects.settings(Graph, {"text": "off"}))
    assert not without.supports_transfer


def test_interactions_of_the_unseen_change_nothing_that_was_kept(
    bench: Bench, words: list[str], done: Path, moor: Dataset, tmp_path: Path
) -> None:
    results = Path(shutil.copytree(done, tmp_path / "results"))
    homes = [result_of(results, "toy+park", name).folder for name in COUNTING.split(",")]
    before = {path: path.read_bytes() for home in homes for path in home.iterdir()}
    mixed = np.random.default_rng(1).permutation(moor.sequences.values)
    titles = tuple(reversed(moor.items.text["title"]))
    changed = replace(
        moor,
        sequences=Sequences(mixed, moor.sequences.offsets),
        items=ItemTable(moor.items.ids, {"title": titles, "category": moor.items.text["category"]}),
    )
    write_atomic(changed, tmp_path / "moor")
    said = bench(*words, "--force", "--zero-shot", tmp_path / "moor", "--results", results)
    assert said.code == 0, said.err
    states = {path: data for path, data in before.items() if path.suffix == ".safetensors"}
    assert len(states) == 5
    assert {path: path.read_bytes() for path in states} == states


def test_every_baseline_transfers_or_says_why_not() -> None:
    for name in subjects.names(BASELINES):
        cls = load_baseline(name)
        baseline = cls()
        assert cls.saves_state == (cls.restore is not AnyBaseline.restore), name
        assert cls.saves_state == (cls.save_state is not AnyBaseline.save_state), name
        if baseline.supports_transfer:
            assert cls.transfer is not AnyBaseline.transfer, name
            continue
        assert baseline.no_transfer_reason
        with pytest.raises(BenchError, match="cannot score the items of 'moor': it "):
            AnyBaseline.transfer(baseline, SimpleNamespace(dataset="moor"), Path())  # type: ignore[arg-type]


# -- recommending -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTING.split(","))
def test_a_baseline_recommends_as_it_was_tested(done: Path, toy: Dataset, park: Dataset, name: str) -> None:
    joined = join([toy, park])
    saved = package.load(name, results=done, dataset="toy+park")
    test = leave_one_out(joined, max_history=20).test
    table = pd.read_parquet(result_of(done, "toy+park", name).folder / "per_user.parquet")
    histories = [[joined.items.ids[item] for item in test.histories[row]] for row in range(5)]
    for row, found in enumerate(saved.recommend_many(histories, k=60)):
        assert len(found) == 60
        target = joined.items.ids[test.items[row]]
        score = next(one.score for one in found if one.item == target)
        assert sum(one.score >= score for one in found) == table["rank"][row]


def test_what_is_in_the_history_is_left_out_where_that_is_asked_for(done: Path) -> None:
    saved = package.load("pop", results=done, dataset="toy+park")
    whole, without = (saved.recommend(["i01", "p02"], k=60, exclude_history=exclude) for exclude in (False, True))
    assert [one.item for one in whole if one.item not in ("i01", "p02")] == [one.item for one in without]
    assert len(without) == 58
    assert whole[0].title
    assert whole[0].identifier == ""


def test_the_command_recommends_and_refuses(bench: Bench, done: Path) -> None:
    words = ["recommend", "--results", done, "--dataset", "toy+park", "--history", "i03,i04"]
    said = bench(*words, "markov", "-k", "2")
    assert said.code == 0, said.err
    assert "markov on toy+park, seed 0" in said.out
    assert "identifier" not in said.out
    refused = bench(*words, "markov", "--index", "Flat").err
    assert refused.startswith("bench: index 'Flat' was asked for, but markov has no vectors to search; drop it")
    test = ["recommend", "--results", done, "--dataset", "moor", "--history", "i03", "markov"]
    assert "is a test of the model in 'runs/toy+park/markov@1/" in bench(*test).err


def test_a_run_that_was_made_otherwise_is_refused(done: Path, tmp_path: Path) -> None:
    found = result_of(done, "toy+park", "pop")
    with pytest.raises(BenchError, match="was made by version 0 of pop, and this is 1; run it again"):
        SavedBaseline(replace(found, scheme=replace(found.scheme, version=0)))
    folder = Path(shutil.copytree(found.folder, tmp_path / "run"))
    (folder / "state.safetensors").write_bytes(b"")
    with pytest.raises(BenchError, match=r"state.safetensors' is corrupt: its SHA-256 differs"):
        package.load(folder)
