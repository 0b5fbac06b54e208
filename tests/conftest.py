"""Fixtures shared by all tests: where real data and a real vocabulary are, if they are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with real Amazon data as RecBole atomic files."""
    folder = Path(os.environ.get("BENCH_TEST_DATA", SHARED / "datasets"))
    if not (folder / "toys" / "toys.inter").exists():
        pytest.skip(f"no real Toys data in {folder}; point BENCH_TEST_DATA at it")
    return folder


@pytest.fixture(scope="session")
def t5_tokenizer() -> Path:
    """A folder with the tokenizer of T5."""
    folder = Path(os.environ.get("BENCH_TEST_T5", SHARED / "t5-tokenizer"))
    if not (folder / "tokenizer.json").exists():
        pytest.skip(f"no T5 tokenizer in {folder}; point BENCH_TEST_T5 at it")
    return folder
