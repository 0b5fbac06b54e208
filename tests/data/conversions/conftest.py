"""Small raw files in the form of their sources."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def gz_lines() -> Callable[[Path, Iterable[Any]], Path]:
    """``gz_lines(path, records)``: JSON lines under gzip; texts go in as they are, such as Python literals."""

    def write(path: Path, records: Iterable[Any]) -> Path:
        texts = (record if isinstance(record, str) else json.dumps(record) for record in records)
        path.write_bytes(gzip.compress("".join(f"{text}\n" for text in texts).encode(), mtime=0))
        return path

    return write


@pytest.fixture(scope="session")
def zipped() -> Callable[[Path, dict[str, str]], Path]:
    """``zipped(path, {member: text})``, texts in Latin-1 as GroupLens has them."""

    def write(path: Path, members: dict[str, str]) -> Path:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in members.items():
                archive.writestr(zipfile.ZipInfo(name), text.encode("latin-1"))
        path.write_bytes(data.getvalue())
        return path

    return write


@pytest.fixture(scope="session")
def reviews_2014() -> Callable[[Sequence[tuple[str, str, int]]], list[dict[str, Any]]]:
    """Reviews of 2014 as SNAP has them, of (user, item, day)."""

    def make(rows: Sequence[tuple[str, str, int]]) -> list[dict[str, Any]]:
        return [
            {
                "reviewerID": user,
                "asin": item,
                "reviewerName": "A. Reader",
                "helpful": [0, 0],
                "reviewText": "Fine. \u00e9",
                "overall": 5.0,
                "summary": "Good",
                "unixReviewTime": day * 86400,
                "reviewTime": "09 22, 2013",
            }
            for user, item, day in rows
        ]

    return make
