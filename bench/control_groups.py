"""The memory that the control groups of Linux leave this process: of a container, a task of Slurm or a systemd unit.

A group has what each group above it leaves it, and its own limit is often the only one: the root has none. So the
group that this process is in is looked up, and all on the way to the root are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OWN = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
LIMIT_1, LIMIT_2 = "memory.limit_in_bytes", "memory.max"  # in version 1, and in version 2


def memory_limit(own: Path = OWN, mounted: Path = MOUNTED) -> float:
    """Bytes that this process may have; infinity where nothing is said. ``own`` names its groups, whose folders are
    below where control groups are ``mounted``.
    """
    limits = (_read(folder / name) for folder, name in _folders(own, mounted))
    return min(limits, default=math.inf)


def _folders(own: Path, mounted: Path) -> Iterator[tuple[Path, str]]:
    """Each group on the way to a root, and the root itself: in a container that is often the container's group, while
    ``own`` tells what it is called outside, where this process sees no folder.
    """
    for root, name, path in _groups(own, mounted):
        parts = [part for part in Path(path).parts if part not in ("/", "..")]  # outside the namespace: ``/../other``
        for depth in range(len(parts) + 1):
            yield root.joinpath(*parts[:depth]), name


def _groups(own: Path, mounted: Path) -> Iterator[tuple[Path, str, str]]:
    """Where groups that may limit memory are, the file that says so, and this process's own. Both versions may be there
    at once; the memory is then counted by one of them.
    """
    try:
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no /proc: what is mounted may still be this process's own
        lines = ["0::/", "1:memory:/"]
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield mounted, LIMIT_2, path
            yield mounted / "unified", LIMIT_2, path
        elif "memory" in controllers.split(","):
            yield mounted / "memory", LIMIT_1, path


def _read(path: Path) -> float:
    """Infinity where there is no file, no limit (``max``), or no number."""
    with suppress(OSError, ValueError):
        return float(int(path.read_text()))
    return math.inf
