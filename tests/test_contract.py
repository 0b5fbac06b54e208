"""The contract: what may be said in it, and that no two different ones are taken for one."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.contract import (
    BUDGETS,
    CUTOFFS,
    EPOCH_OF_TOYS,
    LATER,
    OF_ADAPTERS,
    PRESETS,
    Amount,
    Contract,
    amount,
    contract_for,
    default_preset,
    digest,
    setting_names,
)
from bench.errors import BenchError
from bench.protocol import PROTOCOL

ROOT = Path(__file__).resolve().parents[1]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"adamw": "sgd", "ndcg@10": "hit@10", "fp32": "bf16", "windows": "shared", "tokens": "items"}.get(
            value, f"{value}-other"
        )
    return value + 30 if isinstance(value, int) else value / 2 + 0.001


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Contract)])
def test_every_line_of_a_contract_counts(name: str) -> None:
    said = {name: other(getattr(Contract(), name))}
    if name in BUDGETS:  # one of them is said
        said = {"epochs": 0, name: {"budget": "30m"}.get(name, 7)}
    needed = {"history": {"training": "shared"}, **{line: {"adapter": "lora"} for line in OF_ADAPTERS}}
    plain = replace(Contract(), **needed.get(name, {}))
    changed = replace(plain, **said)
    assert changed.id != plain.id
    assert Contract().id == Contract().id == digest(Contract().lines)
    assert changed.lines[name] == getattr(changed, name)
    assert len(changed.id) == 8


def test_a_stored_contract_is_the_contract_and_the_protocol() -> None:
    """Every line is stored, but those that came later where they say what was always done."""
    words = contract_for("cpu", {"whole_words": "true"})
    stored = json.loads(json.dumps(words.lines))
    assert stored.pop("protocol") == PROTOCOL
    assert Contract(**stored) == words
    assert set(Contract().lines) == {"protocol", *asdict(Contract())} - set(LATER)
    adapted = replace(words, adapter="lora", lora_rank=4)
    assert Contract(**{name: line for name, line in adapted.lines.items() if name != "protocol"}) == adapted
    assert set(adapted.lines) == {"protocol", *asdict(Contract())} - {"vocabulary", "decoding_precision", "negatives"}


def test_later_lines_leave_the_names_of_stored_results_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that results of protocol 3 were stored under before there were adapters."""
    monkeypatch.setattr("bench.contract.PROTOCOL", 3)
    stored = {"smoke": "c4769ba3", "cpu": "05882607", "overnight": "98603dfd", "standard": "516bc807"}
    assert {name: preset.contract.id for name, preset in PRESETS.items()} == stored


@pytest.mark.parametrize("line", [f"{name}=0.5" for name in ("lora_alpha", "lora_dropout")] + ["base_precision=bf16"])
def test_what_is_said_of_an_adapter_needs_one(line: str) -> None:
    name, _, value = line.partition("=")
    with pytest.raises(BenchError, match=f"setting '{name}' must be .* where there is no adapter=lora; got {value}"):
        contract_for("cpu", {name: value})
    assert getattr(contract_for("cpu", {name: value, "adapter": "lora"}), name) != getattr(Contract(), name)


def test_a_frozen_base_learns_no_numbers_anew() -> None:
    with pytest.raises(BenchError, match="'reinitialize' must be none under adapter=lora, whose base is frozen"):
        contract_for("cpu", {"adapter": "lora", "reinitialize": "numbers"})


def test_another_protocol_is_another_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Contract().id
    monkeypatch.setattr("bench.contract.PROTOCOL", PROTOCOL + 1)
    assert Contract().id != before


def test_the_changelog_says_under_scores_what_the_protocol_stands_for() -> None:
    scores = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("### Scores")[1].split("\n## ")[0]
    assert f"protocol {PROTOCOL}" in " ".join(scores.split())


def test_a_digest_knows_no_order() -> None:
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_a_contract_that_can_be_stored_and_says_what_it_is_for(name: str) -> None:
    found = contract_for(name, {})
    assert found == PRESETS[name].contract
    assert Contract(**json.loads(json.dumps(asdict(found)))) == found
    assert found.beam_width >= max(CUTOFFS)
    assert PRESETS[name].purpose
    assert len({preset.contract.id for preset in PRESETS.values()}) == len(PRESETS)


