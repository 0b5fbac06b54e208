"""Training that reads every user once: the same targets, steps and safety as over windows."""

from __future__ import annotations

import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from bench.model.packed import SharedReader
from bench.training import loop
from bench.training.epoch import Planner, Shared
from bench.training.examples import one_of_each, sliding_windows
from bench.training.loop import Job, train
from bench.training.segments import batches_of_targets

Jobs = Callable[..., Job]
LINES: dict[str, dict[str, Any]] = {
    "shared": {"training": "shared", "dropout": 0.1},
    "all": {"training": "shared", "examples": "all", "epochs": 1, "max_history": 2},
    "items": {"training": "shared", "history": "items"},
    "bf16": {"training": "shared", "precision": "bf16"},
    "windows in bf16": {"training": "windows", "precision": "bf16"},
    "in parts": {"training": "shared", "accumulate": 2, "recompute": True, "dropout": 0.1},
}


def outcome(job: Job) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = {name: value for name, value in vars(train(job)).items() if not name.endswith("_seconds")}
    return {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}, state


def interrupting(call: int) -> Callable[..., None]:
    calls = itertools.count(1)

    def interrupt(*_: object) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)

    return interrupt


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_stopped_anywhere_it_ends_as_if_it_had_not_been(
    job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: dict[str, Any]
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    expected, state = outcome(job(**lines))
    again, _ = outcome(job(path=tmp_path / "again", **lines))
    assert all(torch.equal(expected[name], again[name]) for name in expected)
    for stop in {2, state["step"] // 2, state["step"]}:
        path = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(job(path=path, progress=interrupting(stop), **lines))
        found, gone_on = outcome(job(path=path, **lines))
        assert gone_on == state, stop
        assert all(torch.equal(expected[name], found[name]) for name in expected), stop


@pytest.mark.parametrize("examples", ["one", "all"])
@pytest.mark.parametrize("batch_size", [8, 64])
def test_steps_and_targets_are_those_of_windows(job: Jobs, examples: str, batch_size: int) -> None:
    """Every target once in each epoch, as many steps, and no batch far from its size."""
    made = job(training="shared", examples=examples, batch_size=batch_size)
    windows = sliding_windows(made.sequences, made.contract.max_history)
    wanted = windows if examples == "all" else one_of_each(windows, 0, 1)
    assert isinstance(made.recommender, SharedReader)
    plan = Planner(made.recommender, made.contract, 0).epoch(wanted, [1.0], 1)
    assert isinstance(plan, Shared)
    assert len(plan.batches) == -(-len(wanted) // batch_size)
    counts = [int(plan.cuts.targets[rows].sum()) for rows in plan.batches]
    longest = plan.cuts.targets.max()
    assert sum(counts) == len(wanted)
    assert min(counts) > 0
    assert max(counts) <= batch_size + longest
    assert sorted(plan.cuts.examples.targets) == sorted(wanted.targets)
    state = train(made)
    others = train(job(training="windows", examples=examples, batch_size=batch_size, path=made.path.with_name("w")))
    assert (state.step, state.tokens_written) == (others.step, others.tokens_written)


def test_batches_are_never_empty() -> None:
    random = np.random.default_rng(0)
    for seed in range(200):
        size = int(random.integers(1, 20))
        targets = random.integers(1, size + 1, random.integers(1, 50))
        batches = batches_of_targets(targets, size, seed, 0)
        assert len(batches) == -(-int(targets.sum()) // size)
        assert all(len(rows) for rows in batches)
        assert sorted(np.concatenate(batches)) == list(range(len(targets)))


def test_the_gradient_of_a_session_is_that_of_training(job: Jobs) -> None:
    """The mean loss of all examples, read one by one, is that of one reading of all."""
    made = job(training="shared", examples="all", dropout=0.0)
    run = loop._Run(made)
    session = run.session()
    found = session.gradient("training", 0, 10**6)
    model = made.recommender
    assert isinstance(model, SharedReader)
    plan = Planner(model, replace(made.contract, batch_size=10**6), 0).epoch(session.training, [1.0], 0)
    (rows,) = plan.batches
    loss = model.eval()(plan.batch(rows)) / plan.predictions(rows)
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters)
    expected = torch.cat([gradient.flatten() for gradient in gradients])
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("training", ["windows", "shared"])
def test_parts_and_recomputing_change_nothing_but_rounding(job: Jobs, training: str) -> None:
    """The gradient of a batch in three parts, or with activations computed again; of the latter not even a bit."""
    made = {"training": training, "examples": "all", "dropout": 0.0, "epochs": 1, "max_steps": 4}
    plain, _ = outcome(job(**made))
    for lines in ({"accumulate": 3}, {"recompute": True}):
        other, _ = outcome(job(path=job().path.with_name(str(lines)), **made, **lines))
        for name in plain:
            torch.testing.assert_close(plain[name], other[name], atol=1e-5, rtol=1e-4)
        assert "recompute" not in lines or all(torch.equal(plain[name], other[name]) for name in plain)


# -- several processes ------------------------------------------------------------------------------------------------

STAGE = """
import json, os, sys
from pathlib import Path
import numpy as np
import torch
from accelerate import Accelerator
from bench.backbone.t5 import T5, T5Config
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.model.recommender import recommender_under
from bench.training.loop import Job, train
from bench.vocabulary import Vocabulary

vocabulary = Vocabulary.private("abcdefghij")
ids = TokenIds.from_lists([vocabulary.ids([letter]) for letter in "abcdefghij"], vocabulary)
shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "heads": 2, "layers": 1, "decoder_layers": 1}
sequences = Sequences.from_rows(np.random.default_rng(0).integers(0, 10, (30, 7)).tolist())


def trained(path, lines, accelerator):
    torch.manual_seed(0)
    contract = Contract(training="shared", epochs=3, dropout=0.0, learning_rate=1e-2, **lines)
    recommender = recommender_under(contract, ids, T5(T5Config(vocabulary.size, dropout=0.0, **shape)))
    stage = Stage(ids, use_validation=False)
    state = train(Job(recommender, sequences, contract, 0, stage, dict, None, path, accelerator=accelerator))
    weights = torch.cat([p.detach().flatten() for p in recommender.parameters()])
    return {"weights": weights.tolist(), "steps": state.step}


if __name__ == "__main__":
    several = Accelerator(cpu=True)
    for number, lines in enumerate(json.loads(sys.argv[2])):
        found = trained(Path(sys.argv[1], f"stage-{number}"), lines, several)
        if several.is_main_process:
            Path(sys.argv[1], f"{number}.json").write_text(json.dumps({**found, "processes": several.num_processes}))
    os._exit(0)  # a thread of Gloo that frees a tensor while the interpreter is torn down would abort it
"""
LINES_OF_PROCESSES: list[dict[str, Any]] = [
    {"batch_size": 24},
    {"batch_size": 6},  # a batch is one segment, so that one of them has nothing to read
    {"batch_size": 24, "accumulate": 3},
]


@pytest.fixture(scope="module")
def of_two_processes(started: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and with what two processes come to under each of the lines."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "stage.py").write_text(STAGE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, str(folder / "stage.py"), str(folder), json.dumps(LINES_OF_PROCESSES)]
    done = subprocess.run(command, env=started, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", range(len(LINES_OF_PROCESSES)))
def test_two_processes_train_as_one_does(of_two_processes: Path, tmp_path: Path, number: int) -> None:
    trained = runpy.run_path(str(of_two_processes / "stage.py"))["trained"]
    alone = trained(tmp_path / "stage", LINES_OF_PROCESSES[number], Accelerator(cpu=True))
    together = json.loads((of_two_processes / f"{number}.json").read_text())
    assert together["processes"] == 2
    assert alone["steps"] == together["steps"]
    np.testing.assert_allclose(alone["weights"], together["weights"], atol=2e-5)
