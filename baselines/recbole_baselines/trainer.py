"""What RecBole's trainer does in our way: it reports, validates by our metric, and can be interrupted and resumed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.utils import init_seed

from bench.evaluation.by_part import at_step
from bench.files import atomic_write
from recbole_baselines.plan import Batches
from recbole_baselines.tuning import Progress, writing

if TYPE_CHECKING:
    from recbole_baselines.training import Model

BEST, LATEST, LATEST_PRETRAINED = "best.pth", "latest.pth", "latest-pretrained.pth"
REPORT_EVERY = 0.5  # seconds
KEPT = ("seconds", "validation_seconds", "processor_seconds", "target_examples", "looks")
SPENT = (*KEPT, "steps", "training_flops")


def save(content: dict[str, Any], path: Path) -> None:
    """All or nothing, and on the disk."""
    with atomic_write(path) as partial:
        torch.save(content, partial)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, torch.Tensor | int | float | str)


class Reporting:
    """To be mixed in before a trainer of RecBole. The working folder holds the best weights and the latest state.

    It trains so many ``steps`` behind those of an earlier stage (``before``), as the plan of its ``owner`` says;
    without a plan, one epoch of RecBole's own.
    """

    def __init__(self, owner: Model, progress: Progress, before: int, steps: int) -> None:
        super().__init__(owner.config, owner.model)  # type: ignore[call-arg]
        self.owner, self.progress, self.told = owner, progress, 0.0
        self.plan, self.before, self.total = owner.plan, before, steps
        self.saved_model_file = BEST
        self.pretraining = owner.config["train_stage"] == "pretrain"
        self.latest = LATEST_PRETRAINED if self.pretraining else LATEST
        self.curve: list[dict[str, float]] = []
        self.step, self.target_examples, self.looks, self.begin = 0, 0, 0, owner.begin
        self.validation_seconds, self.processor_begin = 0.0, owner.processor_begin
        if self.plan:
            self.epochs = self.plan.epochs(steps)

    @property
    def seconds(self) -> float:
        """Spent on training and validation, before a stop as well."""
        return time.monotonic() - self.begin

    @property
    def processor_seconds(self) -> float:
        """The same, of all cores."""
        return time.process_time() - self.processor_begin

    @property
    def whole(self) -> int:
        """Steps of all stages together."""
        return self.plan.total if self.plan else self.total

    @property
    def epoch(self) -> int:
        """How many were begun, those of an earlier stage as well."""
        return self.plan.epochs(self.before) + self.plan.epochs(self.step) if self.plan else 1

    @property
    def steps(self) -> int:
        """Done, before a stop as well."""
        return int(self.curve[-1]["step"])

    @property
    def training_flops(self) -> float:
        return (self.owner.flops or 0.0) * self.steps

    def spent(self) -> dict[str, float]:
        """What this stage has taken."""
        return {name: getattr(self, name) for name in SPENT}

    def _train_epoch(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        # Randomness of an epoch depends on nothing before it, so a resumed run repeats exactly.
        seed = int(np.random.SeedSequence([self.owner.job["seed"], epoch_idx]).generate_state(1)[0])
        init_seed(seed, True)
        train_data.generator.manual_seed(seed)
        batches = self._batches(train_data, epoch_idx)
        losses = super()._train_epoch(batches, epoch_idx, self._counted, False)  # type: ignore[misc]
        self._note({"loss": float(np.sum(losses)) / len(batches)})
        if self.pretraining and epoch_idx + 1 < self.pretrain_epochs:  # type: ignore[attr-defined]
            self.keep(epoch_idx, 0.0)  # the last is saved by RecBole, for what comes next
        return losses

    def _batches(self, train_data: Any, epoch: int) -> Any:
        """Those of an epoch that are within the budget. What is due at its end is settled on the way."""
        if not self.plan:
            self.total = len(train_data)
            return train_data
        self.step = epoch * self.plan.per_epoch
        self.eval_step = 1 if self.plan.looks(epoch, self.epochs) else epoch + 2  # RecBole's rule: every so many epochs
        rows = self.plan.batches(self.owner.owners, self.owner.job["seed"], epoch)
        return Batches(train_data, rows[: self.total - self.step])

    def _counted(self, batch: Any) -> Any:
        """The loss of the next step."""
        if self.plan:
            for group in self.optimizer.param_groups:  # type: ignore[attr-defined]
                group["lr"] = self.learning_rate * self.plan.rate(self.step, self.total)  # type: ignore[attr-defined]
        self.step += 1
        self.target_examples += len(batch)
        if time.monotonic() - self.told > REPORT_EVERY:
            self.told = time.monotonic()
            self._tell({})
        return self.owner.loss(batch)

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        begin = time.monotonic()
        found = self.owner.validate()
        score = found[self.owner.job["selection"]]
        self.validation_seconds += time.monotonic() - begin
        self.looks += 1
        self._note(found)
        # RecBole takes an equal score for a better one; here it is none, as for identifier schemes.
        told = np.nextafter(score, -np.inf) if score == self.best_valid_score else score
        return float(told), {self.owner.job["selection"]: score}

    def _note(self, stats: dict[str, float]) -> None:
        self.curve.append({"step": self.step, **stats})
        self._tell({"epoch": self.epoch, **stats})

    def _tell(self, stats: dict[str, float]) -> None:
        self.progress(self.before + self.step, self.whole, stats)

    def keep(self, epoch: int, score: float) -> None:
        """Called after each validation, when RecBole has saved the best: leave what is needed to go on from here."""
        state = {name: getattr(self, name) for name in ("cur_step", "best_valid_score", "curve", *KEPT)}
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}  # type: ignore[attr-defined]
        with writing():
            save({**state, **weights, "start_epoch": epoch + 1}, Path(self.latest))

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **named: Any) -> None:
        self._save_weights(named.get("saved_model_file", self.saved_model_file))

    def save_pretrained_model(self, epoch: int, saved_model_file: str) -> None:
        self._save_weights(saved_model_file)
        self.saved_model_file = saved_model_file

    def _save_weights(self, path: str) -> None:
        """RecBole's files hold its configuration too, an object that only a pickle has: here there are tensors alone.

        What a model computes while it is made, such as the sparse matrices of ItemKNN, is made again and not kept.
        """
        model: Any = self.model  # type: ignore[attr-defined]
        other = {name: value for name, value in model.other_parameter().items() if _is_plain(value)}
        with writing():
            save({"state_dict": model.state_dict(), "other": other}, Path(path))

    def resume(self) -> None:
        """Go on where a stopped run was."""
        if not Path(self.latest).exists():
            return
        found = torch.load(self.latest, map_location=self.owner.config["device"], weights_only=True)
        self.model.load_state_dict(found["model"])  # type: ignore[attr-defined]
        self.optimizer.load_state_dict(found["optimizer"])  # type: ignore[attr-defined]
        self.start_epoch, self.cur_step = found["start_epoch"], found["cur_step"]
        self.best_valid_score, self.curve = found["best_valid_score"], found["curve"]
        self.begin -= found["seconds"]
        self.processor_begin -= found["processor_seconds"]
        self.validation_seconds, self.looks = found["validation_seconds"], found["looks"]
        self.target_examples = found["target_examples"]
        if self.cur_step > self.stopping_step:  # type: ignore[attr-defined]
            self.epochs = self.start_epoch

    def facts(self) -> dict[str, Any]:
        """What ``result.json`` keeps of the training."""
        metric = self.owner.job["selection"]
        best = max((point for point in self.curve if metric in point), key=lambda point: point[metric])
        return {
            **self.spent(),
            "epochs": sum("loss" in point for point in self.curve),
            "best_step": best["step"],
            "best_validation": best[metric],
            **at_step(self.curve, int(best["step"])),
            "selection": metric,
            "curve": self.curve,
        }
