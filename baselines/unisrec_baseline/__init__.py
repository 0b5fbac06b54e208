"""UniSRec: sequences of items that are known by their text alone (Hou et al., KDD 2022, arXiv 2206.05941).

    bench run --baseline unisrec --dataset toys+beauty --zero-shot sports

On several data sets it is pre-trained, on batches that mix them; on one it is trained as published for fine-tuning,
against the whole catalogue. ``pretrain_fraction`` has both, one after the other; fine-tuning then changes the adaptor
alone, as published. ``unisrec``, short for ``unisrec/inductive``, knows items by their text,
``unisrec/transductive`` by a vector of their own as well.

Written from the paper; on the same weights and views its losses, gradients and scores are those of the published module
(tests/baselines/unisrec_official). What the paper leaves open is as there: vectors are compared by their cosine, gates
get a little noise at least, every expert drops other dimensions of a text.

Four things differ. Targets that stand in a batch twice are no negatives of each other, while there their logit
becomes 0 and still counts. Padding is no candidate. Fine-tuning after pre-training changes the adaptor alone, as the
paper says, there also the norm of the encoder's input. Each history has its own kind of other view, in which all texts
lack words or any item may be missing; there a whole batch has one kind, a fifth of the texts lack words, and the last
item is never missing. What is drawn of an item is drawn once for a batch, wherever the item stands in it.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.evaluation.baseline import BUDGET, Facts, TrainedBaseline, TrainingContext
from bench.evaluation.by_part import Parts
from bench.ids import spaces, text
from bench.ids.limits import CatalogueSize, Needs
from bench.ids.spaces import TextSpace
from bench.results.kept import read_state, write_state
from bench.training.cost import Stopwatch
from bench.training.examples import Examples, sliding_windows
from bench.training.loop import seed_everything
from bench.training.ranking import score_targets
from unisrec_baseline.budget import stages
from unisrec_baseline.facts import facts_of
from unisrec_baseline.model import Model, Scores, scores
from unisrec_baseline.network import Network
from unisrec_baseline.settings import Settings
from unisrec_baseline.texts import poorer
from unisrec_baseline.training import Job
from unisrec_baseline.training import train as trained

__all__ = ["Settings", "UniSRec", "UniSRecTransductive"]

CATALOGUE, WEIGHTS = "catalogue", "network."  # names in the state


class UniSRec(TrainedBaseline):
    """A Transformer over the texts of items alone, which any catalogue has (UniSRec, Hou et al., 2022)."""

    name = "unisrec/inductive"
    version = 2  # dropout and noise of the gates as published
    saves_state = True
    supports_transfer = True
    transductive: ClassVar[bool] = False
    Settings = Settings
    binds: ClassVar[tuple[str, ...]] = (*TrainedBaseline.binds, *BUDGET, "part_power", "missing_text")
    follows: ClassVar[dict[str, tuple[str, ...]]] = {
        name: (name,) for name in ("learning_rate", "weight_decay", "dropout")
    }

    network: Network
    vectors: Scores

    def validate_items(self, items: ItemTable) -> None:
        spaces.require_comparable(self.settings, "unisrec")
        text.validate_items(items, self.settings)

    def needs(self, size: CatalogueSize) -> Needs:
        """Of its text; fine-tuning takes all items through every expert, and all are in its softmax."""
        plan, kept = self.settings, text.width_of(self.settings)
        read = text.embedding_needs(size, plan)
        each = 4.0 * kept + 4.0 * plan.experts * (2.25 * kept + 2 * plan.width) + 16.0 * size.batch
        hint = f"use --set {self.name}.dimensions=64, or a smaller batch_size"
        return Needs(max(read.memory, each * size.items), read.seconds, hint)

    def cache_key(self) -> str:
        return text.encoder_digest(self.settings.encoder)

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        watch, contract = Stopwatch(), context.contract
        windows = sliding_windows(train.sequences, contract.max_history)
        if not len(windows):
            raise BenchError("no training example: every training sequence has fewer than two items")
        model = self.model(train, contract.max_history)
        self.preparation = watch.seconds
        job = self.job(model, windows, validation, context, train)
        fraction = self.fraction(train)
        planned = stages(job, model, fraction, context.converted, not fraction or self.settings.tune_encoder)
        self.done = [(stage, trained(job, stage)) for stage in planned if stage.total]
        self.budget = contract.budget and {"asked": contract.budget, "steps": sum(stage.total for stage in planned)}
        self.network, self.vectors = model.network, model.catalogue()

    def job(
        self, model: Model, windows: Examples, validation: Targets, context: TrainingContext, train: TrainView
    ) -> Job:
        """What both stages share."""
        contract, unlooked = context.contract, itertools.count()
        parts = Parts(train.part_names, train.part_users)

        def validate() -> dict[str, float]:
            self.network, self.vectors = model.network, model.catalogue()
            if not len(validation):  # nobody can be asked: the last weights are the best
                return {contract.selection: float(next(unlooked))}
            ranks = score_targets(self, validation, model.items, contract.exclude_history)
            return parts.scores(contract.selection, ranks.per_user(contract.selection), validation.users)

        return Job(
            model.network,
            windows,
            contract,
            self.settings,
            train.seed,
            context.folder,
            validate,
            context.progress,
            train.part_users,
        )

    def model(self, train: TrainView, length: int) -> Model:
        """The network with its first weights, and the texts."""
        self.space, found = spaces.learned(train, self.settings)
        poor = poorer(train, self.space, self.settings)
        seed_everything(train.seed, 0, 0)
        items = len(found)
        network = Network(found.shape[1], length, self.settings, items if self.transductive else 0).to(train.device)
        return Model(network, found if poor is None else np.concatenate([found, poor]), items, self.settings)

    def fraction(self, train: TrainView) -> float:
        """Of the steps, how many pre-train."""
        asked = self.settings.pretrain_fraction
        return float(asked if asked is not None else len(train.part_users) > 1 and not self.transductive)

    def score(self, users: NDArray[np.int64], histories: Sequences) -> Scores:
        return scores(self.network, self.vectors, histories)

    def facts(self) -> Facts:
        return facts_of(self.network, self.done, self.preparation, self.budget or {})

    def save_state(self, folder: Path) -> None:
        weights = {f"{WEIGHTS}{name}": array.cpu().numpy() for name, array in self.network.state_dict().items()}
        length = len(self.network.encoder.positions)
        arrays: dict[str, Any] = {CATALOGUE: self.vectors, **self.space.arrays, **weights}
        write_state(folder, arrays, {"length": length, "raw": self.network.adaptor.bias.shape[1]})

    def restore(self, saved: Path) -> None:
        arrays, facts = read_state(saved)
        self.vectors, self.space = arrays[CATALOGUE], TextSpace.kept(self.settings, arrays)
        self.network = Network(facts["raw"], facts["length"], self.settings, self.transductive * len(self.vectors))
        weights = {name.removeprefix(WEIGHTS): array for name, array in arrays.items() if name.startswith(WEIGHTS)}
        self.network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        self.network.eval()

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)
        self.network.to(target.device)
        self.text = self.space.placed(target)
        self.vectors = Model(self.network, self.text, len(self.text), self.settings).catalogue()

    def adapt(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        """Fine-tuning as published: the adaptor alone, against the whole catalogue."""
        model = Model(self.network, self.text, len(self.text), self.settings)
        windows = sliding_windows(train.sequences, context.contract.max_history)
        job = self.job(model, windows, validation, context, train)
        (stage,) = [stage for stage in stages(job, model, 0.0, 0, self.settings.tune_encoder) if stage.total]
        self.preparation, self.budget = 0.0, {}
        self.done = [(stage, trained(job, dataclasses.replace(stage, look_first=True)))]
        self.vectors = model.catalogue()


class UniSRecTransductive(UniSRec):
    """UniSRec over texts and a vector of each item's own, which is trained where it has interactions."""

    name = "unisrec/transductive"
    supports_transfer = False
    no_transfer_reason = "has a trained vector for every item of one catalogue beside its text"
    transductive = True
