"""Where part of a backbone is frozen, checkpoints hold what is trained; the rest is known by its content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.dataset import Progress, silent
from bench.runs.stage_facts import identity
from bench.training import checkpoint
from bench.training.loop import Job, snapshot_path, train
from bench.training.probe import _copied

Jobs = Callable[..., Job]


def frozen(job: Jobs, path: Path | None = None, progress: Progress = silent, **stage: Any) -> Job:
    """A training whose encoder and embeddings stay as they are."""
    found = job() if path is None else job(path=path)
    found = replace(found, stage=replace(found.stage, **stage), progress=progress)
    found.recommender.backbone.encoder.requires_grad_(False)
    found.recommender.backbone.embedding.requires_grad_(False)
    return found


def state(job: Job) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def is_frozen(name: str) -> bool:
    return ".encoder." in name or ".embedding." in name


def test_a_checkpoint_holds_what_is_trained(job: Jobs) -> None:
    started = frozen(job)
    before = state(started)
    train(started)
    model, moments, best = checkpoint.unpack(checkpoint.load(started.path)[1])
    trained = {name for name in before if not is_frozen(name)}
    assert model.keys() == best.keys() == trained
    assert len(moments) == len(trained)
    after = state(started)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "backbone.decoder.blocks.0.feed_forward.inner.weight" in changed
    assert changed <= trained


def test_stopped_and_resumed_it_is_the_same(job: Jobs, tmp_path: Path) -> None:
    whole, path = frozen(job), tmp_path / "stopped"

    def stop(step: int, *_: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(frozen(job, path=path, progress=stop))
    resumed = frozen(job, path=path)
    train(resumed)
    assert equal(state(resumed), state(whole))
    replayed = frozen(job, path=path)
    train(replayed)  # it is finished: its weights come from the checkpoint and from what it started from
    assert equal(state(replayed), state(whole))


def test_a_snapshot_holds_what_is_trained(job: Jobs) -> None:
    started = frozen(job, use_validation=False, snapshots=(0.5,))
    train(started)
    weights = checkpoint.load(snapshot_path(started, 0.5))[1]
    assert weights
    assert not [name for name in weights if name.startswith(("encoder.", "embedding."))]


def test_a_run_is_known_by_the_content_of_what_is_frozen(job: Jobs) -> None:
    one, other = frozen(job), frozen(job)
    assert identity(one.stage, one.recommender) == identity(other.stage, other.recommender)
    with torch.no_grad():
        other.recommender.backbone.encoder.norm.weight[0] += 1
    assert identity(one.stage, one.recommender) != identity(other.stage, other.recommender)


def test_a_copy_to_be_measured_shares_what_is_frozen(job: Jobs) -> None:
    """Two bases of billions of weights do not fit where one does."""
    model = frozen(job).recommender
    pairs = zip(model.named_parameters(), _copied(model).parameters(), strict=True)
    shared = {name for (name, ours), theirs in pairs if ours is theirs}
    assert shared == {name for name, _ in model.named_parameters() if is_frozen(name)} != set()
