"""Ctrl-C and SIGTERM: at once outside of optimizer steps, between two steps within them."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FrameType


@dataclass
class _Patience:
    """Within how many ``seconds`` of the ``first`` signal others are taken to say the same."""

    seconds: float = 0.0
    first: float = -math.inf


@dataclass
class _Scheduler:
    """Why a scheduler ends this process, once it has said so: ``out of time``."""

    reason: str = ""


_patience, scheduler = _Patience(), _Scheduler()
Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[list[int]]:
    """Signals only leave a note in the list, so that a step is never cut in two; a second one is obeyed at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if _repeats():
            return
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    with _handled(note, signal.SIGINT, signal.SIGTERM):
        yield asked


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does: what is open is closed, and child processes are ended."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not _repeats():
            raise KeyboardInterrupt

    with _handled(interrupt, signal.SIGTERM):
        yield


@contextlib.contextmanager
def patient(seconds: float) -> Iterator[None]:
    """Within the block, signals that come within so many seconds of the first are passed over. A person who repeats
    Ctrl-C means it; a scheduler sends several signals by itself.
    """
    before = replace(_patience)
    _patience.seconds, _patience.first = seconds, -math.inf
    try:
        yield
    finally:
        _patience.seconds, _patience.first = before.seconds, before.first


def _repeats() -> bool:
    now = time.monotonic()
    if now < _patience.first + _patience.seconds:
        return True
    _patience.first = now
    return False


@contextlib.contextmanager
def _handled(handler: Handler, *numbers: int) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread alone
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
