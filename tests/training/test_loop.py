"""The training loop repeats to the bit, goes on from anywhere, keeps the best weights, and learns."""

from __future__ import annotations

import gc
import itertools
import math
import os
import signal
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Template
from bench.model.inputs import HistoryWriter
from bench.model.sequence import SequenceRecommender
from bench.training import checkpoint, loop
from bench.training.examples import bucketed_batches, draw_prompts
from bench.training.loop import Job, _Run, train
from bench.training.signals import interrupted_by_sigterm

Jobs = Callable[..., Job]
Weights = dict[str, Tensor]


def weights(job: Job) -> Weights:
    return {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}


def same(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def outcome(job: Job) -> tuple[Weights, dict[str, Any]]:
    """The weights after training and all of its state but the time it took."""
    state = {name: value for name, value in vars(train(job)).items() if not name.endswith("_seconds")}
    return weights(job), state


def interrupting(call: int) -> Callable[..., None]:
    """A callback that presses Ctrl-C in its ``call``-th call."""
    calls = itertools.count(1)

    def interrupt(*_: object) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)

    return interrupt


@pytest.fixture(autouse=True)
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is looked at after every step."""
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def test_one_seed_is_one_result_and_another_seed_another(job: Jobs, tmp_path: Path) -> None:
    first, second, other = (outcome(job(seed, tmp_path / name)) for name, seed in [("a", 0), ("b", 0), ("c", 1)])
    assert same(first[0], second[0])
    assert first[1] == second[1]
    assert not same(first[0], other[0])


def test_the_randomness_of_a_step_depends_on_seed_step_and_process_alone() -> None:
    drawn = []
    for key in itertools.product((0, 1), (0, 1, 2), (0, 1)):
        torch.rand(3)  # whatever was drawn before
        loop.seed_everything(*key)
        drawn.append(torch.rand(4).tolist())
    assert len({tuple(numbers) for numbers in drawn}) == 12
    loop.seed_everything(1, 2, 0)
    assert torch.rand(4).tolist() == drawn[-2]


# -- going on ---------------------------------------------------------------------------------------------------------


def test_moments_are_freed_when_training_ends(job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Accelerate frees the memory of a device, and not when somebody looks for garbage again."""
    moments: list[weakref.ref[Tensor]] = []
    load_best = _Run.load_best

    def watched(run: _Run) -> None:
        moments.extend(weakref.ref(kept["exp_avg"]) for kept in run.optimizer.state.values())
        load_best(run)

    monkeypatch.setattr(_Run, "load_best", watched)
    monkeypatch.setattr(gc, "collect", lambda *_: None)
    made = job()
    gc.disable()
    try:
        train(made)
    finally:
        gc.enable()
    assert moments
    assert not any(moment() is not None for moment in moments)


@pytest.mark.parametrize(("save_every", "negatives"), [(0.0, 0), (60.0, 0), (0.0, 4)])
def test_stopped_anywhere_it_ends_as_if_it_had_not_been(
    job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: float, negatives: int
) -> None:
    """Ctrl-C at each report: after every one of the six steps, and after both validations. Also where tokens are drawn
    for the loss.
    """
    monkeypatch.setattr(loop, "SAVE_EVERY", save_every)
    job = partial(job, negatives=negatives)
    expected, state = outcome(job())
    reports = len(state["curve"])
    assert reports == 8
    for stop in range(1, reports + 1):
        path = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(job(path=path, progress=interrupting(stop)))
        found, gone_on = outcome(job(path=path))
        assert gone_on == state, stop
        assert same(found, expected), stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_any_step_is_saved_it_ends_the_same(
    job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Also in the last step of an epoch, after which signals are no longer put off."""
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    expected, state = outcome(job())
    save = _Run.save
    for stop in range(1, state["step"] + 1):
        pressed: list[int] = []

        def interrupted(run: _Run, stop: int = stop, pressed: list[int] = pressed) -> None:
            save(run)
            if run.state.step == stop and not pressed:  # once: within the steps of the epoch
                pressed.append(number)
                os.kill(os.getpid(), number)

        path = tmp_path / f"stopped-{stop}"
        monkeypatch.setattr(_Run, "save", interrupted)
        with interrupted_by_sigterm(), pytest.raises(KeyboardInterrupt):
            train(job(path=path))
        monkeypatch.setattr(_Run, "save", save)
        assert checkpoint.load(path)[0].step <= stop + 1
        found, gone_on = outcome(job(path=path))
        assert gone_on == state, stop
        assert same(found, expected), stop


@pytest.mark.parametrize("save_every", [0.0, 60.0])
def test_stopped_within_a_validation_it_ends_the_same(
    job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: float
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", save_every)
    expected, state = outcome(job())
    validate = job().validate

    def interrupted() -> float:
        validate()
        os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    path = tmp_path / "stopped"
    for _ in range(2):  # once more at the same place: nothing but validation may be repeated
        with pytest.raises(KeyboardInterrupt):
            train(job(path=path, validate=interrupted))
        assert path.exists() == (save_every == 0)
    found, gone_on = outcome(job(path=path))
    assert gone_on == state
    assert same(found, expected)


def test_killed_after_any_checkpoint_it_ends_the_same(
    job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kill -9 leaves is the last checkpoint: the training is gone on with from each one ever written."""
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    written: list[bytes] = []

    def save(path: Path, *content: Any) -> None:
        checkpoint_save(path, *content)
        written.append(path.read_bytes())

    checkpoint_save = checkpoint.save
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save)
        expected, state = outcome(job())
    assert len(written) == 6 + 2 + 2  # after every step, before every validation, after every epoch
    for number, content in enumerate(written):
        path = tmp_path / f"killed-{number}"
        path.write_bytes(content)
        found, gone_on = outcome(job(path=path))
        assert gone_on == state, number
        assert same(found, expected), number


