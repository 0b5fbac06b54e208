"""A stage under way, as the mixture of identifier variants sees it: how far it is, gradients, Adam's moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.model.recommender import Recommender, to_device
from bench.training.arithmetic import multiplying
from bench.training.examples import Examples, bucketed_batches, draw_prompts

AT_ONCE = 256  # examples of a gradient in memory


@dataclass(frozen=True, eq=False)
class Moments:
    """AdamW's moving averages after ``steps`` steps, flat over all parameters, and its constants."""

    first: Tensor
    second: Tensor
    steps: int
    betas: tuple[float, float]
    epsilon: float


@dataclass(frozen=True, eq=False)
class Session:
    """Given to a mixture before every epoch.

    ``epoch`` counts from 0 and has so many ``examples``; ``state`` holds whatever JSON can, is kept in checkpoints and
    stored with the result. ``learning_rate`` is that of the next step. The held-out examples are validation users whose
    scores select nothing. Gradients are computed in the ``precision`` of training.
    """

    recommender: Recommender
    optimizer: torch.optim.Optimizer
    training: Examples
    held_out: Examples
    examples: int
    epoch: int
    epochs: int
    learning_rate: float
    seed: int
    state: dict[str, Any]
    precision: str = "fp32"

    @property
    def variants(self) -> int:
        return self.recommender.ids.variants

    def gradient(self, part: Literal["training", "held-out"], variant: int, count: int) -> Tensor:
        """The gradient of the mean loss of at most ``count`` examples written in one variant, ``[parameters]``.

        The examples are a fixed random sample, in prompts of training, the same for every variant; dropout is off.
        """
        examples = self.training if part == "training" else self.held_out
        if not len(examples):
            raise BenchError("a mixture needs two or more validation users that do not select; got none")
        sample = np.random.default_rng([self.seed, 3]).permutation(len(examples))[:count]
        variants = np.full(len(sample), variant)
        prompts = draw_prompts(len(sample), self.recommender.prompts, self.seed, 0)
        items = examples.items(sample)
        lengths = self.recommender.input_lengths(examples.histories(sample), variants, prompts)
        parameters = trained_parameters(self.recommender)
        total = [torch.zeros_like(parameter) for parameter in parameters]
        was_training = self.recommender.training
        self.recommender.eval()
        for rows in bucketed_batches(lengths, AT_ONCE, self.seed, 0):
            histories = examples.histories(sample[rows])
            batch = self.recommender.collate(histories, items[rows], variants[rows], prompts[rows])
            with multiplying(self.precision, self.recommender.device):
                loss = self.recommender(to_device(batch, self.recommender.device))
            for kept, found in zip(total, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
                if found is not None:
                    kept += found
        self.recommender.train(was_training)
        return flat(total) / max(1, self.recommender.targets(items, variants))

    def moments(self) -> Moments:
        """Zeros before the first step."""
        parameters = trained_parameters(self.recommender)
        states = [self.optimizer.state.get(parameter, {}) for parameter in parameters]
        group = self.optimizer.param_groups[0]
        return Moments(
            first=flat([s.get("exp_avg", torch.zeros_like(p)) for s, p in zip(states, parameters, strict=True)]),
            second=flat([s.get("exp_avg_sq", torch.zeros_like(p)) for s, p in zip(states, parameters, strict=True)]),
            steps=int(max(float(state.get("step", 0)) for state in states)),
            betas=group["betas"],
            epsilon=group["eps"],
        )


def trained_parameters(recommender: Recommender) -> list[Tensor]:
    return [parameter for parameter in recommender.parameters() if parameter.requires_grad]


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
