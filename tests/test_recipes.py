"""Recipes: found by name, applied to one row, and never installed half."""

from __future__ import annotations

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bench import plugins, recipes
from bench.contract import BUDGETS, PRESETS, Contract, changed
from bench.errors import BenchError
from bench.ids.text import TextSettings
from bench.recipes import RECIPES, Recipe
from bench.runs.matrix import Plan, _resolved
from bench.runs.subjects import BASELINES, SCHEMES, load_baseline, load_scheme, names, settings

BUDGET = (
    "examples",
    "max_history",
    "epochs",
    "max_steps",
    "batch_size",
    "patience",
    "validate_every",
    "validation_users",
)
INSTALLED = sorted(plugins.offers(RECIPES))


@pytest.mark.parametrize("name", INSTALLED)
def test_every_installed_recipe_is_of_something_and_can_be_followed(name: str) -> None:
    owner, _, recipe = name.partition(":")
    group, load = (SCHEMES, load_scheme) if owner in names(SCHEMES) else (BASELINES, load_baseline)
    assert owner in names(group)
    found = recipes.find(owner, recipe)
    assert found.source
    contract = changed(Contract(), found.contract)  # every line is one, with a value that it may have
    adapter = {name: text for name, text in found.contract.items() if name == "adapter"}
    for line, text in found.contract.items():
        assert getattr(contract, line) == getattr(changed(Contract(), {**adapter, line: text}), line)
    assert set(BUDGET) <= set(found.contract), "whatever the preset says of the budget is not published"
    assert "precision" not in found.contract
    cls = load(owner)
    assert cls(settings(cls, found.settings)).name == owner


def published_settings(cls: type[Any]) -> dict[str, str]:
    """What the docstrings of a scheme and of its settings say that the published code has."""
    found: dict[str, str] = {}
    for part in [each for one in (cls, cls.Settings) for each in reversed(one.__mro__) if each is not object]:
        for sentence in re.split(r"(?<=\.)\s+(?=[A-Z])", part.__dict__.get("__doc__") or ""):
            if "published" in sentence and " has " in sentence:
                found |= dict(re.findall(r"\b(\w+)=([\w./,-]*\w)", sentence))
    return found


@pytest.mark.parametrize("name", [name for name in INSTALLED if name.endswith(":published")])
def test_a_recipe_has_what_its_scheme_says_of_the_published_code(name: str) -> None:
    owner = name.partition(":")[0]
    said, recipe = published_settings(load_scheme(owner)), recipes.find(owner, "published")
    assert {line: recipe.settings.get(line) for line in said} == said
    if owner in ("set/setrec", "semantic/rqvae"):
        assert {"encoder", "dimensions", "init"} <= set(said), "the sentence is read no more"


@pytest.mark.parametrize("name", INSTALLED)
def test_a_recipe_says_what_becomes_of_text_vectors(name: str) -> None:
    """The default turns them to 128 whitened axes, which is no neutral thing to leave unsaid."""
    owner, _, recipe = name.partition(":")
    cls = load_scheme(owner) if owner in names(SCHEMES) else load_baseline(owner)
    if issubclass(getattr(cls, "Settings", object), TextSettings):
        assert {"encoder", "dimensions", "whiten"} <= set(recipes.find(owner, recipe).settings)


def test_an_unknown_recipe_names_those_there_are() -> None:
    owner, _, recipe = INSTALLED[0].partition(":")
    with pytest.raises(BenchError, match=f"unknown recipe of {owner} '{recipe}x'; did you mean '{recipe}'"):
        recipes.find(owner, f"{recipe}x")
    with pytest.raises(BenchError, match=f"pop has no recipe 'published'; recipes are there for: .*{owner}"):
        recipes.find("pop", "published")


def test_what_is_no_recipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = EntryPoint("pop:published", "bench.errors:BenchError", RECIPES)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [wrong] if group == RECIPES else [])
    with pytest.raises(BenchError, match=r"must be a bench\.recipes\.Recipe; got type"):
        recipes.find("pop", "published")


