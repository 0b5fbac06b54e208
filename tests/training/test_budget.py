"""A budget is a number of steps: of epochs, of target examples, or of time and operations converted once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import Amount, Contract
from bench.errors import BenchError
from bench.model.recommender import Work
from bench.training import probe
from bench.training.budget import convert, schedule, stage_steps, steps_per_epoch, whole_steps
from bench.training.loop import Job, train
from bench.training.probe import step_cost, step_flops, step_seconds

Jobs = Callable[..., Job]


def test_the_schedule_warms_up_and_decays() -> None:
    assert [schedule("linear", 0.2, step, 10) for step in range(10)] == pytest.approx(
        [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )
    cosine = [schedule("cosine", 0.2, step, 10) for step in (0, 1, 2, 4, 6)]
    assert cosine == pytest.approx([0.5, 1, 1, 0.5 + 2**0.5 / 4, 0.5])
    assert [schedule("constant", 0.2, step, 10) for step in (0, 1, 5, 9)] == [0.5, 1, 1, 1]
    assert [schedule("linear", 0.0, step, 2) for step in range(2)] == [1, 0.5]


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 9))
def test_as_many_target_examples_as_epochs_have_are_as_many_steps(examples: int, batch: int, epochs: int) -> None:
    by_epochs = Contract(batch_size=batch, epochs=epochs)
    by_examples = Contract(batch_size=batch, epochs=0, target_examples=epochs * examples)
    assert whole_steps(by_examples, examples) == whole_steps(by_epochs, examples)
    assert whole_steps(by_epochs, examples) == epochs * steps_per_epoch(examples, batch)


def test_a_number_of_target_examples_is_the_same_for_small_and_for_large_data() -> None:
    contract = Contract(batch_size=10, epochs=0, target_examples=1000)
    assert [whole_steps(contract, examples) for examples in (100, 250, 5000, 10**6)] == [100] * 4
    assert whole_steps(Contract(batch_size=10, epochs=0, target_examples=1000, max_steps=7), 100) == 7


@given(st.integers(1, 5000), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_stages_share_the_whole(whole: int, parts: list[int]) -> None:
    fractions = [part / sum(parts) for part in parts]
    before, found = 0.0, []
    for fraction in fractions:
        found.append(stage_steps(whole, before, fraction))
        before += fraction
    assert sum(found) == whole or 1 in found  # a stage that trains has one step at least
    assert stage_steps(whole, 0.5, 0.0) == 0


def test_what_is_left_of_a_budget_is_steps() -> None:
    assert convert("1m", Amount(60, "seconds"), 0.5).steps == 120
    assert convert("1m", Amount(60, "seconds"), 0.5, spent=20).steps == 80
    assert convert("1e9", Amount(1e9, "FLOPs"), 3e8).steps == 3
    with pytest.raises(
        BenchError, match=r"a budget of 1m is not one optimizer step, which takes 0\.5 seconds and 59\.8 of "
    ):
        convert("1m", Amount(60, "seconds"), 0.5, spent=59.8)
    with pytest.raises(BenchError, match="the budget 30m has not been converted to steps"):
        whole_steps(Contract(epochs=0, budget="30m"), 100)


def test_the_clock_decides_no_bit(job: Jobs, tmp_path: Path) -> None:
    """A run that was measured first ends with the weights of one that was told the steps."""
    told, measured = job(path=tmp_path / "told", epochs=2), job(path=tmp_path / "measured", epochs=0, budget="1m")
    assert step_seconds(measured) > 0
    measured.converted = 6
    assert train(told).step == train(measured).step == 6
    pairs = zip(told.recommender.parameters(), measured.recommender.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not list(tmp_path.glob("*probe*"))


def test_operations_are_counted_as_training_counts_them(job: Jobs, tmp_path: Path) -> None:
    trained = train(job(path=tmp_path / "whole", examples="all", epochs=1))
    assert trained.training_flops is not None
    asked = job(path=tmp_path / "asked", examples="all", epochs=0, budget="1e9")
    assert step_flops(asked) == pytest.approx(trained.training_flops / trained.step)
    assert step_cost(asked, Amount(1e9, "FLOPs")) == step_flops(asked)


def test_training_counts_its_targets_and_looks(job: Jobs, tmp_path: Path) -> None:
    state = train(job(path=tmp_path / "stage-0.safetensors", examples="all", epochs=2))
    windows = sum(length - 1 for length in job().sequences.lengths)
    assert (state.target_examples, state.looks) == (2 * windows, 2)
    again = train(job(path=tmp_path / "stage-0.safetensors", examples="all", epochs=2))
    assert (again.target_examples, again.looks) == (2 * windows, 2)


@pytest.mark.parametrize(("seconds", "steps"), [(0.01, 60), (0.1, 30), (2.0, 20)])
def test_a_step_is_measured_as_often_as_its_length_asks_for(
    job: Jobs, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int
) -> None:
    read = list[float]()

    def clock() -> float:
        read.append(len(read) * seconds)
        return read[-1]

    monkeypatch.setattr(probe, "processor_seconds", clock)
    assert step_seconds(job(epochs=0, budget="1m")) == pytest.approx(seconds)
    assert len(read) == probe.WARMING + probe.FIRST + probe.WARMING + steps


def test_steps_are_measured_on_batches_of_all_lengths() -> None:
    random = np.random.default_rng(3)
    work = np.round(random.lognormal(3, 1, 500)).astype(int)
    plan = SimpleNamespace(
        batches=[np.array([number]) for number in range(500)], work=lambda rows: Work(int(work[rows[0]]), 0, 0)
    )
    found = [work[rows[0]] for rows in probe.probed(plan, 2, 60)]  # type: ignore[arg-type]
    assert found[0] == work.max()
    assert np.mean(found[2:]) == pytest.approx(work.mean(), rel=0.05)
    assert abs(work[:20].mean() / work.mean() - 1) > 0.1  # what the first twenty would have said
    few = SimpleNamespace(batches=plan.batches[:3], work=plan.work)
    assert len(probe.probed(few, 2, 60)) == 62  # type: ignore[arg-type]
    blind = SimpleNamespace(batches=plan.batches, work=lambda rows: Work(None, 0, 0))
    assert len({int(rows[0]) for rows in probe.probed(blind, 2, 60)[2:]}) == 60  # type: ignore[arg-type]


def test_the_processor_time_of_validation_is_told_apart(job: Jobs) -> None:
    state = train(job(epochs=2))
    assert 0 < state.validation_processor_seconds < state.processor_seconds