def test_only_what_is_said_differs_from_the_preset() -> None:
    base = PRESETS["smoke"].contract
    found = contract_for(
        "smoke", {"epochs": "7", "exclude_history": "true", "backbone": "t5-small", "decoder": "exact"}
    )
    assert found == replace(base, epochs=7, exclude_history=True, backbone="t5-small", decoder="exact")
    assert (
        contract_for("smoke", {"learning_rate": str(Contract().learning_rate)}).learning_rate
        == Contract().learning_rate
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("epochs", "0", "setting 'epochs' must be 1 or more; got 0"),
        ("max_steps", "-1", "setting 'max_steps' must be 0 or more; got -1"),
        ("learning_rate", "0", "setting 'learning_rate' must be above 0; got 0.0"),
        ("warmup", "1", "setting 'warmup' must be at least 0 and below 1; got 1.0"),
        ("dropout", "-0.1", "setting 'dropout' must be at least 0 and below 1; got -0.1"),
        ("beam_width", "10", "setting 'beam_width' must be 20 or more, since hit@20 is reported; got 10"),
        ("batch_size", "many", "setting 'batch_size' must be a whole number; got 'many'"),
        ("schedule", "sine", "setting 'schedule' must be one of cosine, linear, constant; got 'sine'"),
        ("exclude_history", "yes", "setting 'exclude_history' must be true or false; got 'yes'"),
    ],
)
def test_a_bad_value_says_what_is_possible(name: str, text: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        contract_for("smoke", {name: text})
    assert str(caught.value) == said


def test_the_exact_decoder_needs_no_beam() -> None:
    assert contract_for("smoke", {"decoder": "exact", "beam_width": "1"}).beam_width == 1


def test_unknown_names_come_with_a_suggestion() -> None:
    with pytest.raises(
        BenchError, match=r"unknown preset 'smok'; did you mean 'smoke'\? known: cpu, overnight, smoke, standard"
    ):
        contract_for("smok", {})
    with pytest.raises(BenchError, match=r"unknown setting 'epoch'; did you mean 'epochs'\?"):
        contract_for("smoke", {"epoch": "2"})
    assert math.isclose(contract_for("smoke", {"dropout": "0.25"}).dropout, 0.25)


def test_the_cpu_preset_has_one_number_of_target_examples_for_all() -> None:
    found = contract_for("cpu", {})
    assert (found.target_examples, found.epochs) == (8 * EPOCH_OF_TOYS, 0)
    assert contract_for("overnight", {}).target_examples > 4 * found.target_examples
    assert contract_for("overnight", {}).backbone == "tiger"


def test_a_budget_takes_the_place_of_another_one() -> None:
    found = contract_for("cpu", {"epochs": "3"})
    assert (found.epochs, found.target_examples, found.budget) == (3, 0, "")
    found = contract_for("cpu", {"budget": "2e15"})
    assert (found.epochs, found.target_examples, found.budget) == (0, 0, "2e15")
    assert contract_for("smoke", {"target_examples": "9"}).epochs == 0
    assert contract_for("cpu", {"max_steps": "9"}).target_examples == 8 * EPOCH_OF_TOYS
    with pytest.raises(BenchError, match="the budget is one of epochs, target_examples, budget; got epochs and budget"):
        contract_for("cpu", {"budget": "30m", "epochs": "3"})


def test_a_budget_is_time_or_operations() -> None:
    assert amount("90s") == Amount(90, "seconds")
    assert amount("30m") == Amount(1800, "seconds")
    assert amount("1.5h") == Amount(5400, "seconds")
    assert amount("2e15") == Amount(2e15, "FLOPs")
    for wrong in ("fast", "0m", "-3", "m", "inf", "nan", "2e15 FLOPs"):
        with pytest.raises(
            BenchError, match="a budget is processor time such as 90s, 30m or 2h, or FLOPs such as 2e15; "
        ):
            amount(wrong)


def test_names_and_defaults() -> None:
    assert set(setting_names()) == set(asdict(Contract()))
    assert (default_preset(cuda=True), default_preset(cuda=False)) == ("standard", "cpu")
