"""Every model of RecBole, trained once in one process on tiny data."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole_baselines import base
from recbole_baselines.base import RecBoleBaseline

from bench.contract import Contract
from bench.data import sources
from bench.data.dataset import Dataset
from bench.data.global_time import global_time
from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import TrainingContext
from bench.runs import subjects

SMALL = {"hidden_size": "8"}
SELF_ATTENTION = {**SMALL, "inner_size": "8", "n_layers": "1"}
SETTINGS = {
    "sasrec/ce": SELF_ATTENTION,
    "sasrec/bpr": SELF_ATTENTION,
    "gru4rec": {**SMALL, "learning_rate": "0.5"},  # which soon is too much
    "caser": {},
    "hgn": {},
    "bert4rec": {**SELF_ATTENTION, "n_heads": "7", "tune": "3", "fixed": "n_layers"},
    "fdsa": SELF_ATTENTION,
    "s3rec": {**SELF_ATTENTION, "pretrain_fraction": "0.6"},
    "itemknn": {},
    "recbole-pop": {},
}
TINY = Contract(epochs=2, batch_size=32, patience=99, max_history=12)
CONTRACTS = {
    "sasrec/ce": replace(TINY, epochs=1, examples="one"),
    "gru4rec": replace(TINY, epochs=8, schedule="constant"),
    "s3rec": replace(TINY, epochs=5),
}


MULTI_TARGET = ("recbole-pop",)  # under the global-time split, with several targets of a user
EXCLUDING = ("sasrec/bpr", "hgn", "itemknn", "recbole-pop")  # validated without what a user already has
SHOWN = {"sasrec/bpr": 3, "recbole-pop": 3}  # of up to eight items; others are shown all


@dataclass(frozen=True)
class Trained:
    """A model, what it was given, and what its process answered."""

    baseline: RecBoleBaseline
    split: Split
    folder: Path
    answers: dict[str, Any]

    @property
    def scores(self) -> Any:
        return np.load(self.folder / "scores.npy")

    @property
    def excluded(self) -> Any:
        """``[users, items]``: what takes no place in the model's own validation, None where everything does.

        That is all that a user trained on, however little of it is shown.
        """
        if self.baseline.name not in EXCLUDING:
            return None
        train, items = self.split.train, np.arange(len(self.split.train.items))
        return np.array([np.isin(items, train.sequences[user]) for user in self.split.validation.users])


@pytest.fixture(scope="session")
def recbole() -> None:
    missing = [name for name in base.NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"RecBole or what it imports is not installed ({', '.join(missing)}): {base.INSTALL}")


@pytest.fixture(scope="session")
def prepared() -> Callable[..., tuple[RecBoleBaseline, TrainingContext]]:
    """A baseline, and a context with the files that RecBole reads."""

    def prepare(
        name: str, split: Split, folder: Path, cap: int = 12, lines: dict[str, Any] | None = None, **settings: str
    ) -> tuple[RecBoleBaseline, TrainingContext]:
        cls: Any = subjects.load_baseline(name)
        baseline = cls(subjects.settings(cls, settings))
        shown = {"max_history": cap, "exclude_history": name in EXCLUDING, **(lines or {})}
        context = TrainingContext(folder, folder / "training.log", replace(CONTRACTS.get(name, TINY), **shown))
        users, *_ = baseline.write(split.train, split.validation, context)
        (folder / "job.json").write_text(json.dumps(baseline.job(split.train, context, users)))
        return baseline, context

    return prepare


@pytest.fixture(scope="session")
def facts(
    recbole: None,
    toy: Dataset,
    prepared: Callable[..., tuple[RecBoleBaseline, TrainingContext]],
    started: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, bool], dict[str, Trained]]:
    """What RecBole lacks when nothing is patched, and every model. SASRec is on real ratings, the others on the toy."""
    root = tmp_path_factory.mktemp("recbole")
    splits, baselines = {}, {}
    for name, settings in SETTINGS.items():
        folder = root / name.replace("/", "-")
        data = sources.find("ml-100k") if name == "sasrec/ce" else toy
        cap = SHOWN.get(name, 12)
        splits[name] = leave_one_out(data, seed=1, max_history=cap)
        if name in MULTI_TARGET:
            begins = np.repeat(np.arange(40) / 5, toy.sequences.lengths)  # users come one after the other
            splits[name] = global_time(replace(toy, times=toy.times + begins), seed=1, max_history=cap)
        folder.mkdir()
        baselines[name], _ = prepared(name, splits[name], folder, cap, **settings)
        asked = splits[name].validation
        values, offsets = asked.histories.values, asked.histories.offsets
        np.savez(folder / "asked.npz", users=asked.users, values=values, offsets=offsets)
    folders = [root / name.replace("/", "-") for name in SETTINGS]
    script = Path(__file__).with_name("facts.py")
    command = [sys.executable, str(script), str(root / "answers.json"), *map(str, folders)]
    done = subprocess.run(command, env=started, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((root / "answers.json").read_text())
    models = found["models"]
    trained = {
        name: Trained(baselines[name], splits[name], folder, models[folder.name])
        for name, folder in zip(SETTINGS, folders, strict=True)
    }
    return found["unshimmed"], trained
