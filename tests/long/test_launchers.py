"""One run whose ranks other launchers than ``torchrun`` start: ``srun`` of a real Slurm, and ``accelerate launch``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from bench import launchers
from tests.long.cluster import Cluster
from tests.long.test_nodes import BUDGET, same

pytestmark = pytest.mark.long

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
RUN = ["run", "--id-scheme", "numeric", "--baseline", "pop", "--preset", "smoke", "--dataset", "toy"]


@pytest.fixture
def words(tiny: Path, toy_folder: Path) -> list[str]:
    lines = {"backbone": tiny, **BUDGET}
    return [*RUN, *(f"--set={name}={value}" for name, value in lines.items()), f"--data-dir={toy_folder.parent}"]


@pytest.fixture
def alone(bench: Bench, words: list[str], run_folders: RunFolders, tmp_path: Path) -> list[Path]:
    said = bench(*words, "--results", tmp_path / "one")
    assert said.code == 0, said.err
    return run_folders(tmp_path / "one")


def equal(ours: list[Path], theirs: list[Path], ranks: int) -> None:
    assert [path.parts[-4:] for path in ours] == [path.parts[-4:] for path in theirs]
    for one, other in zip(ours, theirs, strict=True):
        if (one / "model.safetensors").exists():
            same(one, other)
            assert json.loads((other / "result.json").read_text())["environment"]["processes"] == ranks
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "per_user.parquet") for folder in (one, other)))


def launched(words: Sequence[str | Path], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, check=False)


def test_tasks_of_a_real_slurm_are_ranks(
    cluster: Cluster,
    words: list[str],
    alone: list[Path],
    started: dict[str, str],
    run_folders: RunFolders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", cluster.environment["PATH"])
    monkeypatch.setenv("LD_LIBRARY_PATH", cluster.environment["LD_LIBRARY_PATH"])
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    assert launchers._first_host({"SLURM_STEP_NODELIST": "n[1-2]"}) == "n1"
    environment = {**started, **cluster.environment, "MASTER_ADDR": "127.0.0.1"}  # both nodes are this machine
    srun = ["srun", "--nodes=2", "--ntasks=4", sys.executable, "-m", "bench", *words]
    said = launched([*srun, "--results", tmp_path / "srun"], environment)
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("Slurm's 4 tasks are the ranks of one run") == 1
    equal(alone, run_folders(tmp_path / "srun"), 4)
    wrong = launched([*srun, "--set=batch_size=0", "--results", tmp_path / "wrong"], environment)
    assert wrong.returncode != 0
    assert len({line for line in wrong.stderr.splitlines() if line.startswith("bench: ")}) == 1, wrong.stderr


def test_accelerate_launch_starts_ranks(
    words: list[str], alone: list[Path], started: dict[str, str], run_folders: RunFolders, tmp_path: Path
) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--module"]
    said = launched([*launch, "bench", *words, "--results", tmp_path / "launched"], started)
    assert said.returncode == 0, said.stderr
    equal(alone, run_folders(tmp_path / "launched"), 2)
