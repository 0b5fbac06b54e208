"""How many threads compute: what is learnt on several may differ in its last bits, and then in what is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra and OpenMP compute on one thread within the block, and then on as many as before."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
