"""The comparison with cornac runs from end to end, and hands it what we have."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "cornac_peer.py"
SMALL = ("--users", "40", "--epochs", "1", "--codes", "32")

pytestmark = pytest.mark.long


def compared(folder: Path, *options: str) -> dict[str, dict[str, object]]:
    """The rows of the table by their names."""
    if importlib.util.find_spec("cornac") is None:
        pytest.skip("cornac is not installed (pip install cornac)")
    subprocess.run([sys.executable, SCRIPT, *SMALL, *options, "--out", folder], check=True)
    return {row["row"]: row for row in json.loads((folder / "table.json").read_text())["rows"]}


def test_every_row_ranks_the_same_users_on_the_same_identifiers(tmp_path: Path) -> None:
    rows = compared(tmp_path)
    assert list(rows) == ["bench", "bench-vocabulary", "tiger", "tiger-codes", "letter-codes"]
    found = {name: np.load(tmp_path / f"{name}.npz") for name in rows}
    for name, arrays in found.items():
        assert len(arrays["strict"]) == 40
        assert (arrays["own"] <= arrays["strict"]).all()  # unique identifiers: nothing ties that was retrieved
        assert rows[name]["ndcg"] == rows[name]["ndcg_own_list"]
        assert len(np.unique(arrays["codes"], axis=0)) == len(arrays["codes"])
    for name in ("bench-vocabulary", "tiger-codes", "letter-codes"):
        np.testing.assert_array_equal(found[name]["codes"], found["bench"]["codes"])


def test_letter_makes_codes_of_its_own(tmp_path: Path) -> None:
    if importlib.util.find_spec("k_means_constrained") is None:
        pytest.skip("k-means-constrained is not installed, which cornac's LETTER needs")
    rows = compared(tmp_path, "--id-scheme", "semantic/letter", "--own-epochs", "2", "--rows", "bench,letter")
    assert (np.load(tmp_path / "letter.npz")["codes"].max(axis=0) < 32).all()
    assert rows["letter"]["id_seconds"] > 0
