"""The code stays readable: short functions, short files, and nearly as many lines of tests as of source."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = sorted(path for room in ("bench", "tokenizers", "baselines") for path in (ROOT / room).rglob("*.py"))

TESTS = sorted((ROOT / "tests").rglob("*.py"))


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def functions(path: Path) -> list[int]:
    """Lines of each function, its signature and docstring included."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.end_lineno or 0) - node.lineno + 1 for node in nodes if isinstance(node, kinds)]


@pytest.mark.parametrize("path", [*SOURCE, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert lines(path) <= 400


def test_files_and_functions_are_short() -> None:
    counts = [count for path in SOURCE for count in functions(path)]
    assert np.median(counts) <= 10
    assert np.mean(np.array(counts) <= 40) >= 0.95
    assert np.median([lines(path) for path in SOURCE]) <= 120


def test_tests_are_as_many_lines_as_four_fifths_of_the_source() -> None:
    tests = sum(map(lines, TESTS))
    assert tests >= 0.8 * sum(map(lines, SOURCE))
