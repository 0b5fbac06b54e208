"""A baseline that trains is given validation and a context, never a test target, and is let go whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.results import store

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]

# It scores the items that followed the user's last item in training, and writes down what it was given.
SOURCE = """
import json
from dataclasses import dataclass
import numpy as np
from bench.evaluation.baseline import Facts, TrainedBaseline

@dataclass(frozen=True)
class Settings:
    fail: str = ""
    epochs: int = 3
    tune: int = 0
    fixed: tuple[str, ...] = ()

class Follower(TrainedBaseline):
    name = "follower"
    Settings = Settings
    presets = {"smoke": {"epochs": "1"}}
    ranges = {"fail": ("", "fit"), "epochs": (1, 2, 3)}

    def fit(self, train, validation, context):
        visits = context.folder / "visits"
        self.visits = len(visits.read_text()) if visits.exists() else 0
        visits.write_text("x" * (self.visits + 1))
        context.log.write_text("a log")
        context.say(f"visit {self.visits + 1}")
        for step in range(1, self.settings.epochs + 1):
            context.progress(step, self.settings.epochs, {"loss": 1 / step})
        if self.settings.fail == "fit" and not self.visits:
            raise KeyboardInterrupt
        if self.settings.fail == "disk":
            with open("/dev/full", "wb", buffering=0) as full:
                full.write(b"x")
        self.follows = np.zeros((len(train.items), len(train.items)), np.float32)
        for user in range(len(train.sequences)):
            sequence = train.sequences[user]
            np.add.at(self.follows, (sequence[:-1], sequence[1:]), 1)
        lines = context.contract
        self.given = [validation.users.tolist(), validation.items.tolist(), lines.max_history, lines.selection]
        self.users = []

    def score(self, users, histories):
        self.users += users.tolist()
        return self.follows[histories.values[histories.offsets[1:] - 1]]

    def facts(self):
        curve = [{"step": step, "loss": 1 / step} for step in range(1, self.settings.epochs + 1)]
        seen = {"given": self.given, "users": self.users, "visits": self.visits}
        return Facts(7.0, 1.5, 0.5, 3.5, 0.25, 99.0, {**seen, "curve": curve})

    def close(self):
        print("closed")
