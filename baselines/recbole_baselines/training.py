"""RecBole at work, in its own process: its data set, its model and its trainer, told when to validate by our metric.

Imports RecBole, which must not happen before ``shims.apply``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import create_dataset, create_samplers
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from scipy.sparse import csr_array, csr_matrix
from torch import Tensor

from bench.contract import amount
from bench.errors import BenchError
from bench.evaluation.by_part import Parts
from bench.evaluation.metrics import Ranks, from_scores
from bench.files import write_json
from bench.results import budgets
from bench.results.kept import Arrays, matrix_arrays, read_state
from bench.training.budget import CONVERTED, OF_TRIALS, Converted, convert
from bench.training.search import halve
from recbole_baselines import files, probe, shims, state, tuning
from recbole_baselines.neighbors import NEIGHBORS
from recbole_baselines.plan import Plan
from recbole_baselines.trainer import BEST, SPENT, Reporting
from recbole_baselines.tuning import Progress, Steps, read_json

WHOLE = "whole"  # the name of the training that is the row
DONE = "trained.json"
OF_ROW = f"row-{CONVERTED}"  # what the budget was converted to for the size that a search chose
PRETRAINED, PRETRAINING = "S3Rec-split-{}.pth", "pretraining.json"  # the first is RecBole's choice
SCORED_AT_ONCE, SCORES_AT_ONCE = 512, 1 << 24  # users, and scores of users and items, whichever is less
NOBODY = 0  # RecBole's number of a user that it does not know


def best_of(job: dict[str, Any], progress: Progress) -> tuple[Model, dict[str, Any]]:
    """The trained model, and what its training came to; of several ``trials`` with the settings that validate best.

    Every trial has a working folder of its own on every rung. ``search`` is what was tried, and what was spent is then
    that of all trials, since the model is not to be had without them. Where sizes are searched, trials have the steps
    of the first size, so that they are compared at equal steps, and the row those of its own.
    """
    asked, trials = job, job["trials"]
    job = {**asked, "plan": settled(asked)}
    if not trials:
        model = Model(job, WHOLE, {})
        return model, model.train(progress)
    steps = Steps(len(trials), job["plan"]["total"] if job["plan"] else 1, progress)

    def attempt(number: int, fraction: float) -> dict[str, Any]:
        name = f"{number}-{fraction:g}" if job["plan"] else f"{number}"  # what only counts is the same on every rung
        part = {**job, "plan": job["plan"] and {**job["plan"], "total": parts(job, fraction)}}
        train = partial(trained, part, name, trials[number], steps.next(number))
        return {"fraction": fraction, **tuning.attempt(folder_of(job, name), train)}

    found = halve(len(trials), attempt)
    chosen, row = trials[found.chosen], job
    if asked["sizes"] and asked["plan"] and not asked["plan"]["total"]:
        row = {**asked, "plan": settled(asked, OF_ROW, chosen)}
    model = Model(row, WHOLE, chosen)
    last = model.train(steps.next(found.chosen))
    if row is not job:
        last["budget"][OF_TRIALS] = job["plan"]["converted"]
    totals = {name: last[name] + (found.total(name) or 0.0) for name in tuning.SPENT}
    own = {"steps": last["steps"], "all_steps": totals["steps"], "search": found.summary(trials, job["seed"])}
    return model, {**last, **totals, **own}


def restored(job: dict[str, Any]) -> Model:
    """The finished model that a file holds, of as many users and items as there are in the files."""
    model = Model(job, WHOLE, {})
    model.restore(read_state(Path(job["state"]).parent)[0])
    return model


def parts(job: dict[str, Any], fraction: float) -> int:
    """The steps of a trial that has a fraction of the budget."""
    return max(1, round(fraction * int(job["plan"]["total"])))


def settled(
    job: dict[str, Any], name: str = CONVERTED, settings: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any] | None:
    """The plan, with its budget of time or FLOPs as steps for these ``settings``: converted once, and found again by
    whoever resumes in the file of this ``name``.
    """
    plan: dict[str, Any] | None = job["plan"]
    kept = Path(job["folder"]) / name
    if not plan or plan["total"]:
        return plan
    if not kept.exists():
        model = Model(job, WHOLE, dict(settings))
        found = asdict(model.converted(Plan(**plan)))
        write_json(kept, {**found, OF_TRIALS: found["steps"]} if job["sizes"] else found)
        if not job["sizes"]:
            write_json(kept, budgets.agreed(kept.parent.parent, found))
    steps = read_json(kept)["steps"]
    return {**plan, "total": min(steps, plan["max_steps"] or steps), "converted": steps}


def trained(job: dict[str, Any], name: str, settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What the training of one trial came to. One that is finished is not read in again."""
    done = folder_of(job, name) / DONE
    return read_json(done) if done.exists() else Model(job, name, settings).train(progress)


