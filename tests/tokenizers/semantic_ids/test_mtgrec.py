"""MTGRec: influence against its formula, the curriculum, and the choice among what was fine-tuned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from semantic_ids.mtgrec import Influence, MtgRec, MtgRecSettings, SingleVariant, UniformMixture, adam_step, softmax
from torch import Tensor

from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.scheme import Stage, Trained
from bench.runs import scheme_run, subjects
from bench.training.checkpoint import TrainingState
from bench.training.loop import Job
from bench.training.session import Moments

Bench = Callable[..., SimpleNamespace]
SMALL = {"codes": "8", "epochs": "6", "variants": "4", "hidden": "16", "latent": "8"}


def moments(steps: int = 3) -> Moments:
    random = np.random.default_rng(0)
    first, second = (torch.tensor(random.random(5), dtype=torch.float32) for _ in range(2))
    return Moments(first, second, steps, (0.9, 0.999), 1e-8)


class FakeSession:
    """Gradients that are known, so that the formula can be written out beside."""

    def __init__(self, epochs: int = 10, variants: int = 3) -> None:
        self.epoch, self.epochs, self.variants, self.examples = 0, epochs, variants, 200
        self.state: dict[str, Any] = {}
        self.learning_rate = 0.5
        self.asked: list[tuple[str, int, int]] = []

    def moments(self) -> Moments:
        return moments()

    def gradient(self, part: str, variant: int, count: int) -> Tensor:
        self.asked.append((part, variant, count))
        return torch.arange(5.0) * (variant + 1) * (1 if part == "training" else 0.1) - 1


def test_one_step_of_adam_is_torchs_own() -> None:
    """The weights move by the learning rate times the direction."""
    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([weight], lr=0.01)
    gradients = [torch.tensor([0.3, -2.0, 0.0, 5.0]), torch.tensor([0.1, 1.0, 0.2, -5.0]), torch.tensor([3.0, 1, 1, 1])]
    for gradient in gradients[:-1]:
        weight.grad = gradient.clone()
        optimizer.step()
    state = optimizer.state[weight]
    kept = Moments(state["exp_avg"].clone(), state["exp_avg_sq"].clone(), 2, (0.9, 0.999), 1e-8)
    before = weight.detach().clone()
    weight.grad = gradients[-1].clone()
    optimizer.step()
    torch.testing.assert_close(before - weight.detach(), 0.01 * adam_step(kept, gradients[-1], "paper"))


def test_the_published_code_corrects_no_bias_and_has_epsilon_inside_the_root() -> None:
    kept, gradient = moments(), torch.ones(5)
    expected = (0.9 * kept.first + 0.1) / (0.999 * kept.second + 0.001 + 1e-8) ** 0.5
    torch.testing.assert_close(adam_step(kept, gradient, "repo"), expected)


@pytest.mark.parametrize("formula", ["paper", "repo"])
@pytest.mark.parametrize("standardize", [True, False])
def test_probabilities_follow_influence_summed_over_updates(formula: str, standardize: bool) -> None:
    settings = MtgRecSettings(formula=formula, standardize=standardize, temperature=2.0, warm=0.2, updates=2)  # type: ignore[arg-type]
    mixture, session = Influence(settings), FakeSession()
    given = []
    for session.epoch in range(10):
        session.learning_rate = 0.5 / (session.epoch + 1)
        given.append(mixture(session))  # type: ignore[arg-type]
    expected, total, rates = [np.full(3, 1 / 3)], np.zeros(3), 0.0
    for epoch in (2, 6):  # the first after a fifth of the epochs, the second halfway through what is left
        rate = 0.5 / (epoch + 1)
        for i in range(3):
            step = adam_step(moments(), session.gradient("training", i, 2), formula)
            total[i] += rate * np.mean([float(step @ session.gradient("held-out", j, 2)) for j in range(3)])
        rates += rate
        scores = total / rates if formula == "repo" else total.copy()
        expected.append(softmax(scores / (scores.std() if standardize else 1) / 2.0))
    for epoch, found in enumerate(given):
        np.testing.assert_allclose(found, expected[(epoch >= 2) + (epoch >= 6)], rtol=1e-5)
        assert found.sum() == pytest.approx(1)
    assert not np.allclose(given[9], 1 / 3)
    assert session.state["epochs"] == [2, 6]
    assert {count for _, _, count in session.asked} == {2}  # a hundredth of 200 examples


def test_what_a_mixture_remembers_is_json_and_enough_to_go_on() -> None:
    settings = MtgRecSettings(warm=0.0, updates=5)
    straight, stopped = FakeSession(), FakeSession()
    for straight.epoch in range(10):
        expected = Influence(settings)(straight)  # type: ignore[arg-type]
    for stopped.epoch in range(10):
        stopped.state = json.loads(json.dumps(stopped.state))
        found = Influence(settings)(stopped)  # type: ignore[arg-type]
    assert found.tolist() == expected.tolist()


def test_equal_influence_leaves_probabilities_equal() -> None:
    class Alike(FakeSession):
        def gradient(self, part: str, variant: int, count: int) -> Tensor:
            return torch.ones(5)

    session = Alike()
    session.epoch = 3
    assert Influence(MtgRecSettings(warm=0.3))(session) == pytest.approx(np.full(3, 1 / 3))  # type: ignore[arg-type]


# -- stages -----------------------------------------------------------------------------------------------------------


def drive(scheme: MtgRec, small: Dataset, scores: list[float | None]) -> tuple[list[Stage], Trained | None]:
    """The stages of a scheme where every stage comes to a known validation score."""
    train = leave_one_out(small).train
    ids = scheme.fit(train)
    stages, seen = scheme.stages(train, ids), []
    stage = next(stages)
    while True:
        seen.append(stage)
        snapshots: Any = tuple(f"weights at {part:g}" for part in stage.snapshots)
        trained = Trained(SimpleNamespace(ids=stage.ids), scores[len(seen) - 1], snapshots, len(seen) - 1)  # type: ignore[arg-type]
        try:
            stage = stages.send(trained)
        except StopIteration as end:
            return seen, end.value


def made(cls: type[MtgRec], **changed: str) -> MtgRec:
    return cls(subjects.settings(cls, SMALL | changed))


def test_every_candidate_starts_from_its_checkpoint_and_the_best_on_validation_is_tested(small: Dataset) -> None:
    scheme = made(MtgRec, checkpoints="0.5,1", candidates="2")
    seen, tested = drive(scheme, small, [None, 0.1, 0.3, 0.2, 0.0])
    assert [len(stage.ids.tokens) for stage in seen] == [4, 1, 1, 1, 1]
    assert [stage.start for stage in seen[1:]] == ["weights at 0.5"] * 2 + ["weights at 1"] * 2
    whole = seen[0].ids
    for stage, variant in zip(seen[1:], (0, 1, 0, 1), strict=True):
        assert np.array_equal(stage.ids.tokens, whole.only(variant).tokens)
    assert sum(stage.budget_fraction for stage in seen) == pytest.approx(1)
    assert [stage.use_validation for stage in seen] == [False, True, True, True, True]
    assert tested is not None
    assert (tested.number, tested.validation) == (2, 0.3)


def test_the_controls_differ_from_it_in_one_thing_each(small: Dataset) -> None:
    adaptive, uniform, single = (
        drive(made(cls), small, [None, 0, 0, 0, 0])[0] for cls in (MtgRec, UniformMixture, SingleVariant)
    )
    assert isinstance(adaptive[0].mixture, Influence)
    assert uniform[0].mixture is None
    assert np.array_equal(adaptive[0].ids.tokens, uniform[0].ids.tokens)
    assert [stage.name for stage in adaptive] == [stage.name for stage in uniform]
    assert len(single) == 3
    assert len(single[0].ids.tokens) == 1
    assert np.array_equal(single[0].ids.tokens, adaptive[0].ids.only(0).tokens)
    assert sum(stage.budget_fraction for stage in single) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variants": "7"}, "2 candidates of 7 variants from 6 epochs are asked for; variants must not exceed epochs"),
        ({"candidates": "5"}, "5 candidates of 4 variants"),
        ({"pretraining": "1"}, "setting 'pretraining' must be a part of the training, above 0; got 1"),
        ({"checkpoints": "0,1"}, "setting 'checkpoints' must be a part of the training, above 0; got 0"),
        ({"warm": "1"}, "setting 'warm' must be a part of pre-training below 1; got 1"),
        ({"temperature": "0"}, "setting 'temperature' must be above 0; got 0"),
        ({"updates": "0"}, "setting 'updates' must be 1 or more; got 0"),
        ({"formula": "mine"}, "setting of semantic/mtgrec 'formula' must be one of paper, repo; got 'mine'"),
    ],
)
def test_a_curriculum_that_cannot_be_is_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(BenchError) as error:
        made(MtgRec, **changed)
    assert said in str(error.value)


# -- end to end -------------------------------------------------------------------------------------------------------


def test_a_run_stores_its_probabilities_and_repeats(
    bench: Bench, quick: list[str], run_folders: Callable[[Path], list[Path]], substance: Any, tmp_path: Path
) -> None:
    # At such a rate the tokenizer still moves from epoch to epoch, and variants differ.
    changed = [f"--set=semantic.{name}={value}" for name, value in (SMALL | {"learning_rate": "0.1"}).items()]
    words = ["run", "--id-scheme", "semantic/mtgrec", *quick, "--set=epochs=10", *changed, "--results"]
    for place in ("one", "two"):
        said = bench(*words, tmp_path / place)
        assert said.code == 0, said.err
    (one,), (two,) = run_folders(tmp_path / "one"), run_folders(tmp_path / "two")
    assert substance(one) == substance(two)
    stored = json.loads((one / "result.json").read_text())
    first, *tuned = stored["training"]["stages"]
    probabilities = np.array(first["mixture"]["probabilities"])
    assert probabilities.shape[1] == 4
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert np.abs(probabilities[1:] - 0.25).max() > 0.01
    assert [stage["best_validation"] is None for stage in (first, *tuned)] == [True, False, False, False, False]
    best = max(stage["best_validation"] for stage in tuned)
    assert stored["training"]["best_validation"] == best
    assert stored["training"]["tested"] == next(s["name"] for s in tuned if s["best_validation"] == best)
    assert len(stored["identifiers"]["drift"]["any"]) == 3


@pytest.mark.parametrize("finished", [1, 3])
def test_stopped_among_its_stages_it_goes_on_to_the_same_end(
    bench: Bench,
    quick: list[str],
    run_folders: Callable[[Path], list[Path]],
    substance: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: int,
) -> None:
    """Snapshots and fine-tunings that are done are read again, and nothing is trained twice."""
    changed = [f"--set=semantic.{name}={value}" for name, value in (SMALL | {"learning_rate": "0.1"}).items()]
    words = ["run", "--id-scheme", "semantic/mtgrec", *quick, "--set=epochs=10", *changed, "--results"]
    assert bench(*words, tmp_path / "whole").code == 0
    ended: list[str] = []
    train = scheme_run.train

    def stopping(job: Job) -> TrainingState:
        state = train(job)
        ended.append(job.stage.name)
        if len(ended) == finished:
            raise KeyboardInterrupt
        return state

    monkeypatch.setattr(scheme_run, "train", stopping)
    assert bench(*words, tmp_path / "stopped").code == 130
    assert bench(*words, tmp_path / "stopped").code == 0
    (whole,), (stopped,) = run_folders(tmp_path / "whole"), run_folders(tmp_path / "stopped")
    assert substance(whole) == substance(stopped)
