"""A scheme's stages trained on identifiers that were made before, as a run trains them, but without validation.

Validation may choose between weights, and is told to the scheme as a number: here it is 0 whatever the data are, so
that what is held out has no way into the stages but one that is forbidden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from bench.backbone.protocol import Backbone
from bench.conformance.planned import planned
from bench.conformance.watching import watched
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids import storage
from bench.ids.identifiers import Ids
from bench.ids.scheme import Stage, Trained
from bench.model.recommender import Recommender
from bench.runs.progress import Bar, Display
from bench.runs.request import Request
from bench.runs.scheme_run import SchemeRun
from bench.training.checkpoint import TrainingState


class Unvalidated(SchemeRun):
    """A run that notes what each stage comes to, and that no validation has an effect on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.digests: list[str] = []

    def validator(self, recommender: Recommender, bar: Bar) -> Callable[[], Mapping[str, float]]:
        return lambda: {self.contract.selection: 0.0}

    def calibrate(self, recommender: Recommender) -> None:
        """Left out: it looks at validation, as it may."""

    def train_stage(self, stage: Stage, model: Backbone, number: int, before: float) -> tuple[Trained, TrainingState]:
        trained, state = super().train_stage(stage, model, number, before)
        self.digests.append(f"{stage.name} {digest_of(stage.ids, trained.recommender)}")
        return trained, state


def stages(
    folder: Path, dataset: Dataset, identifiers: Path, task: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What each stage comes to, by its name and a digest of its identifiers and weights, and what was opened with
    interactions in it. Raises whatever the scheme raises.
    """
    scheme, contract = planned(task["scheme"], dataset.name, task["seed"], task["overrides"])
    request = Request(scheme, dataset, contract, task["seed"], None, folder / "results")
    request = replace(request, dataset=replace(dataset, items=request.items))
    split = leave_one_out(request.dataset, task["seed"], contract.max_history)
    partial = folder / "partial"
    partial.mkdir()
    run = Unvalidated(request, scheme, split, partial, Display(loud=False), Accelerator(cpu=True))
    with watched(task["places"], list(task["settings"].values())) as opened:
        tested = run.trained(storage.load(identifiers)[0])[0]
    found = (*run.digests, f"tested {digest_of(tested.recommender.ids, tested.recommender)}")
    return found, tuple(opened)


def digest_of(ids: Ids, recommender: Recommender) -> str:
    """16 hex digits over identifiers and weights."""
    arrays, facts = storage.parts(ids)
    found = hashlib.sha256(f"{ids.vocabulary.fingerprint} {facts}".encode())
    for name in sorted(arrays):
        found.update(arrays[name].tobytes())
    for name, tensor in sorted(recommender.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
