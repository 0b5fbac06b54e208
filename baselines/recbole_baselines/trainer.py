"""What RecBole's trainer does in our way: it reports, validates by our metric, and can be interrupted and resumed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.utils import init_seed

from recbole_baselines.tuning import Progress, writing

if TYPE_CHECKING:
    from recbole_baselines.training import Model

BEST, LATEST, LATEST_PRETRAINED = "best.pth", "latest.pth", "latest-pretrained.pth"
REPORT_EVERY = 0.5  # seconds


class Reporting:
    """To be mixed in before a trainer of RecBole. The working folder holds the best weights and the latest state.

    It reports its steps behind those of ``before`` epochs that an earlier stage had, as a part of ``planned`` epochs.
    """

    def __init__(self, owner: Model, progress: Progress, before: int, planned: int) -> None:
        super().__init__(owner.config, owner.model)  # type: ignore[call-arg]
        self.owner, self.progress, self.told = owner, progress, 0.0
        self.saved_model_file, self.before, self.planned = BEST, before, planned
        self.pretraining = owner.config["train_stage"] == "pretrain"
        self.latest = LATEST_PRETRAINED if self.pretraining else LATEST
        self.curve: list[dict[str, float]] = []
        self.step, self.steps, self.begin = 0, 1, owner.begin
        self.validation_seconds, self.processor_begin = 0.0, owner.processor_begin

    @property
    def seconds(self) -> float:
        """Spent on training and validation, before a stop as well."""
        return time.monotonic() - self.begin

    @property
    def processor_seconds(self) -> float:
        """The same, of all cores."""
        return time.process_time() - self.processor_begin

    def _train_epoch(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        # Randomness of an epoch depends on nothing before it, so a resumed run repeats exactly.
        seed = int(np.random.SeedSequence([self.owner.job["seed"], epoch_idx]).generate_state(1)[0])
        init_seed(seed, True)
        train_data.generator.manual_seed(seed)
        self.steps = len(train_data)
        self.step = epoch_idx * self.steps

        def counted(batch: Any) -> Any:
            self.step += 1
            if time.monotonic() - self.told > REPORT_EVERY:
                self.told = time.monotonic()
                self._tell({})
            return self.owner.loss(batch)

        losses = super()._train_epoch(train_data, epoch_idx, counted, False)  # type: ignore[misc]
        self._note({"loss": float(np.sum(losses)) / self.steps})
        if self.pretraining and epoch_idx + 1 < self.pretrain_epochs:  # type: ignore[attr-defined]
            self.keep(epoch_idx, 0.0)  # the last is saved by RecBole, for what comes next
        return losses

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        begin = time.monotonic()
        score = self.owner.validate()
        self.validation_seconds += time.monotonic() - begin
        self._note({self.owner.job["selection"]: score})
        return score, {self.owner.job["selection"]: score}

    def _note(self, stats: dict[str, float]) -> None:
        self.curve.append({"step": self.step, **stats})
        self._tell({"epoch": self.before + self.step // self.steps, **stats})

    def _tell(self, stats: dict[str, float]) -> None:
        self.progress(self.before * self.steps + self.step, self.planned * self.steps, stats)

    def keep(self, epoch: int, score: float) -> None:
        """Called after each validation, when RecBole has saved the best: leave what is needed to go on from here."""
        kept = ("cur_step", "best_valid_score", "curve", "seconds", "validation_seconds", "processor_seconds")
        state = {name: getattr(self, name) for name in kept}
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}  # type: ignore[attr-defined]
        with writing():
            torch.save({**state, **weights, "start_epoch": epoch + 1}, f"{self.latest}.half")
        os.replace(f"{self.latest}.half", self.latest)

    def _save_checkpoint(self, *given: Any, **named: Any) -> None:
        with writing():
            super()._save_checkpoint(*given, **named)  # type: ignore[misc]

    def save_pretrained_model(self, *given: Any) -> None:
        with writing():
            super().save_pretrained_model(*given)  # type: ignore[misc]

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
        self.validation_seconds = found["validation_seconds"]
        if self.cur_step > self.stopping_step:  # type: ignore[attr-defined]
            self.epochs = self.start_epoch

    def facts(self) -> dict[str, Any]:
        """What ``result.json`` keeps of the training."""
        metric = self.owner.job["selection"]
        scores = [point for point in self.curve if metric in point]
        best = max(reversed(scores), key=lambda point: point[metric])  # RecBole keeps the later of two equals
        return {
            "steps": self.curve[-1]["step"],
            "epochs": sum("loss" in point for point in self.curve),
            "best_step": best["step"],
            "best_validation": best[metric],
            "selection": metric,
            "curve": self.curve,
            "seconds": self.seconds,
            "validation_seconds": self.validation_seconds,
            "processor_seconds": self.processor_seconds,
        }