def test_a_recipe_in_a_file_changes_its_row_alone_and_set_goes_first(bench, run_folders, quick, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from bench.recipes import Recipe\n"
        "MINE = Recipe('a paper', contract={'max_history': '3', 'beam_width': '21'}, settings={'first': '7'})\n"
    )
    done = bench(
        "run", "--id-scheme=numeric/random", *quick, f"--recipe={mine}:MINE", "--set=max_history=4",
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert done.code == 0, done.err
    (result,) = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("runs/*/*/*/0/result.json")]
    assert (result["contract"]["max_history"], result["contract"]["beam_width"]) == (4, 21)
    assert result["scheme"]["settings"]["first"] == 7
    assert result["scheme"]["recipe"] == "mine.py:MINE, but max_history"


def test_recipes_are_lines_and_settings() -> None:
    assert Recipe("a paper").contract == {}
    with pytest.raises(BenchError, match="unknown setting 'epoch'"):
        changed(Contract(), {"epoch": "3"})


def test_a_row_by_a_recipe_is_apart_and_says_so(bench, quick, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.py"
    mine.write_text("from bench.recipes import Recipe\nMINE = Recipe('a paper', contract={'beam_width': '21'})\n")
    words = ["run", "--id-scheme=numeric/random", *quick, "--results", tmp_path / "results"]
    assert bench(*words, f"--recipe={mine}:MINE").code == 0
    (stored,) = (tmp_path / "results").glob("runs/*/*/*/0/result.json")
    assert json.loads(stored.read_text())["scheme"]["recipe"] == "mine.py:MINE"
    assert bench("report", "--results", tmp_path / "results").code == 0
    assert "(recipe=mine.py:MINE)" in (tmp_path / "results" / "report.md").read_text()
    assert bench(*words).code == 0
    assert len(list((tmp_path / "results").glob("runs/*/*/*/0/result.json"))) == 2


def followed_by(tmp_path: Path, lines: dict[str, str], *overrides: str, preset: str = "smoke") -> tuple[Contract, str]:
    """The contract of a scheme under a recipe with these lines, and its label."""
    (tmp_path / "mine.py").write_text(f"from bench.recipes import Recipe\nMINE = Recipe('a paper', contract={lines})\n")
    plan = Plan(["numeric"], [], ["toys"], preset=preset, overrides=overrides, recipe=f"{tmp_path}/mine.py:MINE")
    found = _resolved(plan, print)
    return found.contracts["numeric/sequential"], found.labels["numeric/sequential"]


@pytest.mark.parametrize("given", ["budget=2e9", "target_examples=64", "epochs=2"])
@pytest.mark.parametrize("published", [{"epochs": "30"}, {"epochs": "0", "target_examples": "99"}])
def test_a_budget_that_is_given_takes_the_place_of_a_recipes(
    tmp_path: Path, published: dict[str, str], given: str
) -> None:
    contract, label = followed_by(tmp_path, published, given)
    name, _, value = given.partition("=")
    assert {line: str(getattr(contract, line)) for line in BUDGETS if getattr(contract, line)} == {name: value}
    assert label == f"mine.py:MINE, but {name}"


def test_lines_of_a_recipes_adapter_may_be_given(tmp_path: Path) -> None:
    lines = {"backbone": "some/qwen", "adapter": "lora", "lora_rank": "4", "base_precision": "int8", "epochs": "2"}
    contract, label = followed_by(tmp_path, lines, "lora_alpha=3", "base_precision=bf16")
    assert (contract.lora_rank, contract.lora_alpha, contract.base_precision) == (4, 3.0, "bf16")
    assert label == "mine.py:MINE, but base_precision"
    contract, label = followed_by(tmp_path, lines, "adapter=none", "backbone=qwen-mini")
    assert contract == changed(PRESETS["smoke"].contract, {"backbone": "qwen-mini", "epochs": "2"})
    assert label == "mine.py:MINE, but backbone, adapter"


def test_a_recipe_that_nothing_of_all_has_is_refused(bench: Any, quick: list[str], tmp_path: Path) -> None:
    said = bench("run", "--id-scheme=all", *quick, "--recipe=nowhere", "--results", tmp_path / "results")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        "bench: nothing to run: all that 'all' stands for is skipped; name what you mean (bench ls)"
    )
