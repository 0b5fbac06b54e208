"""What schemes and baselines declare that they need, against what they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")]
TESTS = Path(__file__).parents[1]
FACTOR = 4.0


@pytest.mark.parametrize(("where", "sizes"), [("tokenizers", "2000,40000"), ("baselines", "2000,20000")])
def test_declared_memory_is_within_a_factor_of_what_is_measured(where: str, sizes: str) -> None:
    words = [sys.executable, str(TESTS / where / "peaks.py"), sizes]
    child = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert len(found) > 5
    far = {name: pair for name, pair in found.items() if not pair[1] / FACTOR < pair[0] < pair[1] * FACTOR}
    assert not far
