"""RecBole at work, in its own process: its data set, its model and its trainer, told when to validate by our metric.

Imports RecBole, which must not happen before ``shims.apply``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import create_dataset, create_samplers
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from scipy.sparse import csr_matrix
from torch import Tensor

from bench.evaluation.metrics import from_scores, per_user
from recbole_baselines import shims

Report = Callable[[int, int, dict[str, float]], None]

BEST, LATEST, CURVE, DONE = "best.pth", "latest.pth", "curve.json", "trained.json"
PRETRAINED, PRETRAINING = "S3Rec-split-{}.pth", "pretraining.json"
SCORED_AT_ONCE = 512  # users
REPORT_EVERY = 0.5  # seconds


class Model:
    """One model of RecBole on one split: ``train`` it, then ``score``. Users and items come and go as our indices."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        torch.set_num_threads(job["threads"])
        self.config = Config(model=job["model"], dataset="split", config_dict=job["config"])
        init_seed(job["seed"], self.config["reproducibility"])
        self.dataset = create_dataset(self.config)
        self.parts = self.dataset.build()
        self.sequential = self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self.width = self.config["MAX_ITEM_LIST_LENGTH"]
        self.users = self._ids("user_id")
        self.items = self._ids("item_id")

    def _ids(self, field: str) -> Tensor:
        """RecBole's number of each of our indices."""
        numbers = self.dataset.field2token_id[field]
        count = sum(1 for token in numbers if token != "[PAD]")
        return torch.tensor([numbers[str(index)] for index in range(count)])

    def train(self, report: Report) -> dict[str, Any]:
        """To the end of the budget or of patience; the best weights stay. A finished training is only read back."""
        if Path(DONE).exists():
            found = _read_json(DONE)
            self._fresh("finetune")
        else:
            found = self._train(report)
            _write_json(DONE, found)
        self._load(BEST)
        self.model.eval()
        return found

    def _train(self, report: Report) -> dict[str, Any]:
        if self.job["model"] == "S3Rec":
            self._pretrain(report)
        batches = self._fresh("finetune")
        trainer = self._trainer(report, self.job["config"].get("epochs", 1))
        trainer.resume()
        trainer.fit(batches, valid_data=self.parts[1], callback_fn=trainer.keep)
        found = {**trainer.facts(), "parameters": self._parameters()}
        if Path(PRETRAINING).exists():
            earlier = _read_json(PRETRAINING)
            found |= {"pretraining_curve": earlier["curve"], "seconds": found["seconds"] + earlier["seconds"]}
        return found

    def _pretrain(self, report: Report) -> None:
        """S3Rec's first stage, which RecBole runs as a training of its own and hands over as a file."""
        epochs = self.job["config"]["pretrain_epochs"]
        if Path(PRETRAINING).exists():
            return
        batches = self._fresh("pretrain")
        trainer = self._trainer(report, epochs)
        trainer.fit(batches)
        _write_json(PRETRAINING, {"curve": trainer.curve, "seconds": trainer.seconds})

    def _fresh(self, stage: str) -> TrainDataLoader:
        """The model with its first weights, and what it trains on. Only S3Rec has another stage than ``finetune``."""
        if self.job["model"] == "S3Rec":
            epochs = self.job["config"]["pretrain_epochs"]
            self.config["train_stage"], self.config["save_step"] = stage, epochs
            self.config["pre_model_path"] = PRETRAINED.format(epochs)
        batches = self._batches()  # first, since it also tells the configuration what BERT4Rec asks it
        init_seed(self.job["seed"], self.config["reproducibility"])
        self.model = get_model(self.job["model"])(self.config, self.parts[0]).to(self.config["device"])
        return batches

    def _parameters(self) -> int | None:
        counted = self.config["MODEL_TYPE"] != ModelType.TRADITIONAL  # these hold one weight that is never used
        return sum(weights.numel() for weights in self.model.parameters()) if counted else None

    def _batches(self) -> TrainDataLoader:
        train = self.parts[0]
        if self.sequential:
            train.inter_feat.update(Interaction(self._arranged(*_padded(train.inter_feat, self.width), training=True)))
        sampler, *_ = create_samplers(self.config, self.dataset, self.parts)
        return TrainDataLoader(self.config, train, sampler, shuffle=True)

    def _arranged(self, rows: Tensor, lengths: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Histories as the model wants them: item numbers ``[n, width]`` and lengths ``[n]``."""
        if self.job["model"] == "BERT4Rec" and not training:
            rows, lengths = shims.spare_oldest_item(rows, lengths)
        if self.job["model"] == "S3Rec" and self.config["train_stage"] == "finetune":
            rows, lengths = shims.pad_left(rows, lengths)
        return {"item_id_list": rows, "item_length": lengths}

    def _trainer(self, report: Report, epochs: int) -> Any:
        base = get_trainer(self.config["MODEL_TYPE"], self.config["model"])
        return type("Reporting", (Reporting, base), {})(self, report, epochs)

    def loss(self, batch: Interaction) -> Any:
        return (
            shims.count_repeats(self.model, batch) if self.job["model"] == "Pop" else self.model.calculate_loss(batch)
        )

    def validate(self) -> float:
        """The selection metric over the validation users, by the same scores and ranks as test will be."""
        self.model.eval()
        valid = self.parts[1].inter_feat
        rows, lengths = _padded(valid, self.width)
        place = torch.empty(len(self.items) + 1, dtype=torch.long)
        place[self.items] = torch.arange(len(self.items))
        ranks = []
        for start in range(0, len(valid), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            scores = self._scores(valid["user_id"][part], rows[part], lengths[part])
            targets = place[valid["item_id"][part]].numpy()
            excluded = self._held(rows[part]) > 0 if self.job["exclude_history"] else None
            ranks.append(from_scores(scores, targets, excluded).strict)
        return float(per_user(np.concatenate(ranks), self.job["selection"]).mean())

    def score(
        self, users: NDArray[np.int64], values: NDArray[np.int32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """``[users, items]`` by our indices, for users with the histories ``values[offsets[u]:offsets[u + 1]]``."""
        lengths = torch.from_numpy(np.diff(offsets))
        rows = torch.zeros(len(users), self.width, dtype=torch.long)
        rows[torch.arange(self.width) < lengths[:, None]] = self.items[torch.from_numpy(values).long()]
        numbers = self.users[torch.from_numpy(users)]
        parts = [slice(start, start + SCORED_AT_ONCE) for start in range(0, len(users), SCORED_AT_ONCE)]
        scores = [self._scores(numbers[part], rows[part], lengths[part]) for part in parts]
        return np.concatenate([np.empty((0, len(self.items)), np.float32), *scores])

    @torch.no_grad()
    def _scores(self, users: Tensor, rows: Tensor, lengths: Tensor) -> NDArray[np.float32]:
        if self.job["model"] == "ItemKNN":
            return shims.neighbour_scores(self.model, csr_matrix(self._held(rows)), self.items.numpy())
        asked = Interaction({"user_id": users, **self._arranged(rows, lengths)}).to(self.config["device"])
        scores = self.model.full_sort_predict(asked).view(len(users), -1)
        found: NDArray[np.float32] = scores[:, self.items.to(scores.device)].float().cpu().numpy()
        return found

    def _held(self, rows: Tensor) -> NDArray[np.float32]:
        """``[n, items]``: how often each item stands in a history."""
        held = torch.zeros(len(rows), len(self.items) + 1).scatter_add_(1, rows, torch.ones(rows.shape))
        found: NDArray[np.float32] = held[:, self.items].numpy()
        return found

    def _load(self, path: str) -> None:
        found = torch.load(path, map_location=self.config["device"], weights_only=False)
        self.model.load_state_dict(found["state_dict"])
        self.model.load_other_parameter(found.get("other_parameter"))


class Reporting:
    """Mixed in before RecBole's trainer: progress, our validation, and a checkpoint of every epoch to go on from."""

    def __init__(self, owner: Model, report: Report, epochs: int) -> None:
        super().__init__(owner.config, owner.model)  # type: ignore[call-arg]
        self.owner, self.report, self.told = owner, report, 0.0
        self.saved_model_file, self.planned = BEST, epochs
        self.curve: list[dict[str, float]] = []
        self.step, self.begin = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent on training and validation, before a stop as well."""
        return time.monotonic() - self.begin

    def _train_epoch(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        # Randomness of an epoch depends on nothing before it, so a resumed run repeats exactly.
        seed = int(np.random.SeedSequence([self.owner.job["seed"], epoch_idx]).generate_state(1)[0])
        init_seed(seed, True)
        train_data.generator.manual_seed(seed)
        self.step = epoch_idx * len(train_data)
        self.total = self.planned * len(train_data)

        def counted(batch: Any) -> Any:
            self.step += 1
            if time.monotonic() - self.told > REPORT_EVERY:
                self.told = time.monotonic()
                self.report(self.step, self.total, {})
            return self.owner.loss(batch)

        losses = super()._train_epoch(train_data, epoch_idx, counted, False)  # type: ignore[misc]
        self._note({"loss": float(np.sum(losses)) / len(train_data)})
        return losses

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        score = self.owner.validate()
        self._note({self.owner.job["selection"]: score})
        return score, {self.owner.job["selection"]: score}

    def _note(self, figures: dict[str, float]) -> None:
        self.curve.append({"step": self.step, **figures})
        self.report(self.step, self.total, figures)

    def keep(self, epoch: int, score: float) -> None:
        """Called after each validation: leave what is needed to go on from here."""
        _write_json(CURVE, {"curve": self.curve, "seconds": self.seconds})
        self._save_checkpoint(epoch, verbose=False, saved_model_file=f"{LATEST}.half")  # type: ignore[attr-defined]
        os.replace(f"{LATEST}.half", LATEST)

    def resume(self) -> None:
        """Go on where a stopped run was."""
        if not Path(LATEST).exists():
            return
        self.resume_checkpoint(LATEST)  # type: ignore[attr-defined]
        self.saved_model_file = BEST
        found = _read_json(CURVE)
        self.curve, self.begin = found["curve"], self.begin - found["seconds"]
        if self.cur_step > self.stopping_step:  # type: ignore[attr-defined]
            self.epochs = self.start_epoch  # type: ignore[attr-defined]

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
        }


def _padded(read: Interaction, width: int) -> tuple[Tensor, Tensor]:
    """Histories as they were read: item numbers ``[n, width]`` and lengths ``[n]``."""
    rows = shims.widen(read["item_id_list"], width)
    return rows, (rows > 0).sum(dim=1)


def _read_json(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def _write_json(path: str, value: dict[str, Any]) -> None:
    Path(f"{path}.half").write_text(json.dumps(value), encoding="utf-8")
    os.replace(f"{path}.half", path)
