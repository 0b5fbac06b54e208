"""A finished run of identifiers and one of a baseline, on the toy data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def served_runs(
    bench: Callable[..., SimpleNamespace], quick: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    results = tmp_path_factory.mktemp("results")
    said = bench("run", "--id-scheme", "numeric/sequential", "--baseline", "pop", *quick, "--results", results)
    assert said.code == 0, said.err
    return results
