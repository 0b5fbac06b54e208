"""Every model of RecBole on our split: its figures are RecBole's own, its scores are in our order."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recbole_baselines
from recbole_baselines import models
from trivial_baselines import Popularity

from bench.evaluation.metrics import from_scores, per_user
from bench.settings import parse

Facts = tuple[dict[str, bool], dict[str, Any]]

SEQUENTIAL = ["sasrec/ce", "sasrec/bpr", "gru4rec", "caser", "hgn", "bert4rec", "fdsa", "s3rec"]
CLASSES = [getattr(recbole_baselines, name) for name in recbole_baselines.__all__]


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_our_metrics_are_those_of_recboles_own_evaluator(facts: Facts, name: str) -> None:
    trained = facts[1][name]
    ranks = from_scores(trained.scores, trained.split.validation.items).strict
    theirs = trained.answers["evaluator"]
    assert set(theirs) == {f"{metric}@{k}" for metric in ("hit", "ndcg") for k in (1, 5, 10, 20)}
    for metric, value in theirs.items():
        assert float(per_user(ranks, metric).mean()) == pytest.approx(value, abs=1e-6)
    assert theirs["hit@20"] > 0


@pytest.mark.parametrize("name", [*SEQUENTIAL, "itemknn", "recbole-pop"])
def test_the_best_validation_is_what_the_chosen_weights_score(facts: Facts, name: str) -> None:
    trained = facts[1][name]
    found = trained.answers["found"]
    asked = trained.split.validation
    ranks = from_scores(trained.scores, asked.items, trained.excluded, asked.user_rows)
    ranks = ranks.of(None if asked.counts is None else asked.user_rows, asked.items)
    assert found["best_validation"] == pytest.approx(float(ranks.per_user("ndcg@10").mean()), abs=1e-9)
    validated = [point["ndcg@10"] for point in found["curve"] if "ndcg@10" in point]
    assert found["best_validation"] == max(validated)
    assert len(validated) == found["epochs"] == (8 if name == "gru4rec" else 2 if name in SEQUENTIAL[1:] else 1)
    before = found.get("pretraining_curve", [{"step": 0}])[-1]["step"]
    assert before + found["curve"][-1]["step"] == found["steps"]
    behind = 3 * 2 + 2 * 5 if name == "bert4rec" else 0  # three trials with a quarter of ten steps, two with a half
    assert trained.answers["reported"][-1] == behind + found["steps"]


@pytest.mark.parametrize("name", [*SEQUENTIAL, "itemknn", "recbole-pop"])
def test_no_user_meets_the_test_item_in_what_recbole_read(facts: Facts, name: str) -> None:
    """In training a user has the items before the last two, in validation the last but one as well, as a target."""
    trained = facts[1][name]
    split, folder = trained.split, trained.folder / "data" / "split"
    train, met = split.train.sequences, 0
    validation, test = (
        {(int(part.users[row]), int(item)) for row, item in zip(part.user_rows, part.items, strict=True)}
        for part in (split.validation, split.test)
    )
    for part in ("train", "valid"):
        for line in (folder / f"split.{part}.inter").read_text().splitlines()[1:]:
            user, history, item = line.split("\t")
            read, seen = {*map(int, history.split()), int(item)}, {*train[int(user)].tolist()}
            assert all(one in seen or (part == "valid" and (int(user), one) in validation) for one in read)
            met += any(one not in read for owner, one in test if owner == int(user))
    assert met > 50  # these lines would show a test item, since nothing else may bring it there
    kinds = [".inter", ".inter", ".item", ".user"]
    if trained.excluded is not None:
        kinds.insert(3, ".npz")
        seen = np.load(folder / "seen.npz")
        rows = np.split(seen["values"], seen["offsets"][1:-1])
        assert seen["users"].tolist() == split.validation.users.tolist()
        assert [row.tolist() for row in rows] == [train[user].tolist() for user in split.validation.users]
    assert sorted(path.suffix for path in folder.iterdir()) == kinds


@pytest.mark.parametrize("name", ["sasrec/bpr", "recbole-pop"])
def test_validation_without_what_is_shown_alone_would_be_another(facts: Facts, name: str) -> None:
    trained = facts[1][name]
    asked, items = trained.split.validation, np.arange(len(trained.split.train.items))
    shown = np.array([np.isin(items, asked.histories[row]) for row in range(len(asked))])
    ranks = from_scores(trained.scores, asked.items, shown, asked.user_rows)
    ranks = ranks.of(None if asked.counts is None else asked.user_rows, asked.items)
    assert float(ranks.per_user("ndcg@10").mean()) != pytest.approx(trained.answers["found"]["best_validation"])


def test_neighbors_find_what_there_is_to_learn(facts: Facts) -> None:
    assert facts[1]["itemknn"].answers["found"]["best_validation"] > 0.3


def test_popularity_is_ours(facts: Facts) -> None:
    trained = facts[1]["recbole-pop"]
    ours = Popularity()
    ours.fit(trained.split.train)
    expected = ours.score(trained.split.validation.histories)
    assert np.allclose(trained.scores, expected / expected.max(), atol=1e-6)


def test_neighbors_of_a_history_score_by_the_users_they_share(facts: Facts) -> None:
    trained = facts[1]["itemknn"]
    train, histories = trained.split.train, trained.split.validation.histories
    taken = np.zeros((len(train.sequences), len(train.items)))
    for user in range(len(taken)):
        np.add.at(taken[user], train.sequences[user], 1)
    norms = np.sqrt((taken**2).sum(axis=0))
    similar = taken.T @ taken / (norms[:, None] * norms + 1e-6)
    np.fill_diagonal(similar, 0)
    expected = np.array([similar[histories[user]].sum(axis=0) for user in range(len(histories))])
    assert np.allclose(trained.scores, expected, atol=1e-4)


def test_a_search_is_recorded_and_its_best_is_used(facts: Facts) -> None:
    """Eight dimensions don't go into seven heads, but the search outlives that."""
    found = facts[1]["bert4rec"].answers["found"]
    search = found["search"]
    trials = search["trials"]
    chosen, records = trials[search["chosen"]], [record for trial in trials for record in trial["rungs"]]
    assert search["seed"] == 1
    assert [len(trial["rungs"]) for trial in trials] == [1, 2, 2]  # a quarter for all three, a half for two of them
    assert trials[0]["rungs"][0]["failed"].startswith("ValueError: The hidden size (8) is not a multiple of the number")
    halves = {number: trials[number]["rungs"][1] for number in (1, 2)}
    assert halves[search["chosen"]]["best_validation"] == max(record["best_validation"] for record in halves.values())
    assert [record["steps"] for record in chosen["rungs"]] == [round(found["steps"] / 4), round(found["steps"] / 2)]
    assert found["all_steps"] == found["steps"] + sum(record["steps"] for record in records)
    for name in ("seconds", "loading_seconds", "validation_seconds", "processor_seconds", "target_examples", "looks"):
        assert found[name] > sum(record[name] for record in records) > 0
    assert 0 < found["validation_seconds"] < found["seconds"]
    assert "search" not in facts[1]["gru4rec"].answers["found"]


