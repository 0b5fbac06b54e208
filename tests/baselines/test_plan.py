"""Baselines that train have the budget of identifier schemes: as many steps, the same examples, looks and patience."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import recbole_baselines
from recbole_baselines import models
from recbole_baselines.plan import Plan, plan

from bench.contract import PRESETS, Contract
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import BUDGET
from bench.runs import subjects
from bench.runs.matrix import Plan as Matrix
from bench.runs.matrix import _resolved, resolve
from bench.training.budget import schedule
from bench.training.examples import one_of_each, sliding_windows

Bench = Callable[..., SimpleNamespace]
Cells = Callable[[Path], list[Path]]
Facts = tuple[dict[str, bool], dict[str, Any]]

CLASSES = [getattr(recbole_baselines, name) for name in recbole_baselines.__all__]
TRAINED = [cls for cls in CLASSES if "epochs" in cls.binds]
USERS = np.repeat(np.arange(7), np.arange(1, 8))  # 28 rows


def made(**lines: Any) -> Plan:
    return plan(Contract(**{"batch_size": 5, **lines}), USERS, 0, 0.0)


def test_the_lines_of_the_budget_hold_for_all_that_train_and_for_none_that_only_counts() -> None:
    assert len(TRAINED) == 8
    for cls in CLASSES:
        assert (set(BUDGET) <= set(cls.binds)) == (cls in TRAINED)
        own = {field for field in vars(cls.Settings()) if field in ("epochs", "train_batch_size", "examples")}
        assert not own  # what would say again what the contract says


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_preset_changes_the_budget_of_a_baseline(preset: str) -> None:
    for cls in CLASSES:
        assert not cls.presets.get(preset)


def test_as_many_steps_of_as_many_examples_as_identifier_schemes() -> None:
    assert (made(epochs=3).total, made(epochs=3).per_epoch) == (18, 6)
    assert made(epochs=3, examples="one").total == 3 * 2
    assert made(epochs=0, target_examples=3 * 28).total == 18
    assert made(epochs=3, max_steps=4).total == 4
    sizes = [len(rows) for rows in made(epochs=3).batches(USERS, 0, 1)]
    assert (len(sizes), sum(sizes), max(sizes) - min(sizes) <= 1) == (6, 28, True)


def test_pretraining_is_a_part_of_the_budget() -> None:
    parts = plan(Contract(batch_size=5, epochs=4), USERS, 0, 0.25)
    assert (parts.total, parts.first, parts.epochs(parts.first)) == (24, 6, 1)
    assert plan(Contract(batch_size=5, epochs=1, max_steps=1), USERS, 0, 0.25).first == 0


def test_under_one_example_of_each_user_every_epoch_draws_the_prefixes_of_identifier_schemes(toy: Dataset) -> None:
    windows = sliding_windows(leave_one_out(toy).train.sequences, 4)
    owners = windows.rows(windows.targets)
    drawn = plan(Contract(batch_size=16, examples="one"), owners, 0, 0.0)
    epochs = [np.sort(np.concatenate(drawn.batches(owners, 5, epoch))) for epoch in range(3)]
    for number, rows in enumerate(epochs):
        assert windows.targets[rows].tolist() == sorted(one_of_each(windows, 5, number).targets.tolist())
    assert len({tuple(rows) for rows in epochs}) == 3


def test_looks_come_as_often_and_one_at_the_end() -> None:
    """As ``bench.training.loop`` has them: after every second epoch of five, and after the last."""
    every = made(epochs=5, validate_every=2)
    assert [epoch + 1 for epoch in range(5) if every.looks(epoch, 5)] == [2, 4, 5]


def test_the_rate_warms_up_and_decays_by_the_contract() -> None:
    rates = made(schedule="linear", warmup=0.2)
    assert [rates.rate(step, 10) for step in range(10)] == [schedule("linear", 0.2, step, 10) for step in range(10)]


def test_a_budget_that_is_not_converted_has_no_steps_yet() -> None:
    assert made(epochs=0, budget="30m").total == 0
    assert plan(Contract(batch_size=5, epochs=0, budget="30m"), USERS, 40, 0.0).total == 40


@pytest.mark.parametrize("name", ["gru4rec", "caser", "hgn", "bert4rec", "fdsa", "sasrec/bpr"])
def test_what_was_trained_is_what_was_planned(facts: Facts, name: str, toy: Dataset) -> None:
    """Epochs of our windows in batches of 32, a look after each, and every step counted."""
    found = facts[1][name].answers["found"]
    windows = sum(max(0, len(toy.sequences[user]) - 3) for user in range(len(toy.users)))
    assert found["steps"] == found["epochs"] * -(-windows // 32)
    if "search" not in found:
        assert (found["target_examples"], found["looks"]) == (found["epochs"] * windows, found["epochs"])
        assert found["training_flops"] > 0


def test_an_equal_score_is_no_better_one(facts: Facts) -> None:
    """The first of the best is kept, and its weights are those that score (``test_recbole_models``)."""
    for name, trained in facts[1].items():
        found = trained.answers["found"]
        scores = [(point["step"], point["ndcg@10"]) for point in found["curve"] if "ndcg@10" in point]
        assert found["best_step"] == max(scores, key=lambda point: (point[1], -point[0]))[0], name


# -- from the command line -------------------------------------------------------------------------------------------


def settings_of(*overrides: str, baselines: str = "sasrec,gru4rec,hgn", **said: Any) -> dict[str, Any]:
    found, *_ = resolve(Matrix([], baselines.split(","), ["toys"], overrides=overrides, **said))
    return {subject.name: subject.settings for subject in found}


def test_lines_that_become_settings_reach_every_baseline_that_has_them() -> None:
    found = settings_of("learning_rate=0.0001", "weight_decay=0.3", "dropout=0.25", "gru4rec.learning_rate=0.002")
    assert (found["sasrec/ce"].learning_rate, found["gru4rec"].learning_rate) == (0.0001, 0.002)
    assert {each.weight_decay for each in found.values()} == {0.3}
    assert (found["sasrec/ce"].hidden_dropout_prob, found["sasrec/ce"].attn_dropout_prob) == (0.25, 0.25)
    assert found["gru4rec"].dropout_prob == 0.25
    assert settings_of()["sasrec/ce"] == models.Transformer()


def test_settings_found_on_one_data_set_are_used_on_that_alone() -> None:
    resolved = _resolved(Matrix([], ["gru4rec", "sasrec"], ["toys", "ml-100k"], preset="cpu"), print)
    recurrent, attention = resolved.subjects
    assert [resolved.on(recurrent, name)[0].settings.learning_rate for name in ("toys", "ml-100k")] == [0.001, 0.005]
    assert [resolved.on(recurrent, name)[1] for name in ("toys", "ml-100k")] == ["", "4 trials on ml-100k"]
    assert resolved.on(attention, "ml-100k")[1] == ""
    said = _resolved(Matrix([], ["gru4rec"], ["ml-100k"], preset="cpu", overrides=["gru4rec.learning_rate=0.1"]), print)
    assert said.on(said.subjects[0], "ml-100k")[0].settings.learning_rate == 0.1
    tuned = _resolved(Matrix([], ["gru4rec"], ["ml-100k"], preset="cpu", tune=3), print)
    assert tuned.on(tuned.subjects[0], "ml-100k") == (tuned.subjects[0], "")


@pytest.mark.usefixtures("recbole")
def test_set_reaches_a_baseline_or_says_that_it_does_not(
    bench: Bench, quick: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    lines = ("epochs=1", "batch_size=128", "learning_rate=0.0001", "examples=all", "decoder=exact")
    words = ["--set=sasrec.hidden_size=8", *quick, *(f"--set={line}" for line in lines)]
    said = bench("run", "--baseline", "sasrec", *words, "--results", tmp_path)
    assert said.code == 0, said.err
    (line,) = (line for line in said.err.splitlines() if line.startswith("without effect on sasrec/ce: "))
    assert line.startswith("without effect on sasrec/ce: backbone=")  # which `quick` sets
    assert line.endswith(", decoder=exact")
    (cell,) = run_folders(tmp_path)
    found = json.loads((cell / "result.json").read_text())
    assert (found["contract"]["epochs"], found["contract"]["batch_size"]) == (1, 128)
    assert found["scheme"]["settings"]["learning_rate"] == 0.0001
    assert found["training"]["epochs"] == 1
    assert (found["costs"]["steps"], found["costs"]["looks"]) == (-(-found["costs"]["target_examples"] // 128), 1)


@pytest.mark.usefixtures("recbole")
def test_a_budget_of_operations_is_converted_once_and_kept(
    bench: Bench, quick: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    quick = [word for word in quick if "epochs" not in word]
    words = ["run", "--baseline", "sasrec", "--set=sasrec.hidden_size=8", *quick, "--budget", "3e7"]
    assert bench(*words, "--results", tmp_path).code == 0
    (cell,) = run_folders(tmp_path)
    found = json.loads((cell / "result.json").read_text())
    steps = found["training"]["budget"]["steps"]
    assert found["training"]["budget"]["asked"] == "3e7"
    assert found["costs"]["steps"] == steps
    assert found["costs"]["training_flops"] <= 3e7 < found["costs"]["training_flops"] * (steps + 1) / steps
    assert bench(*words, "--force", "--results", tmp_path).code == 0
    assert json.loads((cell / "result.json").read_text())["training"]["budget"]["steps"] == steps
    pinned = ["run", "--baseline", "sasrec", "--set=sasrec.hidden_size=8", *quick, "--budget", "3e7@2"]
    assert bench(*pinned, "--results", tmp_path / "pinned").code == 0
    (cell,) = run_folders(tmp_path / "pinned")
    assert json.loads((cell / "result.json").read_text())["costs"]["steps"] == 2


@pytest.mark.usefixtures("recbole")
def test_a_search_of_a_baseline_is_stored_and_used_by_name_elsewhere(
    bench: Bench, quick: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    words = ["run", "--baseline", "sasrec", "--set=sasrec.hidden_size=8", "--set=examples=all", *quick]
    said = bench(*words, "--tune", "2", "--results", tmp_path / "searched")
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path / "searched")
    found = json.loads((folder / "result.json").read_text())
    search, steps = found["training"]["search"], found["training"]["steps"]
    records = [record for trial in search["trials"] for record in trial["rungs"]]
    assert [record["steps"] for record in records] == [round(steps / 2)] * 2  # the third training is the row
    assert found["costs"]["steps"] == steps + sum(record["steps"] for record in records)
    assert bench(*words, "--tuned", folder, "--results", tmp_path / "used").code == 0
    (again,) = run_folders(tmp_path / "used")
    used = json.loads((again / "result.json").read_text())
    assert used["scheme"]["found"] == "2 trials on toy"
    chosen = search["trials"][search["chosen"]]["settings"]
    assert {name: used["scheme"]["settings"][name] for name in chosen} == chosen
    assert used["metrics"] == found["metrics"]  # the same training as the search ended with


def test_a_setting_that_the_contract_has_is_none_of_a_baseline() -> None:
    with pytest.raises(BenchError, match="unknown setting of sasrec/ce 'epochs'"):
        subjects.settings(recbole_baselines.SASRec, {"epochs": "3"})
