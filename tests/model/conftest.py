"""Tensors this small are slower on several threads."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def single_thread(one_thread: None) -> None:
    """Every test of this folder."""
