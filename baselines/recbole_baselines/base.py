"""What all models of RecBole have in common: files, process, search."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Contract
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.errors import BenchError, unknown
from bench.evaluation.baseline import BUDGET, Facts, TrainedBaseline, TrainingContext
from bench.evaluation.by_part import Parts
from bench.ids.limits import PARAMETER, CatalogueSize, Needs
from bench.results.kept import STATE, read_state, write_state
from bench.training.cost import Stopwatch
from bench.training.search import draws
from bench.versions import installed
from recbole_baselines import files, models, state
from recbole_baselines.plan import plan
from recbole_baselines.process import RecBole
from recbole_baselines.tuning import summary

NEEDED = ("recbole", "colorama", "colorlog", "yaml", "tensorboard", "texttable", "tqdm")
# RecBole's own metadata asks for a Ray that has no wheel for Python 3.12 and above.
VERSION = "1.2.1"
INSTALL = f"pip install 'item-identifier-bench[recbole]', then pip install --no-deps recbole=={VERSION}"

PROCESS = 8e8  # bytes of Python, torch and RecBole
RANKED = 3e8  # bytes of the scores of users that are ranked together

COMMON: dict[str, Any] = {
    "data_path": "../data",  # seen from the working folder
    "checkpoint_dir": ".",
    "benchmark_filename": ["train", "valid"],
    "alias_of_item_id": ["item_id_list"],
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "load_col": {
        "inter": ["user_id", "item_id_list", "item_id"],
        "user": ["user_id"],
        "item": ["item_id", "attributes"],
    },
    "repeatable": True,
    "metrics": ["Hit", "NDCG"],
    "show_progress": False,
}


class RecBoleBaseline(TrainedBaseline):
    """A model of RecBole: ``model`` is its class there, ``fixed`` what its configuration holds beside the settings."""

    model: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]] = models.SIZES
    binds: ClassVar[tuple[str, ...]] = (*TrainedBaseline.binds, *BUDGET)
    saves_state = True
    no_transfer_reason = "has a trained vector for every item of one catalogue"
    fixed: ClassVar[dict[str, Any]] = {"loss_type": "CE", "train_neg_sample_args": None}

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.process: RecBole | None = None

    def validate_items(self, items: ItemTable) -> None:
        require_recbole(self.name)
        for name in sorted(self.fixed_settings):
            if name not in self.ranges:
                raise unknown(f"searched setting of {self.name} in 'fixed'", name, self.ranges)
        if getattr(self.settings, "tune", 0) and len(self.fixed_settings) == len(self.ranges):
            raise BenchError(
                f"--tune has nothing to search for {self.name}: --set fixes all of its ranges, "
                f"{', '.join(self.ranges)}; fix fewer, or drop --tune"
            )

    @property
    def fixed_settings(self) -> set[str]:
        """What a search leaves as it is."""
        return set(getattr(self.settings, "fixed", ()))

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        watch = Stopwatch()
        rows = self.write(train, validation, context)
        self.writing = watch.seconds
        self.process = RecBole(self.name, self.job(train, context, rows[0]), context.folder, context.log)
        self.found = self.process.trained(context.progress)
        if "search" in self.found:
            context.say(summary(self.found["search"], context.contract.selection))

    def write(self, train: TrainView, validation: Targets, context: TrainingContext) -> files.Rows:
        """What RecBole reads, in ``context.folder``: the users, histories and items of the training file."""
        folder, rows = context.folder / "data" / files.NAME, self.rows(train, context)
        files.write(folder, rows, validation)
        if context.contract.exclude_history:
            files.write_seen(folder, validation)
        files.write_catalogue(folder, len(train.sequences), len(train.items), self.attributes(train.items))
        return rows

    def rows(self, train: TrainView, context: TrainingContext) -> files.Rows:
        """The users, histories and items of the training file."""
        return files.prefixes(train, context.contract.max_history)

    def attributes(self, items: ItemTable) -> list[list[int]] | None:
        return None

    def width(self, context: TrainingContext) -> int:
        """Places that the model has for a history."""
        return context.contract.max_history

    def job(self, train: TrainView, context: TrainingContext, users: NDArray[np.int64]) -> dict[str, Any]:
        """What ``job.json`` says, where the training file has rows of these users."""
        settings = asdict(self.settings)
        searched = {name: choices for name, choices in self.ranges.items() if name not in self.fixed_settings}
        present = {name: settings[name] for name in searched}
        trials = settings.get("tune", 0)
        sizes = [name for name in searched if name in self.sizes] if trials else []
        return {
            **self._job(context.folder, self.view(train, context)),
            "seed": train.seed,
            "selection": context.contract.selection,
            "exclude_history": context.contract.exclude_history,
            "plan": self.plan(context, users),
            "parts": asdict(Parts(train.part_names, train.part_users)),
            "sizes": sizes,
            "trials": draws(searched, present, trials, train.seed) if trials else [],
        }

    def _job(self, folder: Path, lines: Mapping[str, Any]) -> dict[str, Any]:
        """What any job says, with more ``lines`` of RecBole's configuration."""
        own = {name: value for name, value in asdict(self.settings).items() if name not in models.OURS}
        # RecBole sets CUDA_VISIBLE_DEVICES from this, whatever it was.
        device = {"gpu_id": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
        return {
            "model": self.model,
            "seed": 0,
            "threads": torch.get_num_threads(),
            "plan": None,
            "folder": str(folder),
            "config": {**COMMON, **self.fixed, **own, **lines, **device},
        }

    def plan(self, context: TrainingContext, users: NDArray[np.int64]) -> dict[str, Any] | None:
        """How long it trains, and how; None where the contract's budget does not bind it, since it only counts."""
        if "epochs" not in self.binds:
            return None
        fraction = getattr(self.settings, "pretrain_fraction", 0.0)
        return plan(context.contract, users, context.converted, fraction).plain

    def view(self, train: TrainView, context: TrainingContext) -> dict[str, Any]:
        """The lines of RecBole's configuration that depend on the run."""
        return {
            "seed": train.seed,
            "MAX_ITEM_LIST_LENGTH": self.width(context),
            **(_trained(context.contract) if "epochs" in self.binds else {}),
        }

    def needs(self, size: CatalogueSize) -> Needs:
        """RecBole's process, its copies of the data, the tables of items with their moments, and the scores of all
        items: in the softmax of a batch, where that is the loss, and while users are ranked.
        """
        width = getattr(self.settings, "hidden_size", 0) or getattr(self.settings, "embedding_size", 64)
        data = size.interactions * (40.0 * size.history + 300)
        rows = self.tables * size.items + self.knows_users * size.users
        tables = (PARAMETER + 12.0) * width * rows
        whole = self.fixed.get("loss_type") == "CE"
        logits = 16.0 * size.batch * self.scored(size) * size.items if whole else 0.0
        hint = "use sasrec/bpr, or a smaller --set batch_size" if whole else ""
        return Needs(PROCESS + data + tables + logits + RANKED, 0.0, hint)

    tables: ClassVar[int] = 1  # vectors of each item that are trained
    knows_users: ClassVar[bool] = False  # by a vector of each

    def scored(self, size: CatalogueSize) -> int:
        """Positions of an example whose loss is over all items."""
        return 1

    def score(self, users: NDArray[np.int64], histories: Sequences) -> NDArray[np.float32]:
        assert self.process, "fit comes first"
        return self.process.score(users, histories)

    def facts(self) -> Facts:
        assert self.process, "fit comes first"
        found = {**self.found, "recbole": VERSION}
        validation = found.pop("validation_seconds")
        return Facts(
            parameters=found.pop("parameters"),
            training_seconds=found.pop("seconds") - validation,
            validation_seconds=validation,
            processor_seconds=found.pop("processor_seconds"),
            preparation_seconds=self.writing + found.pop("importing_seconds") + found.pop("loading_seconds"),
            peak_memory_mb=round(self.process.peak_mb(), 1),
            **self._counted(found),
            training=found,
        )

    def _counted(self, found: dict[str, Any]) -> dict[str, float | None]:
        """Of ``found``, which loses them, what is counted in steps; what only counts takes none."""
        looks, steps = found.pop("looks"), found.pop("all_steps", found["steps"])
        examples, flops = found.pop("target_examples"), found.pop("training_flops")
        if "epochs" not in self.binds:
            return {"looks": looks}
        return {"looks": looks, "steps": steps, "target_examples": examples, "training_flops": flops or None}

    def save_state(self, folder: Path) -> None:
        assert self.process, "fit comes first"
        facts, arrays = self.process.state()
        write_state(folder, arrays, facts)

    def restore(self, saved: Path) -> None:
        """RecBole again, in a process and a folder of its own that end with this baseline."""
        require_recbole(self.name)
        arrays, facts = read_state(saved)
        width, found = state.chosen(saved, facts, self.ranges)
        folder = Path(tempfile.mkdtemp(prefix="bench-recbole-"))
        state.write_files(folder, arrays)
        job = {**self._job(folder, {**found, "MAX_ITEM_LIST_LENGTH": width}), "state": str(saved.resolve() / STATE)}
        self.close()
        self.process = RecBole(self.name, job, folder, folder / "training.log", remove=folder)
        self.process.restored()

    def close(self) -> None:
        if self.process:
            self.process.end()
        self.process = None


def require_recbole(name: str) -> None:
    """BenchError where the baseline ``name`` can't run, for want of RecBole or of its version."""
    missing = [needed for needed in NEEDED if importlib.util.find_spec(needed) is None]
    if missing:
        raise BenchError(
            f"{name} runs in RecBole, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
            f"installed; {INSTALL}, or drop this baseline"
        )
    if installed("recbole") != VERSION:
        raise BenchError(
            f"{name} runs in RecBole {VERSION}, which is patched here for that version; got "
            f"{installed('recbole')}; {INSTALL}"
        )


def _trained(contract: Contract) -> dict[str, Any]:
    """What the contract says of training, in RecBole's words. Adam without weight decay is AdamW without it."""
    return {
        "train_batch_size": contract.batch_size,
        "learner": contract.optimizer,
        "clip_grad_norm": {"max_norm": contract.clip_norm} if contract.clip_norm else None,
        "stopping_step": contract.patience - 1,  # validations without a better one that training outlives
        "eval_step": 1,
    }
