"""Whether a process of this machine is alive, and still the one that it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil


def is_alive(pid: int, start: float | None = None) -> bool:
    """Whether there is a process of this number, which began at this ``start`` (``start_of``) if one is given.

    Where the system hides other users' processes (``hidepid``), one of theirs may be any: it counts as alive.
    """
    if not 0 < pid < 2**31:
        return False
    hidden = False
    if sys.platform != "win32":  # where this would end it
        try:
            os.kill(pid, 0)
        except PermissionError:
            hidden = True
        except OSError:
            return False
    found = start_of(pid)
    return hidden if not found else start in (None, found)


def start_of(pid: int) -> float:
    """When a process of this machine began, by a clock that is never set; 0 where there is none to be seen, or it has
    ended and waits to be noticed.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return 0.0
        stat = Path("/proc", str(pid), "stat")
        if stat.exists():  # in ticks since the machine started; what psutil makes of them moves as the clock is set
            return float(stat.read_text().rpartition(")")[2].split()[19])
        return float(round(process.create_time()))
    except (psutil.Error, OSError, ValueError, OverflowError):  # the last two: no process can have such a number
        return 0.0
