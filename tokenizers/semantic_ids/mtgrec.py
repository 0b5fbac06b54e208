"""MTGRec: pre-training on many identifiers of every item, then fine-tuning on one (Zheng et al., 2025, section 3)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.identifiers import Ids, TokenIds
from bench.ids.scheme import Mixture, Stage, Trained
from bench.training.session import Moments, Session
from semantic_ids.schemes import RqVae
from semantic_ids.settings import RqVaeSettings


@dataclass(frozen=True)
class MtgRecSettings(RqVaeSettings):
    """As ``RqVaeSettings``, and the curriculum.

    ``variants`` epochs of the tokenizer are pre-trained on, for the part ``pretraining`` of the budget. What is left is
    shared by the fine-tunings, one for each of the first ``candidates`` variants and each of the ``checkpoints``, which
    are parts of pre-training, at ``rate`` times the learning rate. From the part ``warm`` of pre-training on, the
    mixture changes ``updates`` times: a softmax of influence over ``temperature``, measured for each variant on a
    ``sample``, a part of the examples of an epoch; pre-training of few epochs has fewer updates, one an epoch at most.
    How large influence is depends on the model and its learning rate. With ``standardize``, by default so with the
    paper's formula and not with that of the published code, it is first divided by its deviation over the variants.
    """

    variants: int = 10
    pretraining: float = 0.6
    checkpoints: tuple[float, ...] = (0.6, 1.0)
    candidates: int = 2
    rate: float = 0.3
    warm: float = 0.3
    updates: int = 7
    temperature: float = 3.0
    standardize: bool | None = None
    sample: float = 0.01
    formula: Literal["paper", "repo"] = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("variants", "candidates", "updates"):
            if getattr(self, name) < 1:
                raise BenchError(f"setting '{name}' must be 1 or more; got {getattr(self, name)}")
        if max(self.variants, self.candidates) > min(self.epochs, self.variants):
            raise BenchError(
                f"{self.candidates} candidates of {self.variants} variants from {self.epochs} epochs are asked for; "
                "variants must not exceed epochs, nor candidates variants"
            )
        for name, part in (("pretraining", self.pretraining), *(("checkpoints", part) for part in self.checkpoints)):
            if not 0 < part <= 1 or (name == "pretraining" and part == 1):
                raise BenchError(f"setting '{name}' must be a part of the training, above 0; got {part}")
        if not 0 <= self.warm < 1:
            raise BenchError(f"setting 'warm' must be a part of pre-training below 1; got {self.warm}")
        for name in ("temperature", "rate", "sample"):
            if not getattr(self, name) > 0:
                raise BenchError(f"setting '{name}' must be above 0; got {getattr(self, name)}")


class MtgRec(RqVae):
    """Codes of several epochs of one RQ-VAE (MTGRec), drawn as they help on validation users that select nothing."""

    name = "semantic/mtgrec"
    Settings = MtgRecSettings

    def variants(self) -> int:
        return int(self.settings.variants)

    def mixture(self) -> Mixture | None:
        return Influence(self.settings)

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        plan = self.settings
        assert isinstance(ids, TokenIds)  # as ``fit`` makes them
        pretrained = yield Stage(
            ids,
            "pre-train",
            budget_fraction=plan.pretraining,
            mixture=self.mixture(),
            use_validation=False,
            snapshots=plan.checkpoints,
        )
        candidates = range(min(plan.candidates, ids.variants))
        share = (1 - plan.pretraining) / (len(candidates) * len(plan.checkpoints))
        tuned = []
        for part, model in zip(plan.checkpoints, pretrained.snapshots, strict=True):
            for variant in candidates:
                name = f"fine-tune variant {variant} from {part:g}"
                tuned.append(
                    (yield Stage(ids.only(variant), name, budget_fraction=share, lr_scale=plan.rate, start=model))
                )
        return max(tuned, key=lambda trained: trained.validation or 0.0)


class UniformMixture(MtgRec):
    """MTGRec's control whose codes of each epoch are equally likely throughout."""

    name = "semantic/mtgrec-uniform"

    def mixture(self) -> Mixture | None:
        return None


class SingleVariant(UniformMixture):
    """MTGRec's control with one identifier for every item: half as many fine-tunings, each with twice the budget."""

    name = "semantic/mtgrec-single"

    def fit(self, train: TrainView) -> TokenIds:
        return super().fit(train).only(0)


class Influence:
    """The probability of each variant from its influence on validation so far (section 3.3.2, equations 7 to 10)."""

    def __init__(self, settings: MtgRecSettings) -> None:
        self.settings = settings

    def __call__(self, session: Session) -> NDArray[np.float64]:
        plan, state = self.settings, session.state
        history = state.setdefault("probabilities", [[1 / session.variants] * session.variants])
        begin = plan.warm * session.epochs
        due = {round(begin + update * (session.epochs - begin) / plan.updates) for update in range(plan.updates)}
        if session.epoch in due and session.epoch > 0:
            influence = np.array(state.get("influence", np.zeros(session.variants)))
            rates = state.get("rates", 0.0) + session.learning_rate
            influence = influence + session.learning_rate * self.measured(session)
            state |= {"influence": influence.tolist(), "rates": rates}
            scores = influence / rates if plan.formula == "repo" else influence
            standardize = plan.formula == "paper" if plan.standardize is None else plan.standardize
            spread = float(scores.std()) if standardize else 1.0
            history.append(softmax(scores / (spread or 1.0) / plan.temperature).tolist())
            state.setdefault("epochs", []).append(session.epoch)
        return np.array(history[-1])

    def measured(self, session: Session) -> NDArray[np.float64]:
        """How much one step of Adam on each variant would lower the loss of the held-out examples, per unit of rate."""
        variants, sample = range(session.variants), max(1, round(self.settings.sample * session.examples))
        moments = session.moments()
        held_out = sum((session.gradient("held-out", variant, sample) for variant in variants), torch.zeros(()))
        steps = (
            adam_step(moments, session.gradient("training", variant, sample), self.settings.formula)
            for variant in variants
        )
        return np.array([float(step @ held_out) / session.variants for step in steps])


def adam_step(moments: Moments, gradient: Tensor, formula: str) -> Tensor:
    """The direction Adam would take with one more gradient. ``repo`` leaves out the bias correction and has epsilon
    inside the root, as the published code.
    """
    (one, two), steps = moments.betas, moments.steps + 1
    first = one * moments.first + (1 - one) * gradient
    second = two * moments.second + (1 - two) * gradient**2
    if formula == "repo":
        return first / (second + moments.epsilon).sqrt()
    return first / (1 - one**steps) / ((second / (1 - two**steps)).sqrt() + moments.epsilon)


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())
