"""An unfinished run of RecBole may come from somebody else: nothing in it is run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.files import write_json

Bench = Callable[..., SimpleNamespace]

CHILD = """
import os, sys, torch
from recbole_baselines import shims
shims.apply()
from recbole_baselines.training import Model
os.chdir(sys.argv[1])
model = Model.__new__(Model)
model.config = {"device": "cpu"}
model.model = torch.nn.Linear(1, 1)
try:
    model._load("best.pth")
except Exception as error:
    print(type(error).__name__)
try:
    torch.load("best.pth")
except Exception as error:
    print(type(error).__name__)
from recbole.data import utils
shims.unpickle_no_data_set()
try:
    utils.create_dataset({"model": "SASRec", "MODEL_TYPE": utils.ModelType.SEQUENTIAL, "checkpoint_dir": ".",
                          "dataset": "split", "dataset_save_path": None})
except Exception as error:
    print(type(error).__name__, error)
"""


class Marks:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.usefixtures("recbole")
def test_a_pickle_in_the_working_folder_is_not_run(tmp_path: Path, started: dict[str, str]) -> None:
    import torch

    torch.save({"state_dict": Marks(tmp_path / "MARK")}, tmp_path / "best.pth")
    (tmp_path / "split-SequentialDataset.pth").write_bytes(pickle.dumps(Marks(tmp_path / "MARK")))
    environment = {**started, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # whatever somebody has set
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.splitlines()[:2] == ["UnpicklingError", "UnpicklingError"], done.stderr
    assert "is a pickled data set, which may run code; it is not read" in done.stdout
    assert not (tmp_path / "MARK").exists()


@pytest.mark.usefixtures("recbole")
def test_an_unfinished_run_from_elsewhere_is_resumed_without_its_pickles(
    bench: Bench, toy_folder: Path, tmp_path: Path, run_folders: Callable[[Path], list[Path]]
) -> None:
    import torch

    from bench.results import store

    results = tmp_path / "results"
    words = ["run", "--baseline", "gru4rec", "--preset", "smoke", "--dataset", toy_folder, "--results", results]
    words += ["--set=epochs=1", "--set=gru4rec.hidden_size=8"]
    assert bench(*words).code == 0
    (run_folder,) = run_folders(results)
    partial = store.partial_folder(run_folder)
    begun = _begun(bench, words, run_folder)
    partial.mkdir()
    (partial / store.BEGUN).write_bytes(begun)
    trial = partial / store.TRAINING_FOLDER / "trial-whole"
    trial.mkdir(parents=True)
    write_json(trial / "trained.json", {})
    torch.save({"state_dict": Marks(tmp_path / "MARK")}, trial / "best.pth")
    said = bench(*words)
    assert (said.code, "Traceback" in said.err) == (1, False)
    assert "gru4rec failed in RecBole" in said.err
    assert not (tmp_path / "MARK").exists()


def _begun(bench: Bench, words: list[Any], run_folder: Path) -> bytes:
    """What the run was begun as, taken from a run that is stopped at once; the finished one is put away."""
    import shutil

    from bench import files
    from bench.results import store

    shutil.rmtree(run_folder)
    seen: dict[str, bytes] = {}

    def look(step: str, path: Path) -> None:
        if step == "rename" and path == run_folder:
            seen["begun"] = (store.partial_folder(run_folder) / store.BEGUN).read_bytes()

    before, files.hook = files.hook, look
    try:
        assert bench(*words).code == 0
    finally:
        files.hook = before
    shutil.rmtree(run_folder)
    return seen["begun"]
