"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_EVERY = 0.5  # seconds


def end_with_parent(number: int = signal.SIGKILL, parent: int = 0) -> None:
    """Send this process a signal when its parent is gone, in whatever way that ended. Who is told its number notices
    as well if that was before this.
    """
    parent = parent or os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
