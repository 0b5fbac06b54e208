"""What is not the same for all rows stands under the table, and what was spent beside every score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.report.budget_notes import (
    CLOSED,
    EXACT,
    MISSED,
    MIXTURE,
    OWN,
    OWN_BESIDE,
    OWN_FLOPS,
    OWN_TIME,
    OWN_UNKNOWN,
    WEIGHT,
)
from bench.report.table import Chapter
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]

SPENT = {
    "parameters": 7,
    "id_construction_seconds": 1.0,
    "training_seconds": 9.0,
    "inference_seconds_per_1000_users": 0.5,
    "peak_memory_mb": 10.0,
    "steps": 6840,
    "target_examples": 874_888,
    "looks": 8,
}
TOKENS = {"tokens_mean": 3.0, "tokens_max": 3, "vocabulary": 9, "largest_group": 1}
IDS = {**TOKENS, "collision_rate": 0.0, "collision_rate_test": 0.0}


def notes(found: Chapter) -> dict[str, str]:
    return {note.title: "".join(text for text, _ in note.pieces) for note in found.notes}


@pytest.fixture
def chapter(store: Store, tmp_path: Path) -> Chapter:
    """Token lists, a set of vectors that trains a model of its own, a trained baseline and one that counts."""
    search = {"search": {"chosen": 0, "trials": [{}, {}, {}]}}
    store("words", quality=0.3, costs=SPENT, training={"steps": 6840, "curve": [], **search})
    store(
        "set",
        quality=0.2,
        costs={**SPENT, "own_steps": 40, "own_examples": 900},
        identifiers={**IDS, "decode_steps": 1},
    )
    lines = {"epochs": 10, "batch_size": 256}
    store("sasrec", kind="baseline", quality=0.25, costs=SPENT, contract=lines, training={"steps": 6840, "curve": []})
    store("pop", kind="baseline", quality=0.1)
    return chapters(load(tmp_path))[0]


def test_steps_examples_and_looks_are_costs_of_every_row(chapter: Chapter) -> None:
    (costs,) = (table for table in chapter.tables if table.name == "costs")
    columns = {column.title: [cell.text for cell in column.cells] for column in costs.columns}
    assert columns["steps"] == ["6,840", "6,840", "6,840", "\u2013"]
    assert columns["target examples"] == ["874,888"] * 3 + ["\u2013"]
    assert columns["looks"] == ["8", "8", "8", "\u2013"]
    assert columns["own examples"] == ["\u2013", "900", "\u2013", "\u2013"]


def test_lines_of_decoding_stand_over_token_lists_alone(chapter: Chapter) -> None:
    said = notes(chapter)
    assert said["ranking"] == (f"words: decoder=beam, beam=20, length_normalization=none; set, sasrec, pop: {EXACT}")
    assert "beam" not in said["contract"]


def test_what_cannot_be_made_equal_is_a_line(chapter: Chapter) -> None:
    said = notes(chapter)
    assert said["closed form"] == f"pop: {CLOSED}"
    assert said["own training"] == f"set: {OWN}, {OWN_BESIDE}"
    unheard = said["baselines"].partition("these lines do not hold for them: ")[2]
    assert unheard == "backbone, learning_rate, selection"


@pytest.mark.parametrize(("budget", "said"), [("30m", (OWN_TIME, OWN_TIME)), ("2e15", (OWN_FLOPS, OWN_UNKNOWN))])
def test_own_training_is_taken_off_a_budget_as_far_as_it_is_known(
    store: Store, tmp_path: Path, budget: str, said: tuple[str, str]
) -> None:
    """The second row was stored before FLOPs were counted, comes from a plugin that counts none, or has the steps that
    were given with its budget.
    """
    converted = {"asked": budget, "steps": 6840, "per_step": 2e11, "spent": 3e9}
    lines, own = {"epochs": 0, "budget": budget}, {**SPENT, "own_steps": 40, "own_examples": 900}
    training = {"steps": 6840, "curve": [], "budget": converted}
    store("set", quality=0.3, contract=lines, costs={**own, "own_flops": 3e9}, training=training)
    store("codes", quality=0.2, contract=lines, costs=own)
    store("words", quality=0.1, contract=lines, costs=SPENT)
    ways = dict.fromkeys(said)
    rows = {
        way: ", ".join(name for name, its in zip(("set", "codes"), said, strict=True) if its == way) for way in ways
    }
    (found,) = chapters(load(tmp_path))
    assert notes(found)["own training"] == "; ".join(f"{rows[way]}: {OWN}, {way}" for way in ways)
    (costs,) = (table for table in found.tables if table.name == "costs")
    columns = {column.title: [cell.text for cell in column.cells] for column in costs.columns}
    assert columns["own FLOPs"] == ["3 G", "\u2013", "\u2013"]


def test_rows_that_were_searched_more_than_others_are_marked(chapter: Chapter) -> None:
    said = notes(chapter)["search"]
    assert said == "settings were not searched alike for all rows: words: 3 trials on toys; the others: none"


def test_a_size_that_a_search_chose_is_said_where_it_is_not_the_contract_s(store: Store, tmp_path: Path) -> None:
    trials = [{"settings": {"backbone": "mini"}}, {"settings": {"backbone": "tiger"}}]
    for name, chosen in (("words", 1), ("codes", 0)):
        search = {"chosen": chosen, "trials": trials}
        training = {"steps": 6840, "curve": [], "search": search}
        store(name, quality=0.3, contract={"backbone": "mini"}, costs=SPENT, training=training)
    (found,) = chapters(load(tmp_path))
    assert notes(found)["sizes"] == "a search chose another backbone than the contract's: words: tiger"


def heads(found: Chapter) -> list[str]:
    return [cell.text for cell in found.tables[0].head.cells]


def test_the_mark_stands_in_the_table_itself(chapter: Chapter) -> None:
    assert heads(chapter) == ["words (searched)", "set", "sasrec", "pop"]


def test_where_all_that_train_were_searched_alike_none_is_marked(store: Store, tmp_path: Path) -> None:
    search = {"training": {"steps": 6840, "curve": [], "search": {"chosen": 0, "trials": [{}, {}]}}}
    store("words", quality=0.3, costs=SPENT, **search)
    store("sasrec", kind="baseline", quality=0.25, costs=SPENT, **search)
    store("pop", kind="baseline", quality=0.1)
    assert heads(chapters(load(tmp_path))[0]) == ["words", "sasrec", "pop"]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "result.json"
    found: dict[str, Any] = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_settings_found_elsewhere_are_named(store: Store, tmp_path: Path) -> None:
    store("words", quality=0.3, costs=SPENT)
    folder = store("sasrec", kind="baseline", quality=0.25, costs=SPENT)
    rewrite(folder, lambda found: found["scheme"].update(found="4 trials on ml-100k"))
    (chapter,) = chapters(load(tmp_path))
    assert "sasrec: 4 trials on ml-100k; the others: none" in notes(chapter)["search"]
    assert heads(chapter) == ["words", "sasrec (searched)"]


def test_looks_that_differ_and_what_else_validation_chose_are_lines(store: Store, tmp_path: Path) -> None:
    stages = [{"name": "pretrain", "mixture": {"epochs": [1]}}, {"name": "finetune", "mixture": {}}]
    store("words", quality=0.3, costs=SPENT)
    store("mixed", costs={**SPENT, "looks": 4}, training={"steps": 6840, "curve": [], "stages": stages})
    store("set", quality=0.2, costs=SPENT, identifiers={**IDS, "semantic_weight": 0.3})
    store("counts", kind="baseline", quality=0.1, costs={**SPENT, "steps": None, "looks": 1})
    said = notes(chapters(load(tmp_path))[0])
    assert said["looks"] == "validation was not read as often for all rows: words, set: 8; mixed: 4"
    assert said["weights"] == f"set: {WEIGHT}"
    assert said["variants"] == f"mixed: {MIXTURE}"


def test_equal_looks_are_no_line(chapter: Chapter) -> None:
    assert not {"looks", "weights", "variants", "revisions"} & notes(chapter).keys()


@pytest.mark.parametrize("other", ["91b07d2", "0f3a9c1+"])
def test_rows_of_several_revisions_say_which(store: Store, tmp_path: Path, other: str) -> None:
    store("words", quality=0.3)
    rewrite(store("digits", quality=0.2), lambda found: found["environment"].update(git=other))
    said = notes(chapters(load(tmp_path))[0])["revisions"]
    assert said.startswith("the rows were not made by one revision of the code")
    assert said.endswith(f": words: 0f3a9c1; digits: {other}")


def test_changes_that_were_never_committed_are_said(store: Store, tmp_path: Path) -> None:
    for name in ("words", "digits"):
        rewrite(store(name), lambda found: found["environment"].update(git="0f3a9c1+"))
    (chapter,) = chapters(load(tmp_path))
    assert notes(chapter)["revisions"].startswith("the rows were made with changes of the code that were not committed")


def test_a_budget_of_time_says_its_steps_and_how_to_make_the_row_again(store: Store, tmp_path: Path) -> None:
    budget = {"budget": {"asked": "30m", "steps": 4210}}
    store("words", contract={"epochs": 0, "budget": "30m"}, training={"steps": 4210, "curve": [], **budget})
    (chapter,) = chapters(load(tmp_path))
    assert notes(chapter)["budget"] == "words: 30m is 4,210 steps, --budget 30m@4210 makes it again"


@pytest.mark.parametrize("used", [4210 * 0.4 * 1.09, 4210 * 0.4 * 1.25, None])
def test_steps_that_took_longer_than_was_measured_are_said(store: Store, tmp_path: Path, used: float | None) -> None:
    budget = {"asked": "30m", "steps": 4210, "per_step": 0.4, **({"used": used} if used else {})}
    training = {"steps": 4210, "curve": [], "budget": budget}
    store("words", contract={"epochs": 0, "budget": "30m"}, training=training)
    (chapter,) = chapters(load(tmp_path))
    said = notes(chapter).get("budget missed", "")
    assert said == (f"{MISSED}: words: 0.5 s a step, 0.4 s measured" if used == 4210 * 0.4 * 1.25 else "")
