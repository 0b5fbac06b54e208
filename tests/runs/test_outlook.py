"""What would run, and what it would take: from earlier runs by hand, or from a few steps that change nothing."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.commands.dry_run import summary
from bench.errors import BenchError
from bench.results import store
from bench.results.store import Begun
from bench.runs import short_run
from bench.runs.estimate import Estimate
from bench.runs.matrix import Plan, prepare
from bench.runs.outlook import Outlook, outlook
from bench.runs.progress import Display

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


@pytest.fixture(scope="module")
def results(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outlook")
    assert bench("run", "--id-scheme", "numeric", "--baseline", "pop", *quick, "--results", folder).code == 0
    return folder


def plan(toy_folder: Path, tiny: Path, results: Path, *lines: str, **words: Any) -> Plan:
    changed = [f"backbone={tiny}", "batch_size=16", "epochs=4", "validate_every=2", *lines]
    asked = {"schemes": ["numeric"], "baselines": [], **words}
    return Plan(datasets=[str(toy_folder)], preset="smoke", overrides=changed, results=results, **asked)


def test_an_earlier_run_is_scaled_by_target_examples_and_looks(
    results: Path, run_folders: RunFolders, toy_folder: Path, tiny: Path
) -> None:
    folder = next(path for path in run_folders(results) if "numeric" in str(path))
    stored = json.loads((folder / "result.json").read_text())
    costs, users = stored["costs"], stored["split"]["test_users"]
    thrice = plan(toy_folder, tiny, results, "epochs=12", "patience=9")
    (found,) = outlook(thrice, Display(loud=False))
    assert (costs["target_examples"], costs["looks"]) == (40 * 4, 2)  # one of each of 40 users, 4 epochs, every other
    tested = costs["inference_seconds_per_1000_users"] * users / 1000
    expected = costs["id_construction_seconds"] + 3 * (costs["training_seconds"] + costs["validation_seconds"]) + tested
    assert found.estimate.seconds == pytest.approx(expected)
    assert found.estimate.megabytes == costs["peak_memory_mb"]
    assert (found.state, found.estimate.source) == ("to do", "earlier")


def test_a_budget_of_time_is_its_own_estimate_and_validation_comes_beside_it(
    results: Path, toy_folder: Path, tiny: Path
) -> None:
    asked = Plan(["numeric"], [], [str(toy_folder)], preset="smoke", overrides=["budget=30m"], results=results)
    (found,) = outlook(asked, Display(loud=False))
    assert found.estimate.source == "probe"  # on another backbone there is no earlier run
    assert found.estimate.seconds is not None
    assert 0.95 * 1800 < found.estimate.seconds < 4 * 1800


@pytest.mark.parametrize(("schemes", "baselines"), [(["numeric/random"], []), ([], ["unisrec"])])
def test_a_budget_of_flops_is_as_many_steps_as_it_allows(
    toy_folder: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schemes: list[str],
    baselines: list[str],
) -> None:
    """Also where its steps were given with it; one that is not a step is said, as the run would say it."""
    seen: list[Any] = []
    original = short_run._training

    def training(size: Any, per_step: float) -> float:
        seen.append(size)
        return original(size, per_step)

    monkeypatch.setattr(short_run, "_training", training)
    notes: list[str] = []
    display = Display(loud=False)
    monkeypatch.setattr(display, "note", notes.append)
    own = [f"backbone={tiny}", "batch_size=16", *(["unisrec.width=16"] if baselines else [])]
    for line in ("budget=1e9", "budget=1e10", "budget=1e-9"):
        asked = Plan(
            schemes, baselines, [str(toy_folder)], preset="smoke", overrides=[*own, line], results=tmp_path / "none"
        )
        outlook(asked, display)
    outlook(replace(asked, overrides=[*own, "budget=30m"], converted=70), display)
    assert seen[0].steps > 10
    assert seen[1].steps == pytest.approx(10 * seen[0].steps, abs=10)
    assert seen[1].looks > seen[0].looks > 0
    assert (seen[2].steps, seen[3].steps) == (0, 70)
    assert [note for note in notes if "is not one optimizer step, which takes" in note]


def test_jobs_share_the_time_and_add_up_in_memory() -> None:
    def run(state: str, seconds: float | None, megabytes: float | None) -> Outlook:
        return Outlook("title", 0, state, Estimate(seconds, megabytes, "probe"))

    three = [run("to do", 60, 100), run("interrupted", 60, 300), run("finished", None, None), run("to do", 120, 200)]
    assert summary([(1, three)]) == "4 runs: 1 finished, 3 to do, about 4:00 and 300 MB"
    assert summary([(2, three)]) == "4 runs: 1 finished, 3 to do, about 2:00 and 600 MB"
    assert summary([(9, three), (1, three[:1])]) == "5 runs: 1 finished, 4 to do, about 2:20 and 900 MB"
    assert summary([(1, three[2:3])]) == "1 run: 1 finished, 0 to do"


def test_what_is_finished_is_said_and_takes_nothing(bench: Bench, quick: list[str], results: Path) -> None:
    said = bench("run", "--id-scheme", "numeric", "--baseline", "pop", *quick, "--results", results, "--dry-run")
    assert said.code == 0
    assert said.out.count("finished") == 3
    assert said.out.endswith("2 runs: 2 finished, 0 to do\n")


@pytest.mark.parametrize(
    ("option", "source"),
    [("--id-scheme=numeric", "probe"), ("--id-scheme=set", "probe"), ("--baseline=markov", "fit")],
)
def test_without_earlier_runs_a_few_steps_are_timed_and_nothing_is_stored(
    bench: Bench, quick: list[str], tmp_path: Path, option: str, source: str
) -> None:
    said = bench("run", option, *quick, "--results", tmp_path, "--dry-run", "--seed", "0-1")
    assert said.code == 0, said.err
    assert said.err.count("timing a few steps") == 1  # for both seeds
    assert len(re.findall(rf"to do +\d+:\d\d +[\d,]+ +{source}", said.out)) == 2
    assert re.search(r"2 runs: 0 finished, 2 to do, about \d+:\d\d and [\d,]+ MB\n$", said.out)
    assert not (tmp_path / "runs").exists()
    assert "Now:" not in said.err


def test_a_trained_baseline_is_probed_by_what_it_says_of_ten_steps(
    toy_folder: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan(toy_folder, tiny, tmp_path, "unisrec.width=16", schemes=[], baselines=["unisrec"])
    facts: list[Any] = []
    original = short_run._training

    def training(size: Any, per_step: float) -> float:
        facts.append((size.steps, per_step))
        return original(size, per_step)

    monkeypatch.setattr(short_run, "_training", training)
    (found,) = outlook(asked, Display(loud=False))
    ((steps, per_step),) = facts
    assert steps == 4 * 3  # batches of at most 16 for 40 users
    assert found.estimate.source == "probe"
    assert found.estimate.seconds is not None
    assert found.estimate.seconds > steps * per_step > 0


def test_a_run_after_a_probe_is_the_run_without_it(
    bench: Bench, quick: list[str], results: Path, tmp_path: Path, run_folders: RunFolders, substance: Any
) -> None:
    words = ["run", "--id-scheme", "numeric", *quick, "--results", tmp_path]
    assert bench(*words, "--dry-run").code == bench(*words).code == 0
    (after,) = run_folders(tmp_path)
    without = results / after.relative_to(tmp_path)
    assert substance(after) == substance(without)


def test_what_is_wrong_with_a_request_is_wrong_before_it_too(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    said = bench("run", "--id-scheme", "textul", "--dataset", toy_folder, "--dry-run", "--results", tmp_path)
    assert said.code == 1
    assert said.err.startswith("bench: unknown identifier scheme 'textul'")


def test_steps_that_a_run_would_be_refused_for_are_refused(toy_folder: Path, tiny: Path, tmp_path: Path) -> None:
    asked = plan(toy_folder, tiny, tmp_path, "epochs=0", "budget=30m", converted=100)
    ((request,),) = prepare(asked, Display(loud=False)).groups
    begun = Begun({}, budget={"asked": "30m", "steps": 4210})
    with contextlib.suppress(KeyboardInterrupt), store.building(request.run.folder(tmp_path), begun):
        raise KeyboardInterrupt
    with pytest.raises(BenchError, match="was begun with 4,210 steps for its budget of 30m, and 100 are asked for"):
        outlook(asked, Display(loud=False))
