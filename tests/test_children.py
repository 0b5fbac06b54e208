"""A process ends with its parent, also where that has ended before it could look."""

from __future__ import annotations

import os
import subprocess
import sys
import time

ENDING = """
import signal, sys, time
from bench.children import end_with_parent
end_with_parent(signal.SIGTERM, int(sys.argv[1]))
time.sleep(float(sys.argv[2]))
"""


def code(parent: int, seconds: float) -> int:
    return subprocess.run([sys.executable, "-c", ENDING, str(parent), str(seconds)], check=False).returncode


def test_a_parent_that_is_gone_by_then_is_noticed() -> None:
    begin = time.monotonic()
    assert code(os.getppid() or 1, 600) == -15  # the number of another than its parent, as of one that has ended
    assert time.monotonic() - begin < 300


def test_a_parent_that_lives_is_left_alone() -> None:
    assert code(os.getpid(), 1.2) == 0
