"""What this process waits for outside of itself: a disk, a download, the work of another process.

Meanwhile it computes nothing, and yet it does not hang. ``watch`` tells the other ranks of a run so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class _Here:
    """How many blocks of this process are under way, in all of its threads."""

    blocks: int = 0


_here, _lock = _Here(), threading.Lock()


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Within the block it is the outside that is waited for, however long."""
    with _lock:
        _here.blocks += 1
    try:
        yield
    finally:
        with _lock:
            _here.blocks -= 1


def waits() -> bool:
    """Whether a thread of this process waits for the outside."""
    return _here.blocks > 0