def test_a_finished_stage_is_loaded_and_not_trained(job: Jobs) -> None:
    expected, state = outcome(job())

    def refuse(*_: object) -> float:
        raise AssertionError("trained again")

    found, again = outcome(job(validate=refuse, progress=refuse))
    assert again == state
    assert same(found, expected)


def test_a_termination_signal_stops_as_ctrl_c_does(job: Jobs) -> None:
    def progress(step: int, *_: object) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    started = job(progress=progress)
    with pytest.raises(KeyboardInterrupt):
        train(started)
    assert checkpoint.load(started.path)[0].step == 2


# -- selection --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "patience", "validations", "best"),
    [
        ([0.1, 0.3, 0.2, 0.2, 0.9], 2, 4, 2),  # stops before it would have got better
        ([0.1, 0.3, 0.2, 0.3, 0.9], 2, 4, 2),  # as good as the best is not better
        ([0.1, 0.3, 0.2, 0.4, 0.2], 2, 5, 4),  # a better one starts the count anew; then the budget ends
        ([0.0, 0.0, 0.0, 0.0, 0.0], 3, 4, 1),  # the first is the best so far, even without a hit
    ],
)
def test_the_best_weights_by_validation_are_what_is_left(
    job: Jobs, scores: list[float], patience: int, validations: int, best: int
) -> None:
    seen: list[Weights] = []

    def validate() -> float:
        seen.append(weights(started))
        return scores[len(seen) - 1]

    started = job(validate=validate, epochs=5, patience=patience)
    state = train(started)
    assert len(seen) == state.epoch == validations
    assert state.best == scores[best - 1]
    assert state.best_step == 3 * best
    assert same(weights(started), seen[best - 1])
    assert best == validations or not same(seen[best - 1], seen[-1])
    assert not started.recommender.training


def test_where_nothing_is_trained_the_weights_are_validated_as_they_are(job: Jobs) -> None:
    started = job(budget_fraction=0.0, validate=lambda: 0.25)
    before = weights(started)
    state = train(started)
    assert (state.step, state.best, state.best_step) == (0, 0.25, 0)
    assert state.curve == [{"step": 0, "ndcg@10": 0.25}]
    assert same(weights(started), before)
    unconverted = {"epochs": 0, "budget": "30m"}  # by what is trained, which is nothing here
    unseen = job(budget_fraction=0.0, use_validation=False, validate=lambda: 1 / 0, **unconverted)
    assert train(unseen).curve == []


def test_validation_is_due_every_few_epochs_and_at_the_end(job: Jobs) -> None:
    curve = train(job(epochs=5, validate_every=2)).curve
    assert [point["step"] for point in curve if "ndcg@10" in point] == [6, 12, 15]


# -- costs ------------------------------------------------------------------------------------------------------------


def test_validation_is_no_part_of_training(job: Jobs) -> None:
    """Two validations of 0.2 s each, and training that sleeps 0.05 s in each of six steps."""

    def validate() -> float:
        time.sleep(0.2)
        return 0.5

    def progress(step: int, total: int, stats: Mapping[str, float]) -> None:
        time.sleep(0 if "ndcg@10" in stats else 0.05)

    started = job(validate=validate, progress=progress)
    begin = time.monotonic()
    state = train(started)
    passed = time.monotonic() - begin
    assert 0.4 <= state.validation_seconds < passed - 0.3
    assert 0.3 <= state.training_seconds <= passed - 0.4
    assert passed - state.training_seconds - state.validation_seconds < 0.02  # nothing is left out
    assert 0 < state.processor_seconds <= passed * 1.5 - 0.6


