"""Two processes are one: the same weights, the same ranks, every user once (torchrun, gloo on the CPU)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from safetensors.torch import load_file

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
RUNS = {"alone@1", "probe@1", "random@1", "set.setrec@2", "textual.idgenrec@2"}

# A scheme in a file, as anyone may bring one. It sees the trained recommender in every process, and notes the weights.
# Users are ranked seven at a time, so that there is something to share out.
PROBE = """
import atexit
import os
from pathlib import Path
import numpy as np
from safetensors.torch import save_file
from bench.training import ranking
from bench.evaluation.baseline import Facts, TrainedBaseline
from bench.ids.scheme import Stage
from numeric_ids import Sequential

ranking.users_at_once = lambda recommender: 7


class Told:
    def __init__(self, path):
        self.tell = path.touch
    def __del__(self):
        self.tell()


if "RANK" in os.environ:
    atexit.register(Path(__file__).with_name(f"left-{os.environ['RANK']}").touch)
    torn_down = Told(Path(__file__).with_name(f"torn-down-{os.environ['RANK']}"))


class Probe(Sequential):
    name = "probe"

    def stages(self, train, ids):
        recommender = (yield Stage(ids)).recommender
        rank = os.environ.get("RANK", "0")
        weights = {name: p.detach().clone() for name, p in recommender.named_parameters()}
        save_file(weights, Path(__file__).with_name(f"rank-{rank}.safetensors"))


class Alone(TrainedBaseline):
    name = "alone"

    def fit(self, train, validation, context):
        Path(__file__).with_name(f"fitted-{os.environ.get('RANK', 'alone')}").touch()
        self.items = len(train.items)

    def score(self, users, histories):
        return np.arange(len(users))[:, None] % 7 * np.sin(np.arange(self.items), dtype=np.float32)

    def facts(self):
        return Facts(None, 0.0)
"""


@pytest.fixture(scope="module")
def words(quick: list[str], tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three epochs without dropout, the one thing that two processes draw differently. Most batches are of odd size."""
    probe = tmp_path_factory.mktemp("probe") / "probe.py"
    probe.write_text(PROBE)
    budget = {"examples": "all", "epochs": 3, "batch_size": 15, "learning_rate": 1e-3, "clip_norm": 0.5}
    changed = {**budget, "dropout": 0, "validate_every": 3}  # the last weights are the ones that are left
    nets = {"set.epochs": 1, "set.width": 8, "set.hidden": 8, "set.dimensions": 8}
    names = {"generator": tiny, "bootstrap_epochs": 40, "candidates": 3, "lengths": 1, "users": "on"}
    turns = {"generator_share": 0.25, "generator_rate": 10}
    learned = {f"textual.{name}": value for name, value in {**names, **turns}.items()}
    contract = [f"--set={name}={value}" for name, value in {**changed, **nets, **learned}.items()]
    schemes = f"{probe}:Probe,set,textual/idgenrec"
    return ["run", "--id-scheme", schemes, "--baseline", f"random,{probe}:Alone", *quick, *contract]


@pytest.fixture(scope="module")
def one(
    words: list[str], bench: Bench, run_folders: RunFolders, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    results = tmp_path_factory.mktemp("one")
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    return {run_folder.parents[1].name.partition("+")[0]: run_folder for run_folder in run_folders(results)}


@pytest.fixture(scope="module")
def two(
    words: list[str], started: dict[str, str], run_folders: RunFolders, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    results = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "bench", *words, "--results", str(results)]
    done = subprocess.run(command, env=started, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("probe on toy, seed 0: finished, stored in") == 1  # one process speaks
    assert done.stderr.count("Now: bench report") == 1
    return {run_folder.parents[1].name.partition("+")[0]: run_folder for run_folder in run_folders(results)}


def result(run_folder: Path) -> dict[str, object]:
    stored: dict[str, object] = json.loads((run_folder / "result.json").read_text())
    return stored


def test_it_is_the_same_run(one: dict[str, Path], two: dict[str, Path]) -> None:
    assert one.keys() == two.keys() == RUNS
    for name in one:
        first, second = result(one[name]), result(two[name])
        assert first["contract_id"] == second["contract_id"]
        assert first["environment"]["processes"] == 1  # type: ignore[index]
        assert second["environment"]["processes"] == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("scheme", "files"),
    [
        ("probe@1", ["model.safetensors"]),
        ("set.setrec@2", ["model.safetensors", "head.safetensors"]),
        ("textual.idgenrec@2", ["model.safetensors", "generator.safetensors"]),
    ],
)
def test_two_processes_train_one_model(
    one: dict[str, Path], two: dict[str, Path], scheme: str, files: list[str]
) -> None:
    """Gradients that were not synchronised, or averaged wrongly, would differ by the size of a step, 0.001."""
    for file in files:
        alone, together = (load_file(run_folders[scheme] / file) for run_folders in (one, two))
        assert alone.keys() == together.keys()
        assert max(float((alone[name] - together[name]).abs().max()) for name in alone) < 1e-5
    curves = [result(run_folders[scheme])["training"]["curve"] for run_folders in (one, two)]  # type: ignore[index]
    assert [point["step"] for point in curves[0]] == [point["step"] for point in curves[1]]
    for ours, theirs in zip(*curves, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_two_processes_name_items_alike(one: dict[str, Path], two: dict[str, Path]) -> None:
    """Before and after the stage of the generator, which is trained on gradients that come through the recommender."""
    alone, together = (pd.read_parquet(run_folders["textual.idgenrec@2"] / "ids.parquet") for run_folders in (one, two))
    assert (alone["identifier"] != alone["before"]).any()
    pd.testing.assert_frame_equal(alone, together)
    first, second = (run_folders["textual.idgenrec@2"] / "ids.safetensors" for run_folders in (one, two))
    assert first.read_bytes() == second.read_bytes()  # with the names of users


def test_both_processes_hold_that_model(words: list[str], two: dict[str, Path]) -> None:
    folder = Path(words[2].partition(":")[0]).parent
    first, second = (load_file(folder / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(bool((first[name] == second[name]).all()) for name in first)
    stored = load_file(two["probe@1"] / "model.safetensors")
    assert bool((first["backbone.embedding.weight"] == stored["shared.weight"]).all())


def test_a_baseline_that_trains_is_left_to_one_process(words: list[str], two: dict[str, Path]) -> None:
    folder = Path(words[2].partition(":")[0]).parent
    assert sorted(path.name for path in folder.glob("fitted-*") if path.name != "fitted-alone") == ["fitted-0"]


def test_ranks_end_without_tearing_the_interpreter_down(words: list[str], two: dict[str, Path]) -> None:
    """Else one of them is aborted now and then, by a thread of Gloo that frees a tensor meanwhile."""
    folder = Path(words[2].partition(":")[0]).parent
    assert two
    assert sorted(path.name for path in folder.glob("left-*")) == ["left-0", "left-1"]
    assert not list(folder.glob("torn-down-*"))


@pytest.mark.parametrize("name", sorted(RUNS))
def test_every_user_is_ranked_once_and_alike(one: dict[str, Path], two: dict[str, Path], name: str) -> None:
    alone, together = (pd.read_parquet(run_folders[name] / "per_user.parquet") for run_folders in (one, two))
    assert together["user"].tolist() == [f"u{user:02d}" for user in range(40)]
    pd.testing.assert_frame_equal(alone, together)
    assert together["rank"].nunique() > 5
    assert result(one[name])["metrics"] == result(two[name])["metrics"]
