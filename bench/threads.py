"""How many threads compute: what several have learned may differ in its last bits, and then in what is made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError

VARIABLE = "OMP_NUM_THREADS"
MOST = 65_536  # threads: more than any machine has, and fewer than libraries of linear algebra stumble over


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra and OpenMP compute on one thread within the block, and then on as many as before."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def asked(threads: int | None) -> int:
    """As many as a request says, else as the environment does, else one: the bits of a run must not depend on how many
    cores a machine has.
    """
    said = os.environ.get(VARIABLE, "1") if threads is None else str(threads)
    if not said.isdecimal() or len(said) > len(str(MOST)) or not 1 <= int(said) <= MOST:
        raise BenchError(
            f"the number of threads is a whole number from 1 to {MOST:,}; got '{said}' (--threads or {VARIABLE})"
        )
    return int(said)


def now() -> int:
    """On how many threads this process computes."""
    import torch

    return torch.get_num_threads()


@contextmanager
def using(threads: int) -> Iterator[None]:
    """This process, and those that it starts, compute on so many threads within the block."""
    import torch
    from threadpoolctl import threadpool_limits

    before, variable = torch.get_num_threads(), os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(threads)
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        torch.set_num_threads(before)
        if variable is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = variable
