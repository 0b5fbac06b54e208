"""The page of ablations: its rows are those that are asked for, and its numbers those of the stored ranks."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest

from bench import plugins
from bench.contract import PRESETS
from bench.data import sources, splitting
from tests import pages
from tests.pages import strict_gains as gains

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
REQUESTS = tomllib.loads((ROOT / "results" / "ablations.toml").read_text(encoding="utf-8"))["request"]
PAGE = (ROOT / "docs" / "pages" / "ablations.md").read_text(encoding="utf-8")
EXAMPLES = "target_examples=291629"


@pytest.fixture(scope="module")
def found() -> ModuleType:
    return pages.module("ablations")


def test_every_row_that_is_asked_for_is_there(found: ModuleType) -> None:
    """A request names the schemes and the one setting that is not as usual."""
    asked = [
        (name, setting.partition(".")[2] or setting)
        for request in REQUESTS
        for name in request["id-scheme"].split(",")
        for setting in [each for each in request["set"] if each != EXAMPLES] or [""]
    ]
    stored = [(each.row.first.scheme.name, each.value) for each in found.ablations()]
    stored += [(base.first.scheme.name, "") for base in {each.base for each in found.ablations()}]
    assert sorted(stored) == sorted(asked)


def test_rows_are_compared_with_what_is_usual(found: ModuleType) -> None:
    usual = asdict(PRESETS["cpu"].contract) | {"target_examples": 291_629}
    for base in {each.base for each in found.ablations()}:
        run = base.first
        assert {line: usual[line] for line in run.contract if line in usual} == {
            line: value for line, value in run.contract.items() if line in usual
        }
        cls, _ = plugins.load(run.scheme.name, plugins.SCHEMES, "identifier scheme")
        settings = {name: getattr(cls.Settings(), name) for name in run.scheme.settings}
        assert {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()} == (
            run.scheme.settings
        )


def test_differences_are_those_of_the_ranks(found: ModuleType) -> None:
    for each in found.ablations():
        (row,), (base,) = each.row.runs, each.base.runs
        difference = (gains(row) - gains(base)).mean()
        assert each.comparison.difference == pytest.approx(difference, abs=1e-9)
        low, high = each.interval
        of_users = 2 * 1.96 * (gains(row) - gains(base)).std() / len(gains(row)) ** 0.5
        if each.same_weights:
            assert high - low == pytest.approx(of_users, rel=0.1)
        else:
            assert high - low > 1.3 * of_users  # with the noise of training
        assert low < difference < high


def test_what_ranking_alone_reads_needs_no_other_model(found: ModuleType) -> None:
    """Each run trained its own model, and both came to the same weights."""
    assert {each.setting for each in found.ablations() if each.same_weights} == {"beam_width", "exclude_history"}


def test_every_question_has_a_table_and_a_picture_on_the_page(found: ModuleType) -> None:
    drawn = dict(found.drawn())
    assert {setting for settings in found.QUESTIONS.values() for setting in settings} == {*found.DEFAULTS}
    for question in found.QUESTIONS:
        assert f"<!-- generated: ablation-{question} -->" in PAGE
        assert f"<!-- generated: ablation-{question}-picture -->" in PAGE
        (name,) = re.findall(r"\(([\w-]+\.svg)\)", found.picture(question))
        assert drawn.pop(name).lstrip().startswith("<?xml")
    assert not drawn


def test_what_the_page_says_of_the_rows_is_so(found: ModuleType) -> None:
    """Where new rows say otherwise, the page has to be written anew."""
    told = {each.value: each.interval for each in found.ablations() if each.setting != "training"}
    apart = {value for value, (low, high) in told.items() if low > 0 or high < 0}
    assert apart == {"collisions=none", "codes=1024", "exclude_history=true"}
    short = " ".join(PAGE[PAGE.index("## In short") : PAGE.index("## Items with equal codes")].split())
    for value in (*apart, "beam_width=50"):
        (each,) = (each for each in found.ablations() if each.value == value)
        low, high = each.interval
        assert f"{each.comparison.difference:+.4f} [{low:+.4f}, {high:+.4f}]" in short
    shared = [each for each in found.ablations() if each.setting == "training"]
    assert len(shared) == 2
    for each in shared:
        low, high = each.interval
        assert high < 0
        assert f"{each.comparison.difference:+.4f} [{low:+.4f}, {high:+.4f}]" in short
        assert each.row.cost("processor_seconds") < 2 / 3 * each.base.cost("processor_seconds")
    assert f"These are {len(found.ablations())} comparisons" in short
    (exclude,) = (each for each in found.ablations() if each.value == "exclude_history=true")
    assert exclude.comparison.relative == pytest.approx(1 / 6, abs=0.01)
    largest = max(found.ablations(), key=lambda each: each.comparison.difference)
    assert largest is exclude
    (five,) = (each for each in found.ablations() if each.value == "max_history=5")
    assert five.row.cost("processor_seconds") / five.base.cost("processor_seconds") == pytest.approx(2 / 3, abs=0.04)


def test_how_often_people_take_an_item_again(real_data: Path) -> None:
    for name, again, users in (("toys", 0, 19_412), ("yelp", 1_984, 30_431)):
        dataset, contract = splitting.ordered(sources.find(name, real_data), PRESETS["cpu"].contract)
        test = splitting.split(dataset, contract, 0).test
        assert len(test.items) == users
        taken = (int(item) in {*map(int, seen)} for item, seen in zip(test.items, test.histories, strict=True))
        assert sum(taken) == again
    assert "none of the 19,412 targets is in the history; on Yelp 1,984 of 30,431 are" in PAGE