def test_work_is_counted_once_for_every_example(job: Jobs) -> None:
    """One token an item, which has no end; histories stand between no other tokens."""
    state = train(job(examples="all"))
    lengths = [min(position, 20) for length in job().sequences.lengths for position in range(1, length)]
    model = job().recommender
    separator = model.input_lengths(Sequences.from_rows([[1, 2]])) - model.input_lengths(Sequences.from_rows([[1]]))
    around = model.input_lengths(Sequences.from_rows([[1]]))[0] - 1
    read = sum(length + (length - 1) * (separator[0] - 1) + around for length in lengths)
    assert (state.tokens_read, state.tokens_written) == (2 * read, 2 * len(lengths))
    assert state.training_flops is not None
    assert state.training_flops > 6 * state.tokens_written * 16 * model.ids.vocabulary.size  # of the output layer alone


# -- budget and schedule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 6),
        ({"max_steps": 4}, 4),
        ({"max_steps": 99}, 6),
        ({"epochs": 4, "budget_fraction": 0.5}, 6),
        ({"max_steps": 4, "budget_fraction": 0.5}, 2),
        ({"max_steps": 1, "budget_fraction": 0.1}, 1),
        ({"batch_size": 7}, 12),
    ],
)
def test_the_budget_is_kept_and_shared_out(job: Jobs, changes: dict[str, Any], steps: int) -> None:
    totals = []
    state = train(job(progress=lambda step, total, figures: totals.append(total), **changes))
    assert state.step == steps == state.curve[-1]["step"]
    assert set(totals) == {steps}


def test_all_examples_or_one_of_each_user(job: Jobs, tmp_path: Path) -> None:
    windows = sum(length - 1 for length in job().sequences.lengths)
    assert train(job(path=tmp_path / "all", examples="all", epochs=1)).step == -(-windows // 16)
    assert train(job(path=tmp_path / "one", examples="one", epochs=1)).step == -(-40 // 16)


# -- the optimizer ----------------------------------------------------------------------------------------------------


# -- what can go wrong, and what should go right ----------------------------------------------------------------------


def test_a_batch_that_cannot_be_shared_is_refused(job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 examples in batches of at most three: the smallest has two."""
    monkeypatch.setattr(Accelerator, "num_processes", 3)
    with pytest.raises(BenchError, match=r"batches of 2 examples cannot be shared by 3 processes; start fewer, or"):
        train(job(batch_size=3))


def test_sequences_of_single_items_cannot_train(job: Jobs) -> None:
    with pytest.raises(BenchError, match="no training example: every training sequence has fewer than two items"):
        train(replace(job(), sequences=Sequences.from_rows([[1], [2], []])))


def test_the_circle_is_learnt(job: Jobs) -> None:
    """The next item is one step on, nine times of ten: the loss falls, and what is left decodes far above chance."""
    state = train(job(epochs=20, examples="all", dropout=0.0, validate_every=20))
    losses = [point["loss"] for point in state.curve if "loss" in point]
    assert losses[0] > 2
    assert losses[-1] < losses[0] / 2
    by_chance = sum(1 / math.log2(rank + 1) for rank in range(1, 11)) / 30
    assert state.best > 2 * by_chance


def test_every_epoch_trains_on_its_own_prompts(job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """IDGenRec drew anew for a loader that was not in use. Here the batch holds what was drawn, and fits its length."""
    made = job(examples="all", epochs=2, batch_size=8)
    model = made.recommender
    assert isinstance(model, SequenceRecommender)
    templates = [Template(), Template(before="i01"), Template(after="i02 i03 i04")]
    model.writer, model.prompts = HistoryWriter(model.ids, templates=templates), (1, 2)
    collate, seen, widths = model.collate, [], []

    def recorded(histories: Sequences, items: Any, variants: Any = 0, prompts: Any = 0) -> Any:
        batch = collate(histories, items, variants, prompts)
        seen.append(prompts.tolist())
        widths.append(batch["tokens"].shape[1])
        return batch

    monkeypatch.setattr(model, "collate", recorded)
    train(made)
    expected, longest = [], []
    windows = loop._Run(made).windows
    for epoch in range(2):
        prompts = draw_prompts(len(windows), (1, 2), made.seed, epoch)
        lengths = model.input_lengths(windows.histories(), prompts=prompts)
        batches = bucketed_batches(lengths, 8, made.seed, epoch)
        expected += [prompts[rows].tolist() for rows in batches]
        longest += [lengths[rows].max() for rows in batches]
    assert seen == expected
    assert widths == longest
    assert {prompt for prompts in seen for prompt in prompts} == {1, 2}
