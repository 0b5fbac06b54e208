"""A budget of FLOPs has what a scheme trains for its identifiers taken off: freshly made, cached and resumed alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contract import Contract
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids.sasrec import Training, item_vectors
from bench.runs import converting
from bench.runs.scheme_run import SchemeRun

Bench = Callable[..., SimpleNamespace]
Cells = Callable[[Path], list[Path]]
BUDGET = 1e8
OWN = ("width=8", "epochs=2", "batch=16")
MADE = "making identifiers"

UNTOLD = '''
class Untold(__import__("numeric_ids").Random):
    """Trains something, and does not know how many FLOPs that took."""

    name = "mine/untold"

    def fit(self, train):
        train.count_training(1200, 36000)
        return super().fit(train)
'''


@pytest.fixture
def run(bench: Bench, quick: list[str], tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """``run(results, *words, scheme=…)``: a slot for each item, from vectors of a SASRec or of a file."""

    def call(results: str, *words: str, scheme: str = "set/cf-only", budget: str = "1e8") -> SimpleNamespace:
        own = [f"--set=set.{line}" for line in OWN] if scheme == "set/cf-only" else []
        quickly = [word for word in quick if "epochs" not in word]
        asked = [
            "--id-scheme",
            scheme,
            *quickly,
            *own,
            "--budget",
            budget,
            "--set=patience=99",
            *words,
            "--results",
            tmp_path / results,
        ]
        said = bench("run", *asked)
        assert said.code == 0, said.err
        return said

    return call


@pytest.fixture
def stored(run_folders: Cells, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``stored(results, number)``: what a run of a results folder came to."""

    def read(results: str, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((run_folders(tmp_path / results)[number] / "result.json").read_text())
        return found

    return read


@pytest.fixture
def file(toy: Dataset, tmp_path: Path) -> str:
    """Vectors of all items, of the width of the SASRec's."""
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    pd.DataFrame({"item": toy.items.ids, "vector": list(vectors)}).to_parquet(tmp_path / "vectors.parquet")
    return str(tmp_path / "vectors.parquet")


def test_the_budget_has_fewer_steps_by_what_the_identifiers_took(
    run: Callable[..., SimpleNamespace], stored: Callable[..., dict[str, Any]], toy: Dataset, file: str
) -> None:
    """The same model over vectors from a file has them all."""
    run("file", f"--set=set.vectors={file}")
    run("own")
    given, own = stored("file"), stored("own")
    train = leave_one_out(toy).train
    item_vectors(train, Training(width=8, history=20, epochs=2, batch=16))
    spent = train.own_training["own_flops"]
    assert given["training"]["budget"]["per_step"] == own["training"]["budget"]["per_step"]
    assert own["costs"]["own_flops"] == own["training"]["budget"]["spent"] == spent
    assert given["costs"]["own_flops"] is None
    assert given["costs"]["steps"] == int(BUDGET / given["training"]["budget"]["per_step"])
    assert own["costs"]["steps"] == int((BUDGET - spent) / own["training"]["budget"]["per_step"])
    assert own["costs"]["steps"] < given["costs"]["steps"] - 1
    assert own["warnings"] == []


def test_cached_identifiers_and_other_seeds_have_the_same_steps(
    run: Callable[..., SimpleNamespace], stored: Callable[..., dict[str, Any]]
) -> None:
    assert MADE in run("one").err
    assert MADE not in run("one", "--set=learning_rate=0.02").err  # a row of its own, converted anew
    run("one", "--set=learning_rate=0.02", "--seed", "1")
    found = [stored("one", number) for number in range(3)]
    assert len({each["costs"]["steps"] for each in found}) == 1
    assert len({each["costs"]["own_flops"] for each in found}) == 1
    assert [each["training"]["budget"]["spent"] for each in found] == [found[0]["costs"]["own_flops"]] * 3


@pytest.mark.parametrize("cache", [True, False])
def test_a_resumed_run_comes_to_the_same(
    run: Callable[..., SimpleNamespace], run_folders: Cells, substance: Callable[[Path], dict[str, Any]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bool,
) -> None:  # fmt: skip
    """Stopped at its first look at validation, with its identifiers still in the cache or no longer."""
    run("whole", "--set=validate_every=1")

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SchemeRun, "calibrate", stop)
        with pytest.raises(AssertionError, match="rerun to resume"):
            run("resumed", "--set=validate_every=1")
    if not cache:
        shutil.rmtree(tmp_path / "resumed" / "cache")
    said = run("resumed", "--set=validate_every=1")
    assert (MADE in said.err) is not cache
    (whole,), (resumed,) = (run_folders(tmp_path / name) for name in ("whole", "resumed"))
    assert substance(whole) == substance(resumed)


def test_training_of_unknown_cost_is_said_and_not_refused(
    run: Callable[..., SimpleNamespace], stored: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(UNTOLD)
    line = "1,200 steps of its own training are not taken off the budget: their FLOPs are unknown"
    said = run("one", scheme=f"{tmp_path / 'mine.py'}:Untold")
    found = stored("one")
    assert line in said.err
    assert line in found["warnings"]
    assert found["costs"]["steps"] == int(BUDGET / found["training"]["budget"]["per_step"])
    assert (found["costs"]["own_steps"], found["costs"]["own_flops"]) == (1200, None)


def test_it_is_said_of_a_budget_of_operations_alone() -> None:
    untold, told = {"seconds": 3.0, "own_steps": 5.0}, {"seconds": 3.0, "own_steps": 5.0, "own_flops": 9e9}
    flops = Contract(epochs=0, budget="2e15")
    assert len(converting.uncounted(flops, untold)) == 1
    for contract, notes in ((flops, told), (flops, {"seconds": 1.0}), (Contract(), untold)):
        assert converting.uncounted(contract, notes) == ()
    assert converting.uncounted(Contract(epochs=0, budget="30m"), untold) == ()


def test_what_identifiers_have_spent_is_of_the_unit_of_the_budget() -> None:
    notes = {"seconds": 3.0, "own_steps": 5.0, "own_flops": 9e9}
    assert converting.spent_on(notes) == {"seconds": 3.0, "FLOPs": 9e9}
    assert converting.spent_on({"seconds": 3.0, "processor_seconds": 2.0}) == {"seconds": 2.0, "FLOPs": 0.0}
