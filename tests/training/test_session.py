"""What a mixture of variants sees: gradients against plain autograd, Adam's moments, and its place in the loop."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.training import loop
from bench.training.examples import of_targets
from bench.training.loop import Job, snapshot_path, train
from bench.training.session import Moments, Session
from bench.vocabulary import Vocabulary

Jobs = Callable[..., Job]


@pytest.fixture
def two() -> TokenIds:
    """Two identifiers for each of the 30 toy items, of two tokens each."""
    vocabulary = Vocabulary.private(f"t{token}" for token in range(12))
    one = [(3 + item // 10, 6 + item % 10 // 2, 9 + item % 2) for item in range(30)]
    tokens = np.array([one, one[::-1]], np.int32)
    return TokenIds(tokens, np.full((2, 30), 3, np.int32), vocabulary)


def session(job: Job) -> Session:
    run = loop._Run(job)
    return run.session()


@pytest.mark.parametrize("part", ["training", "held-out"])
@pytest.mark.parametrize("variant", [0, 1])
def test_a_gradient_is_that_of_the_mean_loss_without_dropout(job: Jobs, two: TokenIds, part: Any, variant: int) -> None:
    made = job(ids=two, dropout=0.3)
    under_way = session(made)
    examples = under_way.training if part == "training" else under_way.held_out
    found = under_way.gradient(part, variant, len(examples))
    model = made.recommender.eval()
    variants = np.full(len(examples), variant)
    batch = model.collate(examples.histories(), examples.items(), variants)
    (model(batch) / model.targets(examples.items(), variants)).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_a_gradient_leaves_everything_as_it_was(job: Jobs, two: TokenIds) -> None:
    made = job(ids=two)
    under_way = session(made)
    made.recommender.train()
    before = [parameter.clone() for parameter in made.recommender.parameters()]
    first = under_way.gradient("training", 0, 7)
    assert torch.equal(first, under_way.gradient("training", 0, 7))
    assert not torch.equal(first, under_way.gradient("training", 1, 7))
    assert not torch.equal(first, under_way.gradient("held-out", 0, 7))
    assert made.recommender.training
    assert all(parameter.grad is None for parameter in made.recommender.parameters())
    assert all(map(torch.equal, before, made.recommender.parameters()))


def test_moments_are_adams(job: Jobs, two: TokenIds) -> None:
    """Before each of two epochs of three steps."""
    found: list[Moments] = []
    states: list[list[dict[str, Any]]] = []

    def looking(session: Session) -> NDArray[np.float64]:
        found.append(session.moments())
        state = session.optimizer.state
        kept = [state.get(parameter, {}) for parameter in session.recommender.parameters()]
        states.append([{name: value.clone() for name, value in each.items()} for each in kept])
        return np.array([0.5, 0.5])

    train(job(ids=two, mixture=looking))
    assert not found[0].first.any()
    assert [moments.steps for moments in found] == [0, 3]
    assert found[1].betas == (0.9, 0.999)
    for flat, name in ((found[1].first, "exp_avg"), (found[1].second, "exp_avg_sq")):
        assert flat.any()
        assert torch.equal(flat, torch.cat([state[name].reshape(-1) for state in states[1]]))


def test_held_out_users_become_examples(job: Jobs) -> None:
    targets = job().held_out
    examples = of_targets(targets)
    assert examples.items().tolist() == targets.items.tolist()
    found, expected = examples.histories(), targets.histories
    assert [found[row].tolist() for row in range(len(found))] == [expected[row].tolist() for row in range(len(found))]


# -- in the loop ------------------------------------------------------------------------------------------------------


def leaning(session: Session) -> NDArray[np.float64]:
    """A mixture that depends on all it is shown, and remembers."""
    said = session.state.setdefault("said", [])
    said.append([session.epoch, session.epochs, float(session.moments().first.abs().sum())])
    lean = float(torch.sigmoid(session.gradient("held-out", 0, 5).sum() * 50 + len(said) / 3))
    return np.array([lean, 1 - lean])


def outcome(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    state = {name: value for name, value in vars(train(job)).items() if not name.endswith("_seconds")}
    return dict(job.recommender.state_dict()), state


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_mixture_is_asked_once_before_every_epoch_wherever_training_stops(
    job: Jobs, two: TokenIds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    expected, state = outcome(job(ids=two, mixture=leaning, epochs=3))
    assert [epoch for epoch, *_ in state["mixture_state"]["said"]] == [0, 1, 2]
    assert state["mixture_state"]["said"][0][1:] == [3, 0.0]
    assert state["mixture_state"]["said"][2][2] > 0
    assert sum(state["probabilities"]) == pytest.approx(1)
    for stop in range(1, len(state["curve"]) + 1):
        calls = itertools.count(1)

        def interrupt(*_: object, stop: int = stop, calls: Any = calls) -> None:
            if next(calls) == stop:
                os.kill(os.getpid(), signal.SIGINT)

        path = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(job(ids=two, mixture=leaning, epochs=3, path=path, progress=interrupt))
        found, gone_on = outcome(job(ids=two, mixture=leaning, epochs=3, path=path))
        assert gone_on == state, stop
        assert same(found, expected), stop


def test_examples_are_written_in_the_variant_that_is_drawn(
    job: Jobs, two: TokenIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all probability on one variant training is that of the variant alone; input and target never mix."""
    only = [outcome(job(ids=two.only(variant), path=Path(f"{job().path}-{variant}")))[0] for variant in (0, 1)]
    for variant in (0, 1):
        chosen = np.eye(2)[variant]
        made = job(
            ids=two, mixture=lambda _, chosen=chosen: chosen, use_validation=False, path=Path(f"{job().path}m{variant}")
        )
        made.validate = lambda: pytest.fail("validation is not to be looked at")
        found, state = outcome(made)
        assert (state["best_step"], state["step"]) == (0, 6)
        alone = job(ids=two.only(variant), use_validation=False, path=Path(f"{job().path}o{variant}"))
        assert same(found, outcome(alone)[0])
    assert not same(*only)


