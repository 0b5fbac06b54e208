"""What a machine lacks is an error that says so; what it has is said; batches made ahead are those made in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contract import Contract
from bench.errors import BenchError
from bench.model.recommender import Batch
from bench.training import feeding
from bench.training.arithmetic import accelerator, computed, prepare
from bench.training.epoch import Planner
from bench.training.examples import sliding_windows
from bench.training.feeding import Feed, Step, _ahead
from bench.training.loop import Job, _Run

CPU = torch.device("cpu")


def test_the_default_says_nothing() -> None:
    assert prepare(Contract(), CPU) == []


def test_bf16_says_what_the_processor_has() -> None:
    (line,) = prepare(replace(Contract(), precision="bf16"), CPU)
    assert line.startswith("precision=bf16: ")
    (ranking,) = prepare(replace(Contract(), decoding_precision="bf16"), CPU)
    assert ranking == f"decoding_{line}"
    assert "processor" in line


def test_tf32_needs_a_gpu() -> None:
    with pytest.raises(BenchError, match="precision=tf32 is what GPUs multiply with; this machine has none"):
        prepare(replace(Contract(), precision="tf32"), CPU)


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = replace(Contract(), compile=True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BenchError, match=r"compile=true needs a C\+\+ compiler on a CPU.*no-such-compiler"):
        prepare(contract, CPU)
    monkeypatch.setenv("CXX", "true")  # a program that there is
    assert prepare(contract, CPU) == ["compile=true: through the C++ compiler true; the first steps take minutes"]


def test_shorter_products_are_of_training_alone(job: Callable[..., Job]) -> None:
    """Of this process and not of ranking, nor of what a scheme trains of its own."""
    shorter, backbone = torch.backends.cuda.matmul, job().recommender.backbone
    prepare(replace(Contract(), precision="tf32"), torch.device("cuda"))
    assert not shorter.allow_tf32
    with computed(backbone, replace(Contract(), precision="tf32")):
        assert shorter.allow_tf32
    assert not shorter.allow_tf32
    with computed(backbone, Contract()):
        assert not shorter.allow_tf32


def test_every_contract_has_its_own_precision(job: Callable[..., Job]) -> None:
    """Accelerate would have one in a process. Mixtures of variants measure in that of training."""
    examples = sliding_windows(job().sequences, 20)
    found = []
    for precision in ("fp32", "bf16", "fp32"):
        made = replace(job(precision=precision), accelerator=accelerator())
        found.append(_Run(made).session().gradient("training", 0, len(examples)))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    torch.testing.assert_close(found[0], found[1], atol=0.02, rtol=0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch, in torch.compile
def test_ranking_is_computed_as_ever(job: Callable[..., Job]) -> None:
    """Behind the context the backbone is what it was, and copies in it are not compiled."""
    backbone = job().recommender.backbone
    names = set(vars(backbone))
    with computed(backbone, replace(Contract(), compile=True, recompute=True)):
        assert backbone.recompute
        assert {"encode", "decode"} <= set(vars(backbone))
    assert not backbone.recompute
    assert set(vars(backbone)) - {"recompute"} == names


def steps(count: int, fails: bool = False) -> Iterator[Step]:
    for number in range(count):
        yield Step(np.array([number]), [], True)
    if fails:
        raise RuntimeError("a batch that cannot be made")


def test_batches_made_ahead_come_in_order() -> None:
    assert [int(step.rows[0]) for step in _ahead(steps(9))] == list(range(9))


def test_a_gpu_is_fed_from_pinned_memory_with_what_the_cpu_is(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinning and copying need CUDA, so here they are noted: every tensor is pinned once, and then copied."""
    asked = job()
    windows = sliding_windows(asked.sequences, 20)
    plan = Planner(asked.recommender, replace(asked.contract, batch_size=8), 0).epoch(windows, [1.0], 0)
    pinned: list[int] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: (pinned.append(id(tensor)), tensor)[1])
    copied: list[int] = []

    def to_device(batch: Batch, device: torch.device) -> Batch:
        assert device.type == "cuda"
        copied.extend(id(tensor) for tensor in batch.values() if tensor is not None)
        return batch

    monkeypatch.setattr(feeding, "to_device", to_device)
    fed = list(Feed(torch.device("cuda"), accumulate=2).steps(plan, plan.batches))
    assert len(pinned) == len(copied) > 0
    plain = list(Feed(CPU, accumulate=2).steps(plan, plan.batches))
    assert len(pinned) == len(copied), "a CPU is fed as it is"
    for one, other in zip(fed, plain, strict=True):
        assert np.array_equal(one.rows, other.rows)
        for part, same in zip(one.parts, other.parts, strict=True):
            assert all(torch.equal(part[name], same[name]) for name in part if part[name] is not None)  # type: ignore[arg-type]


def test_what_goes_wrong_ahead_is_raised_where_it_is_used() -> None:
    found = _ahead(steps(3, fails=True))
    assert [int(next(found).rows[0]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="cannot be made"):
        next(found)


def test_whoever_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    found = _ahead(steps(100))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
