"""A Slurm for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

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
