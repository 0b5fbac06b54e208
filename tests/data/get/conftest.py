"""Toys with few reviews, from a server of ours, in the form of its source."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data import registry
from bench.data.download import RetryPolicy
from bench.data.get import GetRequest, get
from bench.data.registry import Counts, Source
from bench.errors import BenchError

DAYS = 400
META = gzip.compress(
    "\n".join(
        str({"asin": f"B{item:03d}", "title": f"Item &amp; {item}", "categories": [["Toys", "Games"]]})
        for item in range(50)
    ).encode(),
    mtime=0,
)


@pytest.fixture(scope="session")
def rows() -> list[tuple[str, str, int]]:
    """Reviews as SNAP has them: grouped by item, dated by the day. A user takes five neighboring items on one day."""
    draws = random.Random(3)
    found = []
    for user in range(60):
        for _ in range(3):
            first, day = draws.randrange(36), draws.randrange(DAYS)
            found += [(f"A{user:03d}", f"B{first + step:03d}", day) for step in range(5)]
    return sorted(found, key=lambda row: row[1])


@pytest.fixture(scope="session")
def counts(rows: list[tuple[str, str, int]]) -> Counts:
    return Counts(len({row[0] for row in rows}), len({row[1] for row in rows}), len(rows))


@pytest.fixture(scope="session")
def raw_reviews() -> Callable[..., bytes]:
    """The packed file of these reviews."""

    def make(rows: Sequence[tuple[str, str, int]]) -> bytes:
        lines = (
            json.dumps({"reviewerID": user, "asin": item, "overall": 4.0, "unixReviewTime": day * 86400})
            for user, item, day in rows
        )
        return gzip.compress("\n".join(lines).encode(), mtime=0)

    return make


@pytest.fixture
def toys(web: Any, rows: list[tuple[str, str, int]], counts: Counts, raw_reviews: Callable[..., bytes]) -> Source:
    """The source of Toys."""
    source = registry.find("toys")
    web.files.update(zip((file.name for file in source.files), (raw_reviews(rows), META), strict=True))
    files = tuple(replace(file, urls=(web.url(file.name),)) for file in source.files)
    return replace(source, files=files, expected=counts)


@pytest.fixture(scope="session")
def remains() -> Callable[[Path], list[str]]:
    """What is in a data folder but locks."""

    def found(root: Path) -> list[str]:
        files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
        return sorted(str(path.relative_to(root)) for path in files)

    return found


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """``refused(source, root, request)`` is the one line of the error."""

    def call(source: Source, root: Path, request: GetRequest | None = None) -> str:
        with pytest.raises(BenchError) as caught:
            get(source, root, request, retry=RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return call
