"""UniSRec as a baseline: it learns, takes the contract's budget, goes on where it was stopped, and goes elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from unisrec_baseline import Settings, UniSRec, UniSRecTransductive
from unisrec_baseline import training as loop
from unisrec_baseline.budget import step_flops

import bench as package
from bench.contract import Contract
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.formats import write_atomic
from bench.data.splits import Split, leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import Facts, TrainingContext
from bench.results.read import Result, load
from bench.training.ranking import score_targets

Bench = Callable[..., SimpleNamespace]
SMALL: dict[str, Any] = {"width": 16, "experts": 2, "layers": 1, "inner": 16, "dropout": 0.0, "adaptor_dropout": 0.0}
TINY = Contract(epochs=2, batch_size=32, patience=99, max_history=8)
LINES = [f"--set=unisrec.{name}={value}" for name, value in {**SMALL, "learning_rate": 0.01}.items()]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    pass


def fitted(
    split: Split, folder: Path, contract: Contract = TINY, cls: type[UniSRec] = UniSRec, **settings: Any
) -> UniSRec:
    folder.mkdir(exist_ok=True)
    baseline = cls(Settings(**{**SMALL, "learning_rate": 0.01, **settings}))
    baseline.fit(split.train, split.validation, TrainingContext(folder, folder / "training.log", contract))
    return baseline


@pytest.fixture(scope="module")
def split(toy: Dataset) -> Split:
    return leave_one_out(toy, max_history=8)


def weights(baseline: UniSRec) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in baseline.network.state_dict().items()}


def same(one: UniSRec, other: UniSRec) -> bool:
    pair = weights(one), weights(other)
    return all(np.array_equal(pair[0][name], pair[1][name]) for name in pair[0]) and pair[0].keys() == pair[1].keys()


# -- learning ---------------------------------------------------------------------------------------------------------


BOTH = {"tune_encoder": True, "pretrain_fraction": 0.5}


@pytest.mark.parametrize(
    ("cls", "settings"),
    [(UniSRec, {}), (UniSRecTransductive, {}), (UniSRec, {"pretrain_fraction": 1.0}), (UniSRec, BOTH)],
)
def test_it_learns_the_walk_round_the_circle(
    split: Split, tmp_path: Path, cls: type[UniSRec], settings: dict[str, Any]
) -> None:
    baseline = fitted(split, tmp_path, replace(TINY, epochs=60, validate_every=10), cls, **settings)
    ranks = score_targets(baseline, split.test, 30, exclude_history=False)
    assert ranks.per_user("ndcg@10").mean() > 0.5  # chance is 0.15
    facts = baseline.facts()
    curve = [point["loss"] for point in facts.training["curve"] if "loss" in point]
    assert curve[-1] < 0.7 * curve[0]
    assert facts.training["best_validation"] > 0.5


def test_scores_do_not_depend_on_who_is_beside(split: Split, tmp_path: Path) -> None:
    baseline = fitted(split, tmp_path)
    whole = baseline.score(split.test.users, split.test.histories)
    assert whole.dtype == np.float32
    for row in range(5):
        alone = baseline.score(np.array([-1]), split.test.histories.rows(np.array([row])))
        assert np.allclose(alone[0], whole[row], atol=1e-5)
    assert np.abs(whole).max() <= 1 + 1e-5  # cosines


def test_fine_tuning_after_pre_training_leaves_the_encoder_as_it_is(split: Split, tmp_path: Path) -> None:
    before = fitted(split, tmp_path / "one", replace(TINY, epochs=1), pretrain_fraction=1.0)
    one, both = weights(before), {}
    for tune in (False, True):
        part = replace(TINY, epochs=2, schedule="constant", warmup=0.0)
        found = fitted(split, tmp_path / f"both-{tune}", part, pretrain_fraction=0.5, tune_encoder=tune)
        both[tune] = weights(found)
        stages = found.facts().training["stages"]
        assert [stage["name"] for stage in stages] == ["pre-train", "fine-tune"]
        assert stages[0]["steps"] == stages[1]["steps"]
    moved = {name for name in one if not np.array_equal(both[False][name], both[True][name])}
    assert any(name.startswith("encoder.") for name in moved)


def test_two_seeds_differ_and_one_repeats(split: Split, tmp_path: Path) -> None:
    again = [fitted(split, tmp_path / name) for name in ("one", "two")]
    assert same(*again)
    other = replace(split, train=replace(split.train, seed=1))
    assert not same(again[0], fitted(other, tmp_path / "three"))


# -- budget -----------------------------------------------------------------------------------------------------------


def facts_of(split: Split, folder: Path, contract: Contract, **settings: Any) -> Facts:
    return fitted(split, folder, contract, **settings).facts()


def test_the_budget_is_that_of_the_contract(split: Split, tmp_path: Path) -> None:
    examples = int((split.train.sequences.lengths - 1).sum())
    per_epoch = -(-examples // 32)
    facts = facts_of(split, tmp_path / "epochs", replace(TINY, epochs=3, validate_every=2))
    assert (facts.steps, facts.target_examples, facts.looks) == (3 * per_epoch, 3 * examples, 2)
    facts = facts_of(split, tmp_path / "one", replace(TINY, epochs=3, examples="one"))
    assert (facts.steps, facts.target_examples) == (3 * 2, 3 * 40)
    facts = facts_of(split, tmp_path / "steps", replace(TINY, max_steps=3))
    assert (facts.steps, facts.looks) == (3, 1)
    facts = facts_of(split, tmp_path / "both", replace(TINY, epochs=3, patience=9), pretrain_fraction=0.5)
    assert facts.steps == 3 * per_epoch
    impatient = replace(TINY, epochs=50, patience=1)
    assert facts_of(split, tmp_path / "patience", impatient, learning_rate=1e-9).looks == 2


def test_a_budget_of_flops_or_time_is_converted_once(split: Split, tmp_path: Path) -> None:
    facts = facts_of(split, tmp_path / "epochs", TINY)
    each = (facts.training_flops or 0) / (facts.steps or 1)
    asked = replace(TINY, epochs=0, budget=f"{3.5 * each:.0f}")
    converted = facts_of(split, tmp_path / "flops", asked)
    assert converted.steps == 3
    assert converted.training["budget"] == {"asked": asked.budget, "steps": 3}
    timed = replace(TINY, epochs=0, budget="60s", max_steps=2)
    assert facts_of(split, tmp_path / "time", timed).steps == 2
    kept = json.loads((tmp_path / "time" / "budget.json").read_text())
    assert kept["unit" if "unit" in kept else "asked"]
    assert kept["steps"] > 2
    probed, plain = (fitted(split, tmp_path / name, replace(c, max_steps=2)) for name, c in (("p", timed), ("q", TINY)))
    assert probed.facts().steps == plain.facts().steps


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_flops_are_those_of_the_matrix_products(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fraction: float
) -> None:
    """Counted by PyTorch for a batch in which all histories are equally long and no two items are the same."""
    rows = [[item * 5 + at for at in range(5)] for item in range(6)]
    train = replace(split.train, sequences=Sequences.from_rows(rows), items=split.train.items)
    found: list[int] = []
    step = loop._Run.step

    def counted(self: Any, examples: Any, rows: Any) -> Any:
        last = np.flatnonzero(examples.targets % 5 == 4)
        with FlopCounterMode(display=False) as counter:
            loss = step(self, examples, last)
        found.append(counter.get_total_flops())
        expected = step_flops(
            replace(
                self.job, windows=type(examples)(examples.sequences, examples.starts[last], examples.targets[last])
            ),
            self.stage.loss.__self__,
            0 if fraction else 30,
        )
        found.append(expected)
        return loss

    monkeypatch.setattr(loop._Run, "step", counted)
    folder = tmp_path / "one"
    settings = {"pretrain_fraction": fraction, "item_drop": 0.0, "word_drop_share": 0.0}
    fitted(Split(train, split.validation, split.test), folder, replace(TINY, max_steps=1), **settings)
    actual, expected = found
    assert expected == pytest.approx(actual, rel=0.1)  # without biases


def test_a_run_that_was_stopped_has_the_same_bits(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = replace(TINY, epochs=3)
    whole = fitted(split, tmp_path / "whole", contract, pretrain_fraction=0.4)
    step, monkey = loop._Run.step, {"left": 7}

    def stopped(self: Any, *rest: Any) -> Any:
        monkey["left"] -= 1
        if monkey["left"] == 0:
            self.save()
            raise KeyboardInterrupt
        return step(self, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fitted(split, tmp_path / "parts", contract, pretrain_fraction=0.4)
    resumed = fitted(split, tmp_path / "parts", contract, pretrain_fraction=0.4)
    assert same(whole, resumed)
    assert whole.facts().training["curve"] == resumed.facts().training["curve"]


# -- elsewhere --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(toy: Dataset) -> Dataset:
    return replace(toy, name="copy", items=ItemTable(tuple(f"c{item:02d}" for item in range(30)), toy.items.text))


@pytest.fixture(scope="module")
def park(toy: Dataset) -> Dataset:
    colors = [title.split()[0] for title in toy.items.text["title"]]
    titles = tuple(f"{color} {('oak', 'gate', 'pond')[item % 3]}" for item, color in enumerate(colors))
    return replace(toy, name="park", items=ItemTable(tuple(f"p{item:02d}" for item in range(30)), {"title": titles}))


@pytest.fixture(scope="module")
def words(
    quick: list[str], toy_folder: Path, park: Dataset, copy: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    home = tmp_path_factory.mktemp("several")
    for dataset in (park, copy):
        write_atomic(dataset, home / dataset.name)
    joined = f"{toy_folder}+{home / 'park'}"
    return ["run", "--baseline=unisrec", *quick, *LINES, "--dataset", joined, "--zero-shot", str(home / "copy")]


@pytest.fixture(scope="module")
def done(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("unisrec")
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    return results


def result_of(results: Path, dataset: str) -> Result:
    return next(each for each in load(results) if each.dataset.name == dataset)


def test_several_data_sets_are_pre_trained_on(done: Path) -> None:
    training = json.loads((result_of(done, "toy+park").folder / "result.json").read_text())["training"]
    assert [stage["name"] for stage in training["stages"]] == ["pre-train"]
    parts = training["best_validation_parts"]
    assert list(parts) == ["toy", "park"]
    assert min(parts.values()) <= training["best_validation"] <= max(parts.values())
    looks = [point for point in training["curve"] if "ndcg@10" in point]
    assert parts in [{name: point[f"ndcg@10/{name}"] for name in parts} for point in looks]


def test_an_unseen_copy_is_ranked_as_the_part_itself(done: Path) -> None:
    one, other = (pd.read_parquet(result_of(done, name).folder / "per_user.parquet") for name in ("toy", "copy"))
    assert one["rank"].tolist() == other["rank"].tolist()
    result = result_of(done, "copy")
    assert (result.trained_on, result.zero_shot, result.split["train_users"]) == ("toy+park", True, 0)


def test_what_is_kept_scores_as_it_was_tested(done: Path, toy: Dataset, park: Dataset) -> None:
    saved = package.load("unisrec", results=done, dataset="toy+park")
    table = pd.read_parquet(result_of(done, "toy+park").folder / "per_user.parquet")
    test = leave_one_out(toy, max_history=20).test
    for row in range(5):
        history = [toy.items.ids[item] for item in test.histories[row]]
        found = [one.item for one in saved.recommend(history, k=60)]
        (rank,) = table["rank"][table["user"] == f"toy:{toy.users[test.users[row]]}"]
        assert abs(found.index(toy.items.ids[test.items[row]]) + 1 - rank) <= 1  # scores may tie to a bit


def test_nothing_of_the_unseen_reaches_training(
    bench: Bench, words: list[str], done: Path, copy: Dataset, tmp_path: Path
) -> None:
    """Other interactions and other texts of the target: the trained model keeps its bits."""
    home = result_of(done, "toy+park").folder
    mixed = np.random.default_rng(1).permutation(copy.sequences.values)
    texts = {"title": tuple(f"{title} anew" for title in reversed(copy.items.text["title"]))}
    changed = replace(copy, sequences=Sequences(mixed, copy.sequences.offsets), items=ItemTable(copy.items.ids, texts))
    write_atomic(changed, tmp_path / "copy")
    said = bench(*words, "--zero-shot", tmp_path / "copy", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    again = result_of(tmp_path / "results", "toy+park").folder
    assert (home / "state.safetensors").read_bytes() == (again / "state.safetensors").read_bytes()
    assert (home / "per_user.parquet").read_bytes() == (again / "per_user.parquet").read_bytes()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--baseline=unisrec/transductive"], "but baseline unisrec/transductive has a trained vector for every item "),
        (
            ["--set=unisrec.encoder=tfidf-svd"],
            "unisrec compares the texts of several catalogues, and tfidf-svd is made ",
        ),
        (["--set=unisrec.fields=plot"], "unknown text field 'plot'"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    bench: Bench, words: list[str], tmp_path: Path, more: list[str], said: str
) -> None:
    told = bench(*words, *more, "--results", tmp_path)
    assert told.code == 1
    assert said in told.err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_space_that_is_whitened_goes_along(split: Split, copy: Dataset, tmp_path: Path) -> None:
    baseline = fitted(split, tmp_path / "run", dimensions=6, whiten=True)
    baseline.save_state(tmp_path)
    asked = split.test.users, split.test.histories
    tested = baseline.score(*asked)
    again = UniSRec(baseline.settings)
    again.restore(tmp_path)
    assert np.array_equal(again.score(*asked), tested)
    again.transfer(TrainView("copy", copy.items, Sequences.from_rows([]), 0), tmp_path)
    assert np.allclose(again.score(*asked), tested, atol=1e-5)


def test_a_file_of_vectors_may_stand_for_the_text(split: Split, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    frame = pd.DataFrame({"item": split.train.items.ids, "vector": list(vectors)})
    frame.to_parquet(tmp_path / "vectors.parquet")
    baseline = fitted(split, tmp_path / "run", encoder=str(tmp_path / "vectors.parquet"), pretrain_fraction=1.0)
    assert baseline.network.adaptor.bias.shape == (2, 12)
    assert np.isfinite(baseline.score(split.test.users, split.test.histories)).all()


def test_users_who_train_on_nothing_are_said(split: Split, tmp_path: Path) -> None:
    alone = replace(split.train, sequences=Sequences.from_rows([[1]] * 40))
    with pytest.raises(BenchError, match="no training example"):
        fitted(replace(split, train=alone), tmp_path)


def test_a_loss_that_is_no_number_says_what_to_lower(split: Split, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"the training loss became nan at step .* lower it, e.g. --set unisrec."):
        fitted(split, tmp_path, replace(TINY, epochs=20, clip_norm=0.0, warmup=0.0), learning_rate=1e30)


def test_torch_is_left_as_it_was() -> None:
    assert torch.is_grad_enabled()
