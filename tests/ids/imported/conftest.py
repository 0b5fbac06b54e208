"""A catalogue of four items, and files of identifiers beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids.imported import File
from bench.runs import subjects

Written = Callable[..., Path]
Made = Callable[..., File]


@pytest.fixture
def train() -> TrainView:
    items = ItemTable(("A1", "B2", "C3", "D4"), {"title": ("ant", "bee", "cat", "dog")})
    return TrainView("four", items, Sequences.from_rows([[0, 1], [2, 3]]), seed=0)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """``written(name, content)``: a file of text, bytes or an array."""

    def write(name: str, content: str | bytes | np.ndarray) -> Path:
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def made() -> Made:
    """``made(path, missing="counter")``: the scheme of a file, found and set as the command line does it."""

    def make(path: Path, **overrides: str) -> File:
        cls = subjects.load_scheme(f"file:{path}")
        scheme = cls(subjects.settings(cls, overrides))
        assert isinstance(scheme, File)
        return scheme

    return make