def test_what_is_fixed_is_no_part_of_the_search(facts: Facts) -> None:
    trials = facts[1]["bert4rec"].answers["found"]["search"]["trials"]
    searched = set(models.RANGES["BERT4Rec"]) - {"n_layers"}
    assert [set(trial["settings"]) for trial in trials] == [searched] * 3
    assert trials[0]["settings"]["n_heads"] == 7


def test_a_search_that_was_stopped_goes_on_where_it_was(facts: Facts) -> None:
    """It was stopped at the end of its last training: what is done before is not done again."""
    answers = facts[1]["bert4rec"].answers
    stopped, reported = answers["stopped"], answers["reported"]
    last = stopped[-1]
    assert stopped[0] < last / 2
    assert last / 2 < reported[0] <= reported[-1] == last


def test_s3rec_is_pretrained_first(facts: Facts) -> None:
    """Also where that was stopped in its second epoch: what was done of the first is not done again."""
    found, reported = facts[1]["s3rec"].answers["found"], facts[1]["s3rec"].answers["reported"]
    points = found["pretraining_curve"]
    assert [set(point) for point in points] == [{"step", "loss"}] * 3
    assert [point["step"] for point in points] == [number * points[0]["step"] for number in (1, 2, 3)]
    assert reported[0] > points[0]["step"]


