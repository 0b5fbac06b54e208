"""Few-shot: a model that was trained elsewhere goes on learning from a few users of the data set that it is tested on.

Users are drawn by the seed, and those of a smaller number are among those of a larger one. Of the others nothing is
read but to rank them. Training takes ``ADAPT_EPOCHS`` passes; validation targets of the same few users choose between
the weights after each of them and those that came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from bench.contract import CUTOFFS, Contract
from bench.data import splitting
from bench.data.dataset import Sequences, TrainView
from bench.data.splits import Split
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline, TrainingContext
from bench.ids.scheme import Stage
from bench.model.recommender import Recommender, decoding_of
from bench.results import store
from bench.runs import curves
from bench.runs.progress import Display
from bench.runs.request import ADAPT_EPOCHS, Request
from bench.training.cost import Stopwatch
from bench.training.loop import Job, train
from bench.training.ranking import evaluate

SLOWER = 0.1  # of the contract's learning rate: the weights are trained already

Users = NDArray[np.int64]


def require_users(request: Request) -> None:
    """BenchError where a model can't be adapted, or the data set has fewer users that could be learned from."""
    asked, subject, name = request.adapted_on, request.subject, request.dataset.name
    if isinstance(subject, AnyBaseline) and not subject.adapts:
        raise BenchError(
            f"--adapt {asked} was asked for, but {subject.name} does not go on learning; leave it out, or test it with "
            "--adapt 0 alone"
        )
    if not isinstance(subject, AnyBaseline) and request.dataset.parts and request.contract.part_power != 1:
        raise BenchError(
            f"part_power={request.contract.part_power:g} does not hold for the users of '{name}' that --adapt {asked} "
            f"takes; test its data sets apart (--zero-shot {','.join(request.parts.names)}), or leave part_power at 1"
        )
    there = len(_candidates(splitting.split(request.dataset, request.contract, request.seed).train))
    if asked > there:
        raise BenchError(
            f"--adapt {asked} was asked for, but '{name}' has {there:,} users to learn from; ask for fewer"
        )


def chosen(train: TrainView, count: int) -> Users:
    """The users that are learned from, sorted."""
    users = np.random.default_rng([train.seed, 7]).permutation(_candidates(train))
    return np.sort(users[:count])


def _candidates(train: TrainView) -> Users:
    return np.flatnonzero(train.sequences.lengths > 1).astype(np.int64)


def few(split: Split, count: int) -> Split:
    """The split in which nobody but ``count`` users has training interactions or is validated; test is untouched."""
    users, sequences = chosen(split.train, count), split.train.sequences
    kept = np.isin(np.arange(len(sequences)), users)
    lengths = np.where(kept, sequences.lengths, 0)
    values = sequences.values[np.repeat(kept, sequences.lengths)]
    alone = Sequences(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), sequences.user_rows)
    validation = split.validation.take(np.flatnonzero(np.isin(split.validation.users, users)))
    return replace(split, train=replace(split.train, sequences=alone), validation=validation)


def passes(contract: Contract) -> Contract:
    """The contract with the budget of adapting."""
    return replace(contract, epochs=ADAPT_EPOCHS, target_examples=0, budget="", max_steps=0, validate_every=1)


def adapted(
    request: Request,
    recommender: Recommender,
    split: Split,
    partial: Path,
    display: Display,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Train a recommender over the identifiers of the unseen catalogue; what is stored of it."""
    part, contract, watch = few(split, request.adapted_on), passes(request.contract), Stopwatch()
    unfreeze(recommender)

    def validate() -> float:
        with recommender.fixed_weights():
            decoding = decoding_of(request.contract)
            ranks, _ = evaluate(recommender, part.validation, decoding, max(CUTOFFS), accelerator)
        return float(ranks.per_user(contract.selection).mean())

    with display.bar(f"{request.run.title}: adapt", 1) as bar:
        job = Job(
            recommender=recommender,
            sequences=part.train.sequences,
            contract=contract,
            seed=request.seed,
            stage=Stage(recommender.ids, "adapt", lr_scale=SLOWER, use_validation=bool(len(part.validation))),
            validate=lambda: {contract.selection: validate()},
            held_out=part.validation,
            path=partial / "stage-adapt.safetensors",
            progress=curves.reporter(partial, "adapt", bar, accelerator.is_main_process),
            save_every=request.save_every,
            accelerator=accelerator,
        )

        def training() -> int:
            state = train(job)
            if accelerator.is_main_process:
                curves.rewrite(partial, (curves.line("adapt", point) for point in state.curve))
            return state.step

        found = best_of(recommender, validate if len(part.validation) else None, training)
    recommender.requires_grad_(False)
    return {"adapted": {"users": request.adapted_on, **found, "seconds": watch.seconds}}


def unfreeze(recommender: Recommender) -> None:
    """Let all of it learn that its backbone does not keep frozen, which may be in eight bits."""
    for parameter in recommender.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    recommender.backbone.unfreeze()


def best_of(
    recommender: Recommender, validate: Callable[[], float] | None, training: Callable[[], int]
) -> dict[str, Any]:
    """Train, and go back where that was no better on validation; the steps, and both scores."""
    before = {name: tensor.detach().clone() for name, tensor in recommender.state_dict().items()}
    first = validate() if validate else None
    steps = training()
    last = validate() if validate else None
    if first is not None and last is not None and last < first:
        recommender.load_state_dict(before)
    return {"steps": steps, "validation_before": first, "validation_after": last}


def adapted_baseline(
    request: Request, baseline: Baseline | TrainedBaseline, split: Split, partial: Path, display: Display
) -> dict[str, Any]:
    """The same of a baseline: one that only counts is fitted on the few users."""
    part, watch = few(split, request.adapted_on), Stopwatch()
    view = request.view(part.train)
    if isinstance(baseline, Baseline):
        baseline.fit(view)
        return _facts(request, watch)
    folder = partial / store.TRAINING_FOLDER
    with store.writable(partial), display.bar(f"{request.run.title}: adapt", 1) as bar:
        folder.mkdir(exist_ok=True)
        progress = curves.reporter(partial, "adapt", bar)
        log = partial.resolve() / "training.log"
        context = TrainingContext(folder.resolve(), log, passes(request.contract), progress=progress)
        baseline.adapt(view, part.validation, context)
    facts = baseline.facts()
    curves.rewrite(partial, (curves.line("adapt", point) for point in facts.training.get("curve", [])))
    return {"adapted": _facts(request, watch)["adapted"] | {"steps": facts.steps, **facts.training}}


def _facts(request: Request, watch: Stopwatch) -> dict[str, Any]:
    return {"adapted": {"users": request.adapted_on, "seconds": watch.seconds}}
