"""The requests beside the published results are read, and all that they name exists."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import plugins
from bench.contract import PRESETS
from bench.recipes import RECIPES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RESULTS = Path(__file__).resolve().parents[2] / "results"
STUDY, PUBLISHED, ABLATIONS = (RESULTS / f"{name}.toml" for name in ("study", "published", "ablations"))


@pytest.mark.parametrize(("request_file", "count"), [(STUDY, 10), (PUBLISHED, 5), (ABLATIONS, 15)], ids=str)
def test_a_request_names_what_exists(
    bench: Callable[..., SimpleNamespace], tmp_path: Path, request_file: Path, count: int
) -> None:
    said = bench("run", "--config", request_file, "--write-config", tmp_path / "again.toml")
    assert said.code == 0, said.err
    listed = json.loads(bench("ls", "--json").out)
    kinds = {"id-scheme": "id_schemes", "baseline": "baselines", "dataset": "datasets"}
    known = {option: {each["name"] for each in listed[kind]} | {"all"} for option, kind in kinds.items()}
    asked = [line.partition(" = ") for line in (tmp_path / "again.toml").read_text().splitlines()]
    for option, _, value in asked:
        joined = "+" if option == "dataset" else ","  # one model for toys+beauty, but a scheme may have + in its name
        names = set(value.strip('"').replace(joined, ",").split(","))
        assert names <= known.get(option, names), (option, value)
        assert option != "preset" or value.strip('"') in PRESETS
    assert sum(option == "dataset" for option, _, _ in asked) == count


def test_every_published_system_that_a_recipe_stands_for_has_a_request() -> None:
    """So that what papers report is prepared, and nobody has to look for what is missing."""
    requests = tomllib.loads(PUBLISHED.read_text())["request"]
    asked = {name for each in requests if each.get("recipe") == "published" for name in each["id-scheme"].split(",")}
    offered = {name.partition(":")[0] for name in plugins.offers(RECIPES) if name.endswith(":published")}
    assert asked == offered
    assert {each["preset"] for each in requests if "recipe" not in each} == {"standard"}


USERS = {"ml-100k": 943, "toys": 19_412, "beauty": 22_363, "yelp": 30_431}


def test_no_model_is_to_adapt_on_more_users_than_there_are() -> None:
    requests = [each for each in tomllib.loads(STUDY.read_text())["request"] if "adapt" in each]
    assert {each["zero-shot"] for each in requests} == USERS.keys()
    for each in requests:
        assert max(int(number) for number in each["adapt"].split(",")) <= USERS[each["zero-shot"]]
