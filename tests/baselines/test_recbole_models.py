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
from bench.runs.settings import parse

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
    ranks = from_scores(trained.scores, asked.items, trained.excluded, asked.owners)
    ranks = ranks.of(None if asked.counts is None else asked.owners, asked.items)
    assert found["best_validation"] == pytest.approx(float(ranks.per_user("ndcg@10").mean()), abs=1e-9)
    validated = [point["ndcg@10"] for point in found["curve"] if "ndcg@10" in point]
    assert found["best_validation"] == max(validated)
    assert len(validated) == found["epochs"] == (2 if name in SEQUENTIAL[1:] else 1)
    assert found["curve"][-1]["step"] == found["steps"] == trained.answers["reported"][-1]


def test_neighbours_find_what_there_is_to_learn(facts: Facts) -> None:
    assert facts[1]["itemknn"].answers["found"]["best_validation"] > 0.3


def test_popularity_is_ours(facts: Facts) -> None:
    trained = facts[1]["recbole-pop"]
    ours = Popularity()
    ours.fit(trained.split.train)
    expected = ours.score(trained.split.validation.histories)
    assert np.allclose(trained.scores, expected / expected.max(), atol=1e-6)


def test_neighbours_of_a_history_score_by_the_users_they_share(facts: Facts) -> None:
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
    found = facts[1]["bert4rec"].answers["found"]
    scores = [trial["best_validation"] for trial in found["search"]]
    assert len(scores) == 2
    assert found["best_validation"] == max(scores)
    assert found["chosen"] == found["search"][int(np.argmax(scores))]["settings"]
    assert set(found["chosen"]) == set(models.RANGES["BERT4Rec"])
    assert "search" not in facts[1]["gru4rec"].answers["found"]


def test_s3rec_is_pretrained_first(facts: Facts) -> None:
    found = facts[1]["s3rec"].answers["found"]
    assert [set(point) for point in found["pretraining_curve"]] == [{"step", "loss"}]


def test_weights_are_counted_where_there_are_any(facts: Facts) -> None:
    trained = facts[1]["gru4rec"]
    items, dimensions, hidden = 31, 64, 8
    expected = items * dimensions + 3 * hidden * (dimensions + hidden) + (hidden + 1) * dimensions
    assert trained.answers["found"]["parameters"] == expected
    assert facts[1]["recbole-pop"].answers["found"]["parameters"] is None


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_whatever_recbole_writes_stays_in_the_workshop(facts: Facts, name: str) -> None:
    folder: Path = facts[1][name].folder
    assert {path.name for path in (folder / "trial-0").iterdir()} >= {"best.pth", "trained.json", "log_tensorboard"}
    assert {path.name for path in folder.parent.iterdir() if not path.is_dir()} == {"answers.json", "checkpoint.pth"}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("preset", ["smoke", "cpu"])
def test_presets_are_settings(cls: type[Any], preset: str) -> None:
    settings = parse(cls.Settings, cls.presets.get(preset, {}), "setting")
    assert getattr(settings, "epochs", 1) <= 30


@pytest.mark.parametrize("cls", CLASSES)
def test_ranges_hold_values_that_a_setting_may_have(cls: type[Any]) -> None:
    held = {field.name for field in fields(cls.Settings)}
    ranges = models.RANGES.get(cls.model, {})
    assert set(ranges) <= held
    assert ("tune" in held) == bool(ranges)
    for name, choices in ranges.items():
        for choice in choices:
            text = ",".join(map(str, choice)) if isinstance(choice, tuple) else str(choice)
            assert getattr(parse(cls.Settings, {name: text}, "setting"), name) == choice


@pytest.mark.usefixtures("recbole")
@pytest.mark.parametrize("cls", CLASSES)
def test_defaults_are_recboles_own(cls: type[Any]) -> None:
    """But for what its benchmark on Amazon data trains with, and 100 epochs of pre-training of 500."""
    import importlib.util

    import yaml

    package = importlib.util.find_spec("recbole")
    assert package is not None
    assert package.submodule_search_locations is not None
    text = (Path(package.submodule_search_locations[0]) / "properties" / "model" / f"{cls.model}.yaml").read_text()
    theirs = yaml.safe_load(text) or {}
    ours = {field.name: field.default for field in fields(cls.Settings) if field.name in theirs}
    if cls.model == "S3Rec":
        assert ours.pop("pretrain_epochs") == 100
    for name, value in ours.items():
        # YAML 1.1 reads 1e-4 as text
        assert (list(value) if isinstance(value, tuple) else value) == (
            float(theirs[name]) if isinstance(value, float) else theirs[name]
        )
