"""A search for the settings of a scheme: trials by validation alone, all kept, resumed exactly, one row."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from bench.errors import BenchError
from bench.results import digests
from bench.runs.matrix import Plan, _resolved
from bench.training.search import SHARED

Bench = Callable[..., SimpleNamespace]
Folders = Callable[[Path], list[Path]]
Substance = Callable[[Path], dict[str, Any]]

TUNED = ["run", "--id-scheme", "numeric/random", "--tune", "4"]
LINES = ["--set=examples=all", "--set=validate_every=1", "--set=dropout=0.0"]


def stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


@pytest.fixture(scope="module")
def whole(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    results = tmp_path_factory.mktemp("whole")
    said = bench(*TUNED, *quick, *LINES, "--results", results)
    assert said.code == 0, said.err
    return results, said.err


def test_every_trial_is_stored_and_the_best_is_trained_with_everything(
    whole: tuple[Path, str], run_folders: Folders
) -> None:
    (folder,) = run_folders(whole[0])
    found = stored(folder)
    search, steps = found["training"]["search"], found["training"]["steps"]
    trials = search["trials"]
    assert trials[0]["settings"] == {"learning_rate": 0.003, "weight_decay": 0.01}
    assert all(set(trial["settings"]) == {"learning_rate", "weight_decay"} for trial in trials)  # dropout was given
    assert sorted(len(trial["rungs"]) for trial in trials) == [1, 1, 2, 2]
    quarter, half = ([trial["rungs"][at] for trial in trials if len(trial["rungs"]) > at] for at in (0, 1))
    assert {record["steps"] for record in quarter} == {round(steps / 4)}
    assert {record["steps"] for record in half} == {round(steps / 2)}
    last = {number: trial["rungs"][1] for number, trial in enumerate(trials) if len(trial["rungs"]) == 2}
    assert last[search["chosen"]]["best_validation"] == max(record["best_validation"] for record in last.values())
    assert f"trial {search['chosen'] + 1} of 4 chosen, with " in whole[1]


def test_a_row_costs_what_its_search_did(whole: tuple[Path, str], run_folders: Folders) -> None:
    (folder,) = run_folders(whole[0])
    found = stored(folder)
    records = [record for trial in found["training"]["search"]["trials"] for record in trial["rungs"]]
    for name, own in {"steps": found["training"]["steps"], "target_examples": 4 * 158}.items():
        assert found["costs"][name] == own + sum(record[name] for record in records)
    assert found["costs"]["processor_seconds"] > sum(record["processor_seconds"] for record in records)


def test_a_searched_row_is_another_than_one_that_is_not(
    bench: Bench, quick: list[str], whole: tuple[Path, str], run_folders: Folders
) -> None:
    plain = [word for word in TUNED if word not in ("--tune", "4")]
    assert bench(*plain, *quick, *LINES, "--results", whole[0]).code == 0
    found = {stored(folder)["scheme"]["search"].get("tune", 0): stored(folder) for folder in run_folders(whole[0])}
    assert found[4]["contract"] == found[0]["contract"]  # so that they may be compared
    assert found[4]["scheme"]["search"] == {"tune": 4, "searched": "learning_rate, weight_decay"}
    assert bench("report", "--results", whole[0]).code == 0
    report = (whole[0] / "report.md").read_text()
    assert "numeric/random (tune=4, " in report
    assert "settings were not searched alike for all rows" in report


def test_a_search_that_is_killed_ends_as_if_it_had_not_been(
    bench: Bench,
    quick: list[str],
    whole: tuple[Path, str],
    run_folders: Folders,
    started: dict[str, str],
    substance: Substance,
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "bench", *TUNED, *quick, *LINES, "--results", str(tmp_path)]
    with subprocess.Popen(command, env=started, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.rglob("trial-1-*/trial.json")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = len(list(tmp_path.rglob("trial.json")))
    said = bench(*command[3:])
    assert said.code == 0, said.err
    assert kept >= 2
    assert said.err.count("of the budget, with ") == 6 - kept
    (again,) = run_folders(tmp_path)
    searched = [folder for folder in run_folders(whole[0]) if stored(folder)["scheme"]["search"]]
    assert without_clock(substance(again)) == without_clock(substance(searched[0]))
    assert not list(again.glob("trial-*"))


def without_clock(found: dict[str, Any]) -> dict[str, Any]:
    for trial in found["training"]["search"]["trials"]:
        for record in trial["rungs"]:
            for name in [name for name in record if name.endswith("seconds")]:
                del record[name]
    return found


def test_what_is_given_is_not_searched_and_sizes_where_that_is_asked_for() -> None:
    def lines(*overrides: str, **said: Any) -> dict[str, tuple[Any, ...]]:
        plan = Plan(["numeric"], [], ["toys"], preset="cpu", tune=3, overrides=overrides, **said)
        (search,) = _resolved(plan, print).search.values()
        return dict(search.lines)

    assert lines() == dict(SHARED)
    assert lines("learning_rate=0.1").keys() == {"dropout", "weight_decay"}
    assert lines(tune_size=True)["backbone"] == ("mini", "tiger")
    assert lines("backbone=llama-tiger", tune_size=True)["backbone"] == ("llama-mini", "llama-tiger")
    assert "backbone" not in lines("backbone=llama-tiger")
    with pytest.raises(BenchError, match="--tune 3 was asked for, but all that it searches is given: learning_rate,"):
        lines("learning_rate=0.1", "dropout=0.1", "weight_decay=0.1")


def test_sizes_under_a_recipe_are_those_of_its_backbone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from bench.recipes import Recipe\nMINE = Recipe('a paper', contract={'backbone': 'qwen-tiger'})\n"
    )
    plan = Plan(["numeric"], ["pop"], ["toys"], preset="cpu", tune=3, tune_size=True, recipe=f"{tmp_path}/mine.py:MINE")
    found = _resolved(plan, print)
    (search,) = found.search.values()
    assert dict(search.lines)["backbone"] == ("qwen-mini", "qwen-tiger")
    with pytest.raises(BenchError, match=r"backbone 'Qwen/Qwen2.5-1.5B' has no other sizes to search"):
        _resolved(Plan(["set/setrec"], [], ["toys"], preset="cpu", tune=3, tune_size=True, recipe="qwen"), print)


def test_sizes_of_a_decoder_only_model_are_searched_to_the_end(
    bench: Bench, quick: list[str], run_folders: Folders, tmp_path: Path
) -> None:
    """What is chosen is what was better on validation, and what Transformers opens is of that size."""
    given = ("backbone=qwen-mini", "epochs=1", "learning_rate=0.003", "dropout=0.0", "weight_decay=0.0")
    words = ["run", "--id-scheme", "numeric/random", *quick, *(f"--set={line}" for line in given)]
    asked = [*words, "--tune", "2", "--tune-size", "--results", tmp_path]
    said = bench(*asked)
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path)
    found = stored(folder)
    search = found["training"]["search"]
    assert [trial["settings"] for trial in search["trials"]] == [{"backbone": "qwen-mini"}, {"backbone": "qwen-tiger"}]
    scores = [trial["rungs"][-1]["best_validation"] for trial in search["trials"]]
    assert search["chosen"] == scores.index(max(scores))
    assert (found["contract"]["backbone"], found["scheme"]["search"]["searched"]) == ("qwen-mini", "backbone")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.num_hidden_layers == (4, 8)[search["chosen"]]
    assert model.num_parameters() == found["costs"]["parameters"]
    assert bench(*asked).err.count("trial 1") == 0, "it is finished"


def test_sizes_that_nobody_could_search_are_refused(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    words = ["run", "--id-scheme", "numeric/random", *quick, "--tune-size", "--results", tmp_path]
    alone = bench(*words)
    assert alone.err.splitlines()[-1] == (
        "bench: --tune-size says what --tune searches, and that was not asked for; add --tune TRIALS"
    )
    unnamed = bench(*words, "--tune", "2")
    assert "has no other sizes to search; name one that has (mini, tiger, qwen-mini, " in unnamed.err.splitlines()[-1]
    assert (alone.code, unnamed.code) == (1, 1)
    assert not (tmp_path / "runs").exists()


def test_a_trial_whose_loss_is_no_number_is_a_failure_of_its_settings(
    bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    lines = ("clip_norm=0", "learning_rate=1e30", "weight_decay=0.0")
    said = bench(*TUNED, *quick, *(f"--set={line}" for line in lines), "--results", tmp_path)
    assert said.code == 1
    assert "trials of the search failed, the first with the training loss became" in said.err.splitlines()[-1]


def test_settings_that_were_found_elsewhere_are_used_by_name_and_stored(
    bench: Bench, quick: list[str], whole: tuple[Path, str], run_folders: Folders, tmp_path: Path
) -> None:
    (folder,) = (one for one in run_folders(whole[0]) if "search" in stored(one)["training"])
    search = stored(folder)["training"]["search"]
    chosen = search["trials"][search["chosen"]]["settings"]
    plain = [word for word in TUNED if word not in ("--tune", "4")]
    said = bench(*plain, *quick, *LINES, "--tuned", folder, "--results", tmp_path)
    assert said.code == 0, said.err
    (again,) = run_folders(tmp_path)
    scheme = stored(again)["scheme"]
    assert scheme["found"] == "4 trials on toy"
    assert scheme["search"] == {name: str(value) for name, value in chosen.items()}
    assert stored(again)["contract"] == stored(folder)["contract"]
    assert stored(again)["metrics"] == stored(folder)["metrics"]  # the same training as the search ended with
    given = bench(*plain, *quick, *LINES, "--tuned", folder, "--set=learning_rate=0.05", "--results", tmp_path / "set")
    assert given.code == 0, given.err
    (mine,) = run_folders(tmp_path / "set")  # what is given goes before what was found, as its contract says
    assert stored(mine)["contract"]["learning_rate"] == 0.05
    assert stored(mine)["scheme"]["search"] == {"weight_decay": str(chosen["weight_decay"])}
    assert stored(mine)["training"]["curve"] != stored(again)["training"]["curve"]
    both = bench(*TUNED, *quick, "--tuned", folder, "--results", tmp_path)
    assert both.err.splitlines()[-1].startswith("bench: --tune searches on the data set itself and --tuned takes ")
    strange = bench("run", "--id-scheme", "numeric", *quick, "--tuned", folder, "--results", tmp_path)
    assert "names a search of numeric/random, which is not in this run" in strange.err
    no_search = bench(*plain, *quick, "--tuned", again, "--results", tmp_path)
    assert no_search.err.splitlines()[-1].endswith("was not searched")
    mute = shutil.copytree(folder, tmp_path / "mute")
    text = json.dumps(stored(mute) | {"training": stored(mute)["training"] | {"search": {"trials": [], "chosen": 0}}})
    (mute / "result.json").write_text(text)
    digests.seal(mute)
    unsaid = bench(*plain, *quick, "--tuned", mute, "--results", tmp_path)
    assert "does not say which settings its search chose" in unsaid.err.splitlines()[-1]
    nowhere = bench(*plain, *quick, "--tuned", tmp_path / "none", "--results", tmp_path)
    assert "--tuned names folders of finished runs; there is no '" in nowhere.err.splitlines()[-1]