def folder_of(job: dict[str, Any], name: str) -> Path:
    """Where RecBole works on a trial, or on the ``WHOLE`` budget; it is made."""
    folder = Path(job["folder"]) / f"trial-{name}"
    folder.mkdir(exist_ok=True)
    return folder


class Model:
    """One model of RecBole on one split: ``train`` it, then ``score``. Users and items come and go as our indices.

    The working folder becomes that of the trial of this ``name``, whose ``settings`` go before the job's.
    """

    def __init__(self, job: dict[str, Any], name: str, settings: dict[str, Any]) -> None:
        begin = time.monotonic()
        os.chdir(folder_of(job, name))
        self.job, self.settings = {**job, "config": {**job["config"], **settings}}, settings
        torch.set_num_threads(job["threads"])
        self.config = Config(model=job["model"], dataset="split", config_dict=self.job["config"])
        init_seed(job["seed"], self.config["reproducibility"])
        shims.unpickle_no_data_set()
        self.dataset = create_dataset(self.config)
        self.parts = self.dataset.build()
        self.sequential = self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self.width = self.config["MAX_ITEM_LIST_LENGTH"]
        self.read = _padded(self.parts[0].inter_feat, self.width) if self.sequential else None
        self.plan = Plan(**job["plan"]) if job["plan"] else None
        self.users = self._ids("user_id")
        self.items = self._ids("item_id")
        self.loading = time.monotonic() - begin

    def _ids(self, field: str) -> Tensor:
        """RecBole's number of each of our indices."""
        numbers = self.dataset.field2token_id[field]
        count = sum(1 for token in numbers if token != "[PAD]")
        return torch.tensor([numbers[str(index)] for index in range(count)])

    def train(self, progress: Progress) -> dict[str, Any]:
        """To the end of the budget or of patience; the best weights stay. A finished training is only read back."""
        if Path(DONE).exists():
            found = read_json(Path(DONE))
            self._fresh("finetune")
        else:
            found = {**self._train(progress), "loading_seconds": self.loading}
            write_json(Path(DONE), found)
        self._load(BEST)
        self.model.eval()
        return found

    def _train(self, progress: Progress) -> dict[str, Any]:
        if self.job["model"] == "S3Rec":
            self._pretrain(progress)
        batches = self._fresh("finetune")
        trainer = self._trainer(progress, "finetune")
        trainer.resume()
        if trainer.start_epoch < trainer.epochs:  # else RecBole would save the latest weights as the best
            trainer.fit(batches, valid_data=self.parts[1], callback_fn=trainer.keep)
        found = {**trainer.facts(), "parameters": self._parameters()}
        if self.plan and self.plan.converted:
            found["budget"] = {"asked": self.plan.budget, "steps": self.plan.converted}
        if Path(PRETRAINING).exists():
            earlier = read_json(Path(PRETRAINING))
            found |= {"pretraining_curve": earlier["curve"], **_sums(found, earlier)}
        return found

    def converted(self, plan: Plan) -> Converted:
        """The budget as steps of the first stage. The model is no use afterwards."""
        budget = amount(plan.budget)
        batches = self._fresh("pretrain" if plan.pretrain else "finetune")
        per_step = self.flops if budget.unit == "FLOPs" else probe.step_seconds(self, batches)
        if per_step is None:
            raise BenchError(f"no FLOPs of {self.job['model']} are counted; give processor time, such as --budget 30m")
        return convert(plan.budget, budget, per_step)

    def _pretrain(self, progress: Progress) -> None:
        """S3Rec's first stage, which RecBole runs as a training of its own and hands over as a file."""
        if Path(PRETRAINING).exists():
            return
        batches = self._fresh("pretrain")
        trainer = self._trainer(progress, "pretrain")
        trainer.resume()
        trainer.fit(batches)
        write_json(Path(PRETRAINING), {"curve": trainer.curve, **trainer.spent()})

    def _fresh(self, stage: str) -> TrainDataLoader:
        """The model with its first weights, and what it trains on. Only S3Rec has another stage than ``finetune``."""
        self.begin, self.processor_begin = time.monotonic(), time.process_time()  # ItemKNN works while it is made
        if self.job["model"] == "S3Rec":
            epochs = self.plan.epochs(self.plan.first) if self.plan else 1
            self.config["train_stage"] = stage
            self.config["pretrain_epochs"] = self.config["save_step"] = epochs
            self.config["pre_model_path"] = PRETRAINED.format(epochs)
        batches = self._batches()  # first, since it also tells the configuration what BERT4Rec asks it
        init_seed(self.job["seed"], self.config["reproducibility"])
        self.model = get_model(self.job["model"])(self.config, self.parts[0]).to(self.config["device"])
        shims.stop_watching_gradients()
        self.flops = probe.step_flops(self, batches) if self.plan else None
        return batches

    def _parameters(self) -> int | None:
        counted = self.config["MODEL_TYPE"] != ModelType.TRADITIONAL  # these hold one weight that is never used
        return sum(weights.numel() for weights in self.model.parameters()) if counted else None

    def _batches(self) -> TrainDataLoader:
        train = self.parts[0]
        if self.read:
            rows, lengths = self.read
            if self.job["model"] == "S3Rec" and self.config["train_stage"] == "pretrain":
                rows, lengths = shims.with_next(rows, lengths, train.inter_feat["item_id"])
            train.inter_feat.update(Interaction(self._arranged(rows, lengths, training=True)))
        sampler, *_ = create_samplers(self.config, self.dataset, self.parts)
        return TrainDataLoader(self.config, train, sampler, shuffle=True)

    def _arranged(self, rows: Tensor, lengths: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Histories as the model wants them: item numbers ``[n, width]`` and lengths ``[n]``."""
        if self.job["model"] == "BERT4Rec" and not training:
            rows, lengths = shims.spare_oldest_item(rows, lengths)
        if self.job["model"] == "S3Rec" and self.config["train_stage"] == "finetune":
            rows, lengths = shims.pad_left(rows, lengths)
        return {"item_id_list": rows, "item_length": lengths}

    def _trainer(self, progress: Progress, stage: str) -> Any:
        """RecBole's trainer, ours mixed in; pre-training comes before the rest."""
        base = get_trainer(self.config["MODEL_TYPE"], self.config["model"])
        first, whole = (self.plan.first, self.plan.total) if self.plan else (0, 1)
        before, steps = (0, first) if stage == "pretrain" else (first, whole - first)
        return type("Reporting", (Reporting, base), {})(self, progress, before, steps)

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The user of every row of the training file."""
        found: NDArray[np.int64] = self.parts[0].inter_feat["user_id"].numpy()
        return found

    def loss(self, batch: Interaction) -> Any:
        """Of one batch."""
        if self.job["model"] == "Pop":
            return shims.count_repeats(self.model, batch)
        if self.job["model"] == "BERT4Rec":
            return shims.masked_loss(self.model, batch)
        return self.model.calculate_loss(batch)

    def validate(self) -> dict[str, float]:
        """The selection metric over the validation users, by the same scores and ranks as test will be, and over those
        of each data set that was joined.
        """
        self.model.eval()
        valid = self.parts[1].inter_feat
        rows, lengths = _padded(valid, self.width)
        targets = _index(self.items)[valid["item_id"]].numpy()
        begins = np.flatnonzero(np.diff(valid["user_id"].numpy(), prepend=-1))  # a user's targets stand together
        user_rows = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(targets)))
        ranks = []
        size = self.at_once
        for start in range(0, len(begins), size):
            part = begins[start : start + size]
            scores = self._scores(valid["user_id"][part], rows[part], lengths[part])
            excluded = self._excluded(valid["user_id"][part]) if self.job["exclude_history"] else None
            inside = (user_rows >= start) & (user_rows < start + size)
            ranks.append(from_scores(scores, targets[inside], excluded, user_rows[inside] - start))
        found = Ranks.join(ranks).of(user_rows if len(user_rows) > len(begins) else None, targets)
        metric, users = self.job["selection"], _index(self.users)[valid["user_id"][begins]].numpy()
        parts = Parts(**{name: tuple(said) for name, said in self.job["parts"].items()})
        return parts.scores(metric, found.per_user(metric), users)

    @property
    def at_once(self) -> int:
        """Users that are scored together."""
        return max(1, min(SCORED_AT_ONCE, SCORES_AT_ONCE // len(self.items)))

    def score(
        self, users: NDArray[np.int64], values: NDArray[np.int32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """``[users, items]`` by our indices, for users with the histories ``values[offsets[u]:offsets[u + 1]]``."""
        lengths = torch.from_numpy(np.diff(offsets))
        rows = torch.zeros(len(users), self.width, dtype=torch.long)
        rows[torch.arange(self.width) < lengths[:, None]] = self.items[torch.from_numpy(values).long()]
        lengths = lengths.clamp(min=1)  # an empty history is one of padding
        numbers = torch.where(torch.from_numpy(users) < 0, NOBODY, self.users[torch.from_numpy(users)])
        parts = [slice(start, start + self.at_once) for start in range(0, len(users), self.at_once)]
        scores = [self._scores(numbers[part], rows[part], lengths[part]) for part in parts]
        return np.concatenate([np.empty((0, len(self.items)), np.float32), *scores])

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Facts and arrays of ``recbole_baselines.state``."""
        found: dict[str, Tensor] = {state.ITEMS: self.items, state.USERS: self.users}
        if "attributes" in self.parts[0].item_feat:
            found[state.FEATURES] = self.parts[0].item_feat["attributes"]
        found |= {state.WEIGHTS + name: tensor for name, tensor in self.model.state_dict().items()}
        other = {name: getattr(self.model, name) for name in getattr(self.model, "other_parameter_name", ())}
        found |= {state.OTHER + name: value for name, value in other.items() if isinstance(value, Tensor)}
        facts = {"width": self.width, "settings": self.settings}
        return facts, {name: np.ascontiguousarray(tensor.cpu().numpy()) for name, tensor in found.items()}

    def restore(self, arrays: Arrays) -> None:
        """The weights of a finished model, and its numbers of users, items and attributes."""
        found = {name: torch.from_numpy(array) for name, array in arrays.items()}
        other = state.part(found, state.OTHER)
        self.items, self.users = found[state.ITEMS], found[state.USERS]
        if state.FEATURES in found:
            self.parts[0].item_feat.update(Interaction({"attributes": found[state.FEATURES]}))
        self._fresh("pretrain")  # S3Rec looks for weights of its first stage in the other one
        if self.job["model"] == "S3Rec":
            self.config["train_stage"] = "finetune"
        self.model.load_state_dict(state.part(found, state.WEIGHTS))
        self._load_other({name: tensor.to(self.config["device"]) for name, tensor in other.items()})
        if hasattr(self.model, "user_embedding"):  # of who is nobody it knows what all have in common
            vectors = self.model.user_embedding.weight.data
            vectors[NOBODY] = vectors[self.users].mean(dim=0)
        self.model.eval()

    def neighbors(self) -> dict[str, NDArray[Any]]:
        """What ItemKNN has learned, for it is scored without RecBole later."""
        return matrix_arrays(NEIGHBORS, csr_array(shims.neighbors(self.model, self.items.numpy())))

    @torch.no_grad()
    def _scores(self, users: Tensor, rows: Tensor, lengths: Tensor) -> NDArray[np.float32]:
        if self.job["model"] == "ItemKNN":
            return shims.neighbor_scores(self.model, csr_matrix(self._taken(rows)), self.items.numpy())
        asked = Interaction({"user_id": users, **self._arranged(rows, lengths)}).to(self.config["device"])
        scores = self.model.full_sort_predict(asked).view(len(users), -1)
        found: NDArray[np.float32] = scores[:, self.items.to(scores.device)].float().cpu().numpy()
        return found

    def _taken(self, rows: Tensor) -> NDArray[np.float32]:
        """``[n, items]``: how often each item stands in a history."""
        user_item = torch.zeros(len(rows), len(self.items) + 1).scatter_add_(1, rows, torch.ones(rows.shape))
        found: NDArray[np.float32] = user_item[:, self.items].numpy()
        return found

    def _excluded(self, users: Tensor) -> NDArray[np.bool_]:
        """``[n, items]``: all that these validation users had, however little of it is shown."""
        excluded = np.zeros((len(users), len(self.items)), bool)
        for row, user in enumerate(users.tolist()):
            excluded[row, self.seen[user]] = True
        return excluded

    @cached_property
    def seen(self) -> dict[int, NDArray[np.int32]]:
        """What each validation user had, by RecBole's number of the user, as our indices of items."""
        file = np.load(Path(self.job["folder"]) / "data" / files.NAME / files.SEEN)
        users = self.users[torch.from_numpy(file["users"])].tolist()
        return dict(zip(users, np.split(file["values"], file["offsets"][1:-1]), strict=True))

    def _load(self, path: str) -> None:
        found = torch.load(path, map_location=self.config["device"], weights_only=True)
        self.model.load_state_dict(found["state_dict"])
        self._load_other(found["other"])

    def _load_other(self, found: dict[str, Any]) -> None:
        known = getattr(self.model, "other_parameter_name", ())
        self.model.load_other_parameter({name: found[name] for name in known if name in found})


def _sums(*parts: dict[str, Any]) -> dict[str, Any]:
    """What stages have spent together."""
    return {name: sum(part[name] for part in parts) for name in SPENT}


def _index(numbers: Tensor) -> Tensor:
    """Our index of each of RecBole's ``numbers``."""
    found = torch.empty(len(numbers) + 1, dtype=torch.long)
    found[numbers] = torch.arange(len(numbers))
    return found


def _padded(read: Interaction, width: int) -> tuple[Tensor, Tensor]:
    """Histories as they were read: item numbers ``[n, width]`` and lengths ``[n]``."""
    rows = shims.widen(read["item_id_list"], width)
    return rows, (rows > 0).sum(dim=1)
