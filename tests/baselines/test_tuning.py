"""A search repeats, never tries the same twice, grows at its end, and outlives a trial that fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import recbole_baselines
import torch
from recbole_baselines import base
from recbole_baselines.models import PRESETS, RANGES, TUNED
from recbole_baselines.tuning import attempt, best, draws, summary, within, writing

from bench.contract import PRESETS as CONTRACTS
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.evaluation.baseline import TrainingContext
from bench.runs import subjects
from bench.settings import value

RECORDS = Path(__file__).parent / "searches.json"  # of each search its trials, and which was chosen
ITEMS = ItemTable(("a", "b"), {"category": ("x", "y")})
PRESENT = {name: choices[0] for name, choices in RANGES["SASRec"].items()}
TRAINED = [
    getattr(recbole_baselines, name)
    for name in recbole_baselines.__all__
    if hasattr(getattr(recbole_baselines, name).Settings, "epochs")
]


def test_a_longer_search_begins_with_a_shorter_one_and_that_with_the_settings_as_they_are() -> None:
    assert draws(RANGES["SASRec"], PRESENT, 9, seed=3)[:4] == draws(RANGES["SASRec"], PRESENT, 4, seed=3)
    assert draws(RANGES["SASRec"], PRESENT, 9, seed=3) != draws(RANGES["SASRec"], PRESENT, 9, seed=4)
    assert draws(RANGES["SASRec"], PRESENT, 1, seed=4) == [PRESENT]
    outside = {**PRESENT, "learning_rate": 0.123}
    assert draws(RANGES["SASRec"], outside, 500, seed=4)[0] == outside


def test_no_trial_comes_twice_and_all_are_within_the_ranges() -> None:
    present = {"learning_rate": 0.001, "pooling_type": "average", "reg_weight": (0.0, 0.0)}
    found = draws(RANGES["HGN"], present, 100, seed=0)
    assert len(found) == len({str(trial) for trial in found}) == 2 * 2 * 2
    assert all(trial[name] in choices for trial in found for name, choices in RANGES["HGN"].items())


def test_nothing_to_search_is_no_trial() -> None:
    assert draws(RANGES["SASRec"], PRESENT, 0, seed=0) == []
    assert draws({}, {}, 5, seed=0) == []


def test_a_failing_trial_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    def diverge() -> dict[str, Any]:
        raise ValueError("Training loss\nis nan")

    def never() -> dict[str, Any]:
        raise AssertionError("tried again")

    record = attempt({"k": 1}, tmp_path, diverge)
    assert record["seconds"] >= 0
    assert (record["settings"], record["failed"]) == ({"k": 1}, "ValueError: Training loss is nan")
    assert attempt({"k": 1}, tmp_path, never) == record


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, KeyboardInterrupt])
def test_what_stops_the_search_is_no_failure_of_its_trial(tmp_path: Path, error: type[BaseException]) -> None:
    def stopped() -> dict[str, Any]:
        raise error

    with pytest.raises(error):
        attempt({}, tmp_path, stopped)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_failure_of_a_trial(tmp_path: Path) -> None:
    def fill() -> dict[str, Any]:
        with writing():
            torch.save({"weights": torch.zeros(1 << 20)}, "/dev/full")
        return {}

    with pytest.raises(OSError, match=r"^a checkpoint can't be written \(.*\); free some space$"):
        attempt({}, tmp_path, fill)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ("SASRec", {"epochs": 0}),
        ("GRU4Rec", {"eval_step": 0}),
        ("ItemKNN", {"tune": -1}),
        ("S3Rec", {"pretrain_epochs": 0}),
    ],
)
def test_settings_that_cannot_be(model: str, wrong: dict[str, int]) -> None:
    (name, value), settings = next(iter(wrong.items())), getattr(recbole_baselines, model).Settings
    with pytest.raises(BenchError, match=f"^setting '{name}' must be [01] or more; got {value}$"):
        settings(**wrong)


def test_bert4rec_must_have_something_to_mask(recbole: None) -> None:
    cls = recbole_baselines.BERT4Rec
    with pytest.raises(BenchError, match=r"mask_ratio=0\.2 of 4 positions masks none: nothing to learn for bert4rec; "):
        cls(cls.Settings()).width(TrainingContext(Path(), Path(), "ndcg@10", 3, False))


def test_another_recbole_is_refused(monkeypatch: pytest.MonkeyPatch, recbole: None) -> None:
    monkeypatch.setattr(base, "VERSION", "9.9")
    with pytest.raises(
        BenchError, match=r"^gru4rec runs in RecBole 9\.9, which is patched here for that version; got 1\.2\.1; pip "
    ):
        recbole_baselines.GRU4Rec().validate_items(ITEMS)


def test_the_first_of_the_best_is_chosen_and_a_failure_never() -> None:
    scores: list[Mapping[str, Any]] = [{"failed": "x"}, *({"best_validation": score} for score in (0.0, 0.3, 0.2, 0.3))]
    assert best([dict(trial) for trial in scores]) == 2
    assert best([{"failed": "x"}, {"best_validation": 0.0}]) == 1
    with pytest.raises(RuntimeError, match=r"^all 2 trials of the search failed, the first with ValueError: nan$"):
        best([{"failed": "ValueError: nan"}, {"failed": "y"}])


def test_the_choice_is_told_in_a_line() -> None:
    search = {"chosen": 0, "trials": [{"settings": {"k": 10, "shrink": 0.5}, "best_validation": 0.25}]}
    assert summary(search, "ndcg@10") == "trial 1 of 1 chosen, with k=10, shrink=0.5: ndcg@10 0.2500 on validation"
    search["trials"] += [{"settings": {"k": 20}, "failed": "x"}, {"settings": {"k": 30}, "best_validation": 0.5}]
    assert summary({**search, "chosen": 2}, "hit@1") == (
        "trial 3 of 3 chosen, with k=30: hit@1 0.5000 on validation; 0.2500 with the settings as they are; "
        "1 of the trials failed"
    )


def test_progress_goes_through_all_trials_and_names_the_one_under_way() -> None:
    told: list[tuple[int, int, dict[str, float]]] = []

    def progress(step: int, total: int, figures: dict[str, float]) -> None:
        told.append((step, total, figures))

    within(progress, 2, 5)(3, 10, {"loss": 0.5})
    within(progress, 2, 5)(4, 10, {})
    assert told == [(23, 50, {"trial": 3, "loss": 0.5}), (24, 50, {})]


@pytest.fixture
def checked(recbole: None) -> Callable[..., None]:
    def check(**settings: Any) -> None:
        cls = recbole_baselines.HGN
        cls(cls.Settings(**settings)).validate_items(ITEMS)

    return check


def test_a_search_needs_something_to_search(checked: Callable[..., None]) -> None:
    names = tuple(RANGES["HGN"])
    checked(tune=3, fixed=names[:2])
    checked(fixed=names)
    with pytest.raises(BenchError, match="--tune has nothing to search for hgn: --set fixes all of its ranges"):
        checked(tune=3, fixed=names)
    with pytest.raises(
        BenchError, match=r"^unknown searched setting of hgn in 'fixed' 'pool'; known: learning_rate, pooling_"
    ):
        checked(tune=3, fixed=("pool",))


@pytest.mark.parametrize("preset", sorted(name for name, chosen in TUNED.items() if chosen))
def test_presets_hold_what_recorded_searches_chose(preset: str) -> None:
    """With as many trials for every baseline, and for those that train as many epochs in each."""
    records = json.loads(RECORDS.read_text())[preset]
    searched = {cls.name for cls in (*TRAINED, recbole_baselines.ItemKNN)}
    assert {record["scheme"]["name"] for record in records} == searched
    chosen, epochs = {}, int(PRESETS[preset]["epochs"])
    for record in records:
        search, settings = record["training"]["search"], record["scheme"]["settings"]
        assert (record["preset"], record["dataset"]["name"]) == (preset, "ml-100k")
        assert search["chosen"] == best(search["trials"])
        found = search["trials"][search["chosen"]]["settings"]
        own = subjects.load_baseline(record["scheme"]["name"]).Settings()
        chosen[record["scheme"]["name"]] = {
            key: said for key, said in found.items() if said != plain(getattr(own, key))
        }
        assert settings.get("epochs", epochs) == epochs
    assert {name: changed for name, changed in chosen.items() if changed} == {
        name: {key: value(text, hint, name) for (key, text), hint in zip(own.items(), hints_of(name, own), strict=True)}
        for name, own in TUNED[preset].items()
    }
    assert len({len(record["training"]["search"]["trials"]) for record in records}) == 1


def plain(value: Any) -> Any:
    """As JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def hints_of(name: str, own: Mapping[str, str]) -> list[Any]:
    """The types of a baseline's settings."""
    hints = get_type_hints(subjects.load_baseline(name).Settings)
    return [hints[key] for key in own]


@pytest.mark.parametrize("preset", ["smoke", "cpu", "standard"])
def test_everybody_has_the_same_budget(preset: str) -> None:
    """As many epochs at most, validated as often and as patiently, on as many examples: in every trial as well."""
    shared = ("epochs", "eval_step", "stopping_step", "examples", "train_batch_size")
    budgets = set()
    for cls in TRAINED:
        settings = cls(cls.Settings()).settings
        assert not set(shared) & set(cls.ranges)
        given = cls.presets.get(preset, {})
        budgets.add(tuple(str(given.get(name, getattr(settings, name))) for name in shared))
    assert len(TRAINED) == 8
    assert len(budgets) == 1
    if preset == "cpu":
        assert budgets.pop()[0] == str(CONTRACTS["cpu"].contract.epochs)  # as identifier schemes
