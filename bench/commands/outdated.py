"""Which finished runs are of older code than what is installed: nobody can make them again, or compare them."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.protocol import PROTOCOL
from bench.results.digests import RESULT
from bench.results.read import read
from bench.runs.subjects import installed_baseline, installed_scheme


def outdated(folder: Path) -> bool:
    """Whether a run's protocol, or the version of its scheme or baseline, is below the present one. What can't be read,
    or whose plugin is not installed, is not known to be.
    """
    try:
        found = read(folder / RESULT, folder.as_posix())
        if int(found.contract.get("protocol") or 1) < PROTOCOL:
            return True
        load = installed_scheme if found.scheme.kind == "scheme" else installed_baseline
        return found.scheme.version < load(found.scheme.name).version
    except BenchError:
        return False