def test_what_is_read_back_after_the_last_epoch_is_the_best_and_not_the_latest(facts: Facts) -> None:
    found, again = facts[1]["gru4rec"].answers["found"], facts[1]["gru4rec"].answers["again"]
    assert found["best_step"] < found["steps"]
    assert again["claimed"] == again["weights"] == found["best_validation"]


def test_weights_are_counted_where_there_are_any(facts: Facts) -> None:
    trained = facts[1]["gru4rec"]
    items, dimensions, hidden = 31, 64, 8
    expected = items * dimensions + 3 * hidden * (dimensions + hidden) + (hidden + 1) * dimensions
    assert trained.answers["found"]["parameters"] == expected
    assert facts[1]["recbole-pop"].answers["found"]["parameters"] is None


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_whatever_recbole_writes_stays_in_the_workshop(facts: Facts, name: str) -> None:
    folder: Path = facts[1][name].folder
    last = sorted(folder.glob("trial-*"))[-1]
    assert {path.name for path in last.iterdir()} >= {"best.pth", "trained.json", "log_tensorboard"}
    assert {path.name for path in folder.parent.iterdir() if not path.is_dir()} == {"answers.json", "checkpoint.pth"}


@pytest.mark.parametrize("cls", CLASSES)
def test_what_searches_found_are_settings(cls: type[Any]) -> None:
    for found in cls.searched.values():
        parse(cls.Settings, found.settings, "setting")


@pytest.mark.parametrize("cls", CLASSES)
def test_ranges_hold_values_that_a_setting_may_have(cls: type[Any]) -> None:
    seen = {field.name for field in fields(cls.Settings)}
    ranges = models.RANGES.get(cls.model, {})
    assert set(ranges) <= seen
    assert ("tune" in seen) == bool(ranges)
    for name, choices in ranges.items():
        for choice in choices:
            text = ",".join(map(str, choice)) if isinstance(choice, tuple) else str(choice)
            assert getattr(parse(cls.Settings, {name: text}, "setting"), name) == choice


@pytest.mark.usefixtures("recbole")
@pytest.mark.parametrize("cls", CLASSES)
def test_defaults_are_recboles_own(cls: type[Any]) -> None:
    """But for how long and in which batches: that is the contract's."""
    import importlib.util

    import yaml

    package = importlib.util.find_spec("recbole")
    assert package is not None
    assert package.submodule_search_locations is not None
    text = (Path(package.submodule_search_locations[0]) / "properties" / "model" / f"{cls.model}.yaml").read_text()
    theirs = yaml.safe_load(text) or {}
    ours = {field.name: field.default for field in fields(cls.Settings) if field.name in theirs}
    for name, value in ours.items():
        # YAML 1.1 reads 1e-4 as text
        assert (list(value) if isinstance(value, tuple) else value) == (
            float(theirs[name]) if isinstance(value, float) else theirs[name]
        )


@pytest.mark.parametrize("name", [*SEQUENTIAL, "recbole-pop"])
def test_a_model_that_is_made_anew_scores_as_it_did(facts: Facts, name: str) -> None:
    """In files where users, items and attributes have other numbers; nobody has what all users have in common."""
    trained = facts[1][name]
    found = np.load(trained.folder / "restored.npz")
    assert np.array_equal(found["known"], trained.scores)
    assert np.isfinite(found["nobody"]).all()
    assert np.isfinite(found["empty"]).all()
    knows_users = name in ("caser", "hgn")
    assert np.array_equal(found["nobody"], found["known"]) != knows_users
    if knows_users:
        assert np.abs(found["nobody"] - found["known"]).mean() < found["known"].std()
