"""The contract: what may be said in it, and that no two different ones are taken for one."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.evaluation.metrics import CUTOFFS
from bench.runs.config import PRESETS, Contract, contract, default_preset, digest, setting_names

ROOT = Path(__file__).resolve().parents[2]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"adamw": "sgd", "ndcg@10": "hit@10", "fp32": "bf16"}.get(value, f"{value}-other")
    return value + 30 if isinstance(value, int) else value / 2 + 0.001


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Contract)])
def test_every_line_of_a_contract_counts(name: str) -> None:
    changed = replace(Contract(), **{name: other(getattr(Contract(), name))})
    assert changed.id != Contract().id
    assert Contract().id == Contract().id == digest(Contract().lines)
    assert changed.lines[name] == getattr(changed, name)
    assert len(changed.id) == 8


def test_lines_added_later_leave_earlier_contracts_alone() -> None:
    """Results of the first contracts keep their place; only a line that says something new is stored and hashed."""
    stored = json.loads((ROOT / "results" / "toys-cpu" / "textual-title.json").read_text())
    first = Contract(**stored["contract"])
    assert (first.lines, first.id) == (stored["contract"], stored["contract_id"])
    added = set(asdict(Contract())) - set(Contract().lines)
    assert added == {"whole_words", "reinitialise", "prompts", "ties"}
    words = contract("cpu", {"whole_words": "true"})
    assert words.lines == PRESETS["cpu"].contract.lines | {"whole_words": True}
    assert Contract(**words.lines) == words


def test_a_digest_knows_no_order() -> None:
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_a_contract_that_can_be_stored_and_says_what_it_is_for(name: str) -> None:
    found = contract(name, {})
    assert found == PRESETS[name].contract
    assert Contract(**json.loads(json.dumps(asdict(found)))) == found
    assert found.beam_width >= max(CUTOFFS)
    assert PRESETS[name].purpose
    assert len({preset.contract.id for preset in PRESETS.values()}) == len(PRESETS)


def test_only_what_is_said_differs_from_the_preset() -> None:
    base = PRESETS["smoke"].contract
    found = contract("smoke", {"epochs": "7", "exclude_history": "true", "backbone": "t5-small", "decoder": "exact"})
    assert found == replace(base, epochs=7, exclude_history=True, backbone="t5-small", decoder="exact")
    assert contract("smoke", {"learning_rate": str(Contract().learning_rate)}).learning_rate == Contract().learning_rate


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("epochs", "0", "setting 'epochs' must be 1 or more; found 0"),
        ("max_steps", "-1", "setting 'max_steps' must be 0 or more; found -1"),
        ("learning_rate", "0", "setting 'learning_rate' must be above 0; found 0.0"),
        ("warmup", "1", "setting 'warmup' must be at least 0 and below 1; found 1.0"),
        ("dropout", "-0.1", "setting 'dropout' must be at least 0 and below 1; found -0.1"),
        ("beam_width", "10", "setting 'beam_width' must be 20 or more, since hit@20 is reported; found 10"),
        ("batch_size", "many", "setting 'batch_size' must be a whole number; found 'many'"),
        ("schedule", "sine", "setting 'schedule' must be one of cosine, linear, constant; found 'sine'"),
        ("exclude_history", "yes", "setting 'exclude_history' must be true or false; found 'yes'"),
    ],
)
def test_a_bad_value_says_what_is_possible(name: str, text: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        contract("smoke", {name: text})
    assert str(caught.value) == said


def test_the_exact_decoder_needs_no_beam() -> None:
    assert contract("smoke", {"decoder": "exact", "beam_width": "1"}).beam_width == 1


def test_unknown_names_come_with_a_suggestion() -> None:
    with pytest.raises(BenchError, match=r"unknown preset 'smok'; did you mean 'smoke'\? known: cpu, smoke, standard"):
        contract("smok", {})
    with pytest.raises(BenchError, match=r"unknown setting 'epoch'; did you mean 'epochs'\?"):
        contract("smoke", {"epoch": "2"})
    assert math.isclose(contract("smoke", {"dropout": "0.25"}).dropout, 0.25)


def test_names_and_defaults() -> None:
    assert set(setting_names()) == set(asdict(Contract()))
    assert (default_preset(cuda=True), default_preset(cuda=False)) == ("standard", "cpu")
