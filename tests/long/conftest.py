"""A Slurm for the tests that need one, and when runs have got on so far that the next may be ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.long.cluster import Cluster, UnavailableError


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        found = Cluster(tmp_path_factory.mktemp("slurm"))
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        found.start()
        yield found
    except UnavailableError as error:
        pytest.skip(str(error))
    finally:
        found.stop()


@pytest.fixture
def got_on() -> Callable[[Path], bool]:
    """Whether a run in a results folder has saved anything new, or was finished, since this was last so. On a busy
    machine runs that are ended every few seconds, come what may, never get back to where they were.
    """
    seen: set[tuple[str, int]] = set()

    def new(results: Path) -> bool:
        now = set()
        for pattern in ("stage-*.safetensors", "result.json"):
            for path in results.rglob(pattern):
                with contextlib.suppress(FileNotFoundError):
                    now.add((str(path), path.stat().st_mtime_ns))
        found = bool(now - seen)
        seen.update(now)
        return found

    return new
