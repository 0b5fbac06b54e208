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
from recbole_baselines.models import RANGES, TRIALS, TUNED
from recbole_baselines.tuning import Steps, attempt, summary, writing

from bench.contract import Contract
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.evaluation.baseline import TrainingContext
from bench.runs import subjects
from bench.settings import value
from bench.training.search import SHARED, better

RECORDS = Path(__file__).parent / "searches.json"  # of each search its trials, and which was chosen
ITEMS = ItemTable(("a", "b"), {"category": ("x", "y")})
TRAINED = [
    getattr(recbole_baselines, name)
    for name in recbole_baselines.__all__
    if "epochs" in getattr(recbole_baselines, name).binds
]


def test_a_failing_trial_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    def diverge() -> dict[str, Any]:
        raise ValueError("Training loss\nis nan")

    def never() -> dict[str, Any]:
        raise AssertionError("tried again")

    record = attempt(tmp_path, diverge)
    assert record["seconds"] >= 0
    assert record["failed"] == "ValueError: Training loss is nan"
    assert attempt(tmp_path, never) == record


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, KeyboardInterrupt])
def test_what_stops_the_search_is_no_failure_of_its_trial(tmp_path: Path, error: type[BaseException]) -> None:
    def stopped() -> dict[str, Any]:
        raise error

    with pytest.raises(error):
        attempt(tmp_path, stopped)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_failure_of_a_trial(tmp_path: Path) -> None:
    def fill() -> dict[str, Any]:
        with writing():
            torch.save({"weights": torch.zeros(1 << 20)}, "/dev/full")
        return {}

    with pytest.raises(OSError, match=r"^a checkpoint can't be written \(.*\); free some space$"):
        attempt(tmp_path, fill)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ("ItemKNN", {"tune": -1}),
        ("S3Rec", {"pretrain_fraction": 1.0}),
    ],
)
def test_settings_that_cannot_be(model: str, wrong: dict[str, float]) -> None:
    (name, value), settings = next(iter(wrong.items())), getattr(recbole_baselines, model).Settings
    with pytest.raises(BenchError, match=f"^setting '{name}' must be .*; got {value}$"):
        settings(**wrong)


def test_bert4rec_must_have_something_to_mask(recbole: None) -> None:
    cls = recbole_baselines.BERT4Rec
    with pytest.raises(BenchError, match=r"mask_ratio=0\.2 of 4 positions masks none: nothing to learn for bert4rec; "):
        cls(cls.Settings()).width(TrainingContext(Path(), Path(), Contract(max_history=3)))


def test_another_recbole_is_refused(monkeypatch: pytest.MonkeyPatch, recbole: None) -> None:
    monkeypatch.setattr(base, "VERSION", "9.9")
    with pytest.raises(
        BenchError, match=r"^gru4rec runs in RecBole 9\.9, which is patched here for that version; got 1\.2\.1; pip "
    ):
        recbole_baselines.GRU4Rec().validate_items(ITEMS)


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
    chosen, lengths = {}, set()
    for record in records:
        search, settings = record["training"]["search"], record["scheme"]["settings"]
        assert (record["preset"], record["dataset"]["name"]) == (preset, "ml-100k")
        assert search["chosen"] == better(range(len(search["trials"])), search["trials"])[0]
        found = search["trials"][search["chosen"]]["settings"]
        own = subjects.load_baseline(record["scheme"]["name"]).Settings()
        chosen[record["scheme"]["name"]] = {
            key: said for key, said in found.items() if said != plain(getattr(own, key))
        }
        lengths.add(settings.get("epochs"))
    assert {name: changed for name, changed in chosen.items() if changed} == {
        name: {key: value(text, hint, name) for (key, text), hint in zip(own.items(), hints_of(name, own), strict=True)}
        for name, own in TUNED[preset].items()
    }
    assert len(lengths - {None}) == 1
    assert {len(record["training"]["search"]["trials"]) for record in records} == {TRIALS[preset]}


def plain(value: Any) -> Any:
    """As JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def hints_of(name: str, own: Mapping[str, str]) -> list[Any]:
    """The types of a baseline's settings."""
    hints = get_type_hints(subjects.load_baseline(name).Settings)
    return [hints[key] for key in own]


@pytest.mark.parametrize("cls", TRAINED)
def test_what_all_share_has_the_ranges_of_all(cls: Any) -> None:
    for line, settings in cls.follows.items():
        assert {cls.ranges[name] for name in settings} == {SHARED[line]}
    assert set(cls.follows) >= {"learning_rate", "weight_decay"}


def test_the_choice_is_told_in_a_line() -> None:
    trials = [{"settings": {"k": 10}, "rungs": [{"failed": "x"}]}]
    trials += [{"settings": {"k": 30}, "rungs": [{"best_validation": 0.5, "steps": 7}]}]
    assert summary({"chosen": 1, "trials": trials}, "hit@1") == (
        "trial 2 of 2 chosen, with k=30: hit@1 0.5000 on validation after 7 steps; 1 of the trials failed"
    )


def test_progress_goes_through_all_rungs_and_names_the_trial_under_way() -> None:
    told: list[tuple[int, int, dict[str, float]]] = []
    steps = Steps(2, 10, lambda step, total, stats: told.append((step, total, stats)))
    steps.next(0)(5, 5, {"loss": 0.5})
    steps.next(1)(2, 5, {})
    steps.next(1)(10, 10, {})
    assert told == [(5, 20, {"trial": 1, "loss": 0.5}), (7, 20, {}), (20, 20, {})]
