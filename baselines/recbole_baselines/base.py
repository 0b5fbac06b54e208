"""What all models of RecBole have in common: files, process, search."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.evaluation.baseline import Facts, TrainedBaseline, Workshop
from bench.evaluation.cost import Stopwatch
from recbole_baselines import files, models
from recbole_baselines.process import RecBole
from recbole_baselines.tuning import draws

NEEDED = ("recbole", "colorama", "colorlog", "yaml", "tensorboard", "texttable", "tqdm")
INSTALL = "pip install 'bench[recbole]' and then pip install --no-deps recbole==1.2.1"

COMMON: dict[str, Any] = {
    "data_path": "../data",  # seen from the working folder
    "checkpoint_dir": ".",
    "benchmark_filename": ["train", "valid"],
    "alias_of_item_id": ["item_id_list"],
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "repeatable": True,
    "metrics": ["Hit", "NDCG"],
    "show_progress": False,
}


class RecBoleBaseline(TrainedBaseline):
    """A model of RecBole: its class there is ``model``, and ``fixed`` is what its configuration holds beside settings."""

    model: ClassVar[str]
    fixed: ClassVar[dict[str, Any]] = {"loss_type": "CE", "train_neg_sample_args": None}
    presets = models.PRESETS

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.process: RecBole | None = None

    def require(self, items: ItemTable) -> None:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise BenchError(
                f"{self.name} runs in RecBole, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
                f"installed: {INSTALL}, in that way on every Python from 3.10 to 3.13; or leave this baseline out"
            )

    def fit(self, train: TrainView, validation: Targets, workshop: Workshop) -> None:
        watch = Stopwatch()
        self.write(train, validation, workshop)
        self.writing = watch.seconds
        trials = draws(models.RANGES.get(self.model, {}), getattr(self.settings, "tune", 0), train.seed)
        search = [self._train(train, workshop, number, trial) for number, trial in enumerate(trials)]
        best = max(range(len(search)), key=lambda number: search[number]["best_validation"], default=0)
        self.found = self._train(train, workshop, best, trials[best] if trials else {})
        if trials:
            kept = ("best_validation", "epochs", "seconds")
            tried = [{name: found[name] for name in kept} for found in search]
            pairs = zip(trials, tried, strict=True)
            self.found |= {"search": [{"settings": trial, **found} for trial, found in pairs], "chosen": trials[best]}

    def write(self, train: TrainView, validation: Targets, workshop: Workshop) -> None:
        """What RecBole reads, in ``workshop.folder``."""
        folder = workshop.folder / "data" / files.NAME
        files.write(folder, self.rows(train, workshop), validation)
        files.write_catalogue(folder, len(train.sequences), len(train.items), self.attributes(train.items))

    def rows(self, train: TrainView, workshop: Workshop) -> files.Rows:
        """The users, histories and items of the training file."""
        return files.prefixes(train, workshop.max_history, self.settings.examples)

    def attributes(self, items: ItemTable) -> list[list[int]] | None:
        return None

    def width(self, workshop: Workshop) -> int:
        """Places that the model has for a history."""
        return workshop.max_history

    def job(self, train: TrainView, workshop: Workshop, trial: dict[str, Any]) -> dict[str, Any]:
        """What ``job.json`` says. ``trial`` holds settings of a search."""
        settings = {**asdict(self.settings), **trial}
        return {
            "model": self.model,
            "seed": train.seed,
            "threads": torch.get_num_threads(),
            "selection": workshop.selection,
            "exclude_history": workshop.exclude_history,
            "config": {
                **COMMON,
                "seed": train.seed,
                "MAX_ITEM_LIST_LENGTH": self.width(workshop),
                # RecBole sets CUDA_VISIBLE_DEVICES from this, whatever it was.
                "gpu_id": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
                "load_col": {
                    "inter": ["user_id", "item_id_list", "item_id"],
                    "user": ["user_id"],
                    "item": ["item_id", "attributes"],
                },
                **self.fixed,
                **{name: value for name, value in settings.items() if name not in models.OURS},
            },
        }

    def _train(self, train: TrainView, workshop: Workshop, number: int, trial: dict[str, Any]) -> dict[str, Any]:
        """Train in a process of its own, which stays to be asked; one that was finished before is only read back."""
        self.close()
        job = self.job(train, workshop, trial)
        self.process = RecBole(self.name, job, workshop.folder / f"trial-{number}", workshop.log)
        return self.process.trained(workshop.report)

    def score(self, users: NDArray[np.int64], histories: Sequences) -> NDArray[np.float32]:
        assert self.process, "fit comes first"
        return self.process.score(users, histories)

    def facts(self) -> Facts:
        assert self.process, "fit comes first"
        found = dict(self.found)
        parameters, seconds, loading = (found.pop(name) for name in ("parameters", "seconds", "loading_seconds"))
        return Facts(parameters, self.writing + loading, seconds, round(self.process.peak_mb(), 1), found)

    def close(self) -> None:
        if self.process:
            self.process.end()
        self.process = None
