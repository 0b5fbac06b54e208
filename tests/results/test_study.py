"""The request that makes the published results again: it is read, and all that it names exists."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from bench.contract import PRESETS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STUDY = Path(__file__).resolve().parents[2] / "results" / "study.toml"


def test_the_study_names_what_exists(bench: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    said = bench("run", "--config", STUDY, "--write-config", tmp_path / "again.toml")
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
    assert sum(option == "dataset" for option, _, _ in asked) == 10


USERS = {"ml-100k": 943, "toys": 19_412, "beauty": 22_363, "yelp": 30_431}


def test_no_model_is_to_adapt_on_more_users_than_there_are() -> None:
    requests = [each for each in tomllib.loads(STUDY.read_text())["request"] if "adapt" in each]
    assert {each["zero-shot"] for each in requests} == USERS.keys()
    for each in requests:
        assert max(int(number) for number in each["adapt"].split(",")) <= USERS[each["zero-shot"]]