def test_without_a_mixture_variants_are_equally_likely(job: Jobs, two: TokenIds) -> None:
    assert outcome(job(ids=two))[1]["probabilities"] == [0.5, 0.5]


@pytest.mark.parametrize("wrong", [[1.0], [0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]])
def test_what_is_no_distribution_is_refused(job: Jobs, two: TokenIds, wrong: list[float]) -> None:
    with pytest.raises(BenchError, match=r"mixture of stage 'train' must give 2 probabilities that sum to 1; got \["):
        train(job(ids=two, mixture=lambda _: np.array(wrong)))


# -- stages -----------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_stage_scales_the_learning_rate(job: Jobs) -> None:
    """Adam's first move has the size of the rate."""
    moves = []
    for rate in (1.0, 0.25):
        started = job(
            path=Path(f"{job().path}-{rate}"), lr_scale=rate, max_steps=1, dropout=0.0, weight_decay=0.0, warmup=0.0
        )
        before = [parameter.clone() for parameter in started.recommender.parameters()]
        train(started)
        after = list(started.recommender.parameters())
        moves.append(max(float((a - b).detach().abs().max()) for a, b in zip(after, before, strict=True)))
    assert moves == pytest.approx([0.01, 0.0025], rel=1e-3)


def test_snapshots_hold_the_weights_of_their_epoch(job: Jobs, tmp_path: Path) -> None:
    """The weights after two of four epochs are those of a training of the same plan that is stopped there."""
    seen: dict[int, dict[str, Any]] = {}

    def looking(session: Session) -> NDArray[np.float64]:
        seen[session.epoch] = {name: value.clone() for name, value in session.recommender.backbone.state_dict().items()}
        return np.ones(1)

    made = job(
        epochs=4, snapshots=(0.5, 1.0), use_validation=False, mixture=looking, path=tmp_path / "kept.safetensors"
    )
    train(made)
    seen[4] = dict(made.recommender.backbone.state_dict())
    for part, epoch in ((0.5, 2), (1.0, 4)):
        _, weights = loop.checkpoint.load(snapshot_path(made, part))
        assert same(weights, seen[epoch])


def test_a_stage_that_may_end_early_has_no_snapshots(job: Jobs) -> None:
    with pytest.raises(BenchError, match="stage 'train' asks for snapshots and selects by validation"):
        train(job(snapshots=(0.5,)))


def test_a_mixture_needs_validation_users_that_select_nothing(job: Jobs) -> None:
    made = job()
    made.held_out = made.held_out.take(np.zeros(0, np.int64))
    with pytest.raises(BenchError, match="a mixture needs two or more validation users"):
        session(made).gradient("held-out", 0, 5)
