"""``--json`` prints JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import machine
from bench.data import audit, sources


def test_what_json_does_not_have_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    machine.show({"a": [math.nan, (math.inf, 0.5)], 3: {"ü": None}})
    said = capsys.readouterr().out
    assert json.loads(said, parse_constant=pytest.fail) == {"a": [None, [None, 0.5]], "3": {"ü": None}}
    assert "ü" in said


def test_data_info(bench: Callable[..., SimpleNamespace], toy_folder: Path) -> None:
    said = bench("data", "info", toy_folder, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    dataset = sources.find(str(toy_folder))
    expected = vars(audit.statistics(dataset))
    assert list(found) == ["name", *expected, "sparsity", "notes"]
    assert all(np.isclose(found[name], value) for name, value in expected.items() if name != "text_columns")
    assert (found["name"], found["text_columns"]) == ("toy", ["title", "category"])
