"""How a machine computes the steps of a training: found out at the start and said, never changed silently."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from accelerate import Accelerator

from bench.backbone.protocol import Backbone
from bench.contract import Contract
from bench.errors import BenchError

COMPILED = ("encode", "decode")  # of a backbone: what takes the time of a step
COMPILERS = ("g++", "c++", "clang++")


def accelerator() -> Accelerator:
    """The device of this process, and the others that it computes with.

    Accelerate would have one precision for all that a process ever does. Each contract has its own (``multiplying``).
    """
    # Without `cpu`, Accelerate leaves processes that have no GPU apart: each would train a model of its own.
    return Accelerator(cpu=not torch.cuda.is_available(), gradient_accumulation_steps=1, mixed_precision="no")


def multiplying(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """For a forward pass in a precision of training: weights and gradients stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def prepare(contract: Contract, device: torch.device) -> list[str]:
    """A line on each of the contract's precisions, and on ``compile``, that isn't the default. Whatever the environment
    says, products of float32 are whole but where ``computed`` says otherwise.

    BenchError where the machine has not what was asked for.
    """
    said = []
    cuda = device.type == "cuda"
    if contract.precision == "tf32" and not cuda:
        raise BenchError("precision=tf32 is what GPUs multiply with; this machine has none: give fp32 or bf16")
    torch.backends.cuda.matmul.allow_tf32 = False
    if contract.precision == "tf32":
        said.append("precision=tf32: products of float32 keep 10 bits of the mantissa")
    if contract.precision == "bf16":
        said.append(f"precision=bf16: {_bf16(cuda)}")
    if contract.decoding_precision == "bf16":
        said.append(f"decoding_precision=bf16: {_bf16(cuda)}")
    if contract.compile:
        said.append(f"compile=true: {_compiler(cuda)}; the first steps take minutes")
    return said


def _bf16(cuda: bool) -> str:
    if cuda:
        held = torch.cuda.is_bf16_supported(including_emulation=False)
        return "this GPU multiplies it itself" if held else "this GPU only emulates it, slower than fp32"
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # private to PyTorch, so that it may be gone
    if known is None:
        return "whether this processor multiplies it itself is not known"
    return (
        "this processor multiplies it itself (AVX-512-BF16)"
        if known()
        else "this processor has no instructions for it, so that it is slower than fp32"
    )


def _compiler(cuda: bool) -> str:
    """What ``torch.compile`` will use."""
    if cuda:
        if importlib.util.find_spec("triton") is None:
            raise BenchError("compile=true needs Triton on a GPU, which is not installed; leave it out")
        return "through Triton"
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else list(COMPILERS)
    found = next((name for name in wanted if shutil.which(name)), None)
    if found is None:
        raise BenchError(
            f"compile=true needs a C++ compiler on a CPU, and there is none of {', '.join(wanted)}; install one, "
            "name it in $CXX, or leave compile out"
        )
    return f"through the C++ compiler {found}"


@contextmanager
def computed(backbone: Backbone, contract: Contract) -> Iterator[None]:
    """Inside the context, steps are computed as the contract says. Ranking stays outside, and so does whatever a scheme
    trains of its own: they are the same whatever training was computed with.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = contract.precision == "tf32"
    backbone.recompute = contract.recompute
    if contract.compile:
        for name in COMPILED:  # of this object alone, and no part of its state: copies are what they were
            vars(backbone)[name] = torch.compile(getattr(backbone, name), dynamic=True)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
        backbone.recompute = False
        for name in COMPILED:
            vars(backbone).pop(name, None)