"""


@pytest.fixture
def follower(tmp_path: Path) -> str:
    (tmp_path / "follower.py").write_text(SOURCE)
    return f"{tmp_path / 'follower.py'}:Follower"


@pytest.fixture
def run(bench: Bench, follower: str, quick: list[str], tmp_path: Path) -> Callable[..., SimpleNamespace]:
    return lambda *words: bench("run", "--baseline", follower, *quick, "--results", tmp_path / "results", *words)


def stored(results: Path, run_folders: RunFolders) -> tuple[Path, dict[str, Any]]:
    (run_folder,) = run_folders(results / "results")
    return run_folder, json.loads((run_folder / "result.json").read_text())


def test_it_selects_on_the_validation_users_of_the_contract_and_scores_every_test_user(
    run: Callable[..., SimpleNamespace], toy: Dataset, run_folders: RunFolders, tmp_path: Path
) -> None:
    said = run("--set", "validation_users=9", "--set", "max_history=3", "--seed", "4")
    assert said.code == 0, said.err
    assert said.out.splitlines().count("closed") == 1
    assert "follower on toy, seed 4: visit 1" in said.err.splitlines()
    run_folder, found = stored(tmp_path, run_folders)
    split = leave_one_out(toy, seed=4, max_history=3)
    sample, _ = split.validation.parted(9, seed=4)
    training = found["training"]
    assert training["given"] == [sample.users.tolist(), sample.items.tolist(), 3, "ndcg@10"]
    assert training["users"] == split.test.users.tolist()
    assert {name: found["contract"][name] for name in ("selection", "validation_users")} == {
        "selection": "ndcg@10",
        "validation_users": 9,
    }
    costs = {name: value for name, value in found["costs"].items() if "inference" not in name}
    assert {name: value for name, value in costs.items() if value is not None} == {
        "parameters": 7.0,
        "training_seconds": 1.5,
        "validation_seconds": 0.5,
        "processor_seconds": 3.5,
        "preparation_seconds": 0.25,
        "peak_memory_mb": 99.0,
    }
    assert found["scheme"]["settings"] == {"fail": "", "epochs": 1, "tune": 0, "fixed": []}
    names = sorted(path.name for path in run_folder.iterdir())
    assert names == ["log.jsonl", "per_user.parquet", "result.json", "result.sha256", "training.log"]
    follows = np.zeros((30, 30))
    for user in range(40):
        np.add.at(follows, (split.train.sequences[user][:-1], split.train.sequences[user][1:]), 1)
    rows = follows[[history[-1] for history in map(split.test.histories.__getitem__, range(40))]]
    ranks = (rows >= rows[np.arange(40), split.test.items][:, None]).sum(axis=1)
    assert found["metrics"]["strict"]["hit@10"] == pytest.approx((ranks <= 10).mean())


def test_what_a_user_has_is_excluded_though_it_is_not_shown(
    bench: Bench, quick: list[str], toy: Dataset, run_folders: RunFolders, tmp_path: Path
) -> None:
    lines = ["--set=max_history=2", "--set=exclude_history=true"]
    said = bench("run", "--baseline", "pop", *quick, *lines, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    run_folder, _ = stored(tmp_path, run_folders)
    counts, expected = np.zeros(30), {}
    for user in range(40):
        np.add.at(counts, toy.sequences[user][:-2], 1)
    for user, name in enumerate(toy.users):
        *before, target = toy.sequences[user].tolist()
        left = [item for item in range(30) if item not in before and counts[item] >= counts[target]]
        expected[name] = len(left) if target in left else np.inf
    table = pd.read_parquet(run_folder / "per_user.parquet")
    assert dict(zip(table["user"], table["rank"].to_numpy(float, na_value=np.inf), strict=True)) == expected
    assert set(table["history_length"]) == {2}


def test_a_stopped_one_finds_its_workshop_again_and_logs_once(
    run: Callable[..., SimpleNamespace], run_folders: RunFolders, tmp_path: Path
) -> None:
    stopped = run("--set", "follower.fail=fit", "--set", "follower.epochs=2")
    assert (stopped.code, stopped.out) == (130, "closed\n")
    assert run("--set", "follower.fail=fit", "--set", "follower.epochs=2").code == 0
    run_folder, found = stored(tmp_path, run_folders)
    assert found["training"]["visits"] == 1
    lines = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    assert lines == [{"stage": "train", "step": 1, "loss": 1.0}, {"stage": "train", "step": 2, "loss": 0.5}]


def test_tune_is_a_setting_of_whatever_can_be_tuned(
    bench: Bench, follower: str, quick: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    words = ["--baseline", f"pop,{follower}", *quick, "--tune", "5", "--results", tmp_path / "results"]
    assert bench("run", *words).code == 0
    tuned = [
        json.loads((run_folder / "result.json").read_text())["scheme"]
        for run_folder in run_folders(tmp_path / "results")
    ]
    assert {scheme["name"]: scheme["settings"].get("tune") for scheme in tuned} == {"follower": 5, "pop": None}
    said = bench("run", "--baseline", "pop", *quick, "--tune", "5", "--results", tmp_path / "none")
    assert said.code == 1
    assert "bench: --tune 5 was asked for, but pop can't be tuned; name what trains" in said.err


def test_what_was_trained_outlives_a_result_that_cannot_be_written(
    run: Callable[..., SimpleNamespace], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BenchError("cannot write results")

    with monkeypatch.context() as broken:
        broken.setattr(store, "write_json", full)
        assert run().code == 1
    assert run().code == 0
    run_folder, found = stored(tmp_path, run_folders)
    assert found["training"]["visits"] == 1  # the context was still there
    assert not (run_folder / "context").exists()


def test_a_full_disk_while_it_trains_is_one_line(run: Callable[..., SimpleNamespace]) -> None:
    said = run("--set", "follower.fail=disk")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("bench: cannot write results to '")
    assert said.err.splitlines()[-1].endswith("No space left on device; name another folder with --results")
