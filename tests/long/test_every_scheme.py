"""Every scheme that `bench ls` lists, on a pretrained decoder-only model: it runs, or says in one line why it can't."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.long

Bench = Callable[..., SimpleNamespace]
SMALL = {
    "numeric": {},
    "semantic": {"dimensions": 8, "codes": 8, "epochs": 12},
    "set": {"dimensions": 8, "width": 8, "hidden": 8, "epochs": 1},
    "textual": {"bootstrap_epochs": 1, "generator_share": 0.5},
}
RPG = {"quantizer": "pq", "slots": 2, "codes": 8}
REFUSED = {"semantic/opq": "opq learns its rotation from 256 or more items with 3 or more dimensions; got 30 items"}


@pytest.fixture(scope="module")
def names(bench: Bench) -> list[str]:
    listed = json.loads(bench("ls", "--json").out)["id_schemes"]
    return [scheme["name"] for scheme in listed if "/" in scheme["name"]]  # the others are short for one of these


def test_no_family_is_missing(names: list[str]) -> None:
    assert {name.partition("/")[0] for name in names} == set(SMALL)


@pytest.mark.parametrize("family", list(SMALL))
def test_every_scheme_runs_or_says_why_it_cannot(
    bench: Bench, quick: list[str], qwen: Path, tmp_path: Path, names: list[str], family: str
) -> None:
    asked = [name for name in names if name.startswith(f"{family}/")]
    lines = {f"{family}.{setting}": value for setting, value in SMALL[family].items()}
    lines |= {f"set/rpg.{setting}": value for setting, value in RPG.items() if family == "set"}
    lines |= {"backbone": qwen, "max_steps": 2}
    words = [f"--set={line}={value}" for line, value in lines.items()]
    said = bench("run", "--id-scheme", ",".join(asked), *quick, *words, "--results", tmp_path)
    stored = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/*/*/[!.]*/result.json")]
    finished = {result["scheme"]["name"] for result in stored}
    refused = [name for name in asked if name in REFUSED]
    assert sorted(finished) == sorted(set(asked) - set(refused)), said.err
    failures = [line for line in said.err.splitlines() if ": failed: " in line]
    assert len(failures) == len(refused), said.err
    assert all(REFUSED[name] in line for name, line in zip(refused, failures, strict=True))
    assert (said.code != 0) == bool(refused)
