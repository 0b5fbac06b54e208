"""The comparison with cornac runs from end to end, and hands it what we have."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.evaluation.metrics import per_user

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "cornac_peer.py"
SMALL = ("--users", "40", "--epochs", "1", "--codes", "32")
SIZES = {"d_model": 64, "d_ff": 128, "d_kv": 16, "heads": 4, "layers": 1, "decoder_layers": 1, "max_len": 6}
SIZES |= {"levels": 2, "codes": 8, "base_vocabulary": 3, "tokenizer": "rkmeans", "latent": 32, "own_epochs": 1}
BUDGET = {"n_epochs": 10, "steps": 380, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine", "warmup": 0.05}
BUDGET |= {"dropout": 0.0, "weight_decay": 0.01, "clip_norm": 1.0, "beam_width": 20, "selection": "last", "seed": 0}

pytestmark = pytest.mark.long


def require_cornac() -> None:
    if importlib.util.find_spec("cornac") is None:
        pytest.skip("cornac is not installed (pip install cornac)")


def compared(folder: Path, *options: str) -> dict[str, dict[str, object]]:
    """The rows of the table by their names."""
    require_cornac()
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


@pytest.mark.parametrize("row", ["tiger-codes", "letter-codes"])
def test_cornac_learns_from_what_it_is_handed(tmp_path: Path, row: str) -> None:
    require_cornac()
    sys.path.append(str(SCRIPT.parent))
    import cornac_side

    random, items, users = np.random.default_rng(11), 64, 480
    steps = np.where(random.random((users, 8)) < 0.75, 1, random.integers(2, items, (users, 8)))
    rows = (random.integers(items, size=(users, 1)) + np.cumsum(steps, axis=1)) % items  # a step round a circle, mostly
    given = {"codes": np.stack(np.divmod(np.arange(items), 8), axis=1), "vectors": np.eye(items, dtype=np.float32)}
    for name, stop in (("train", 6), ("validation", 6), ("test", 7)):
        given |= {f"{name}_values": rows[:, :stop].ravel(), f"{name}_offsets": np.arange(users + 1) * stop}
    given |= {"validation_users": np.arange(users), "validation_items": rows[:, 6], "test_items": rows[:, 7]}
    np.savez(tmp_path / "given.npz", **given)
    (tmp_path / "job.json").write_text(json.dumps(SIZES | BUDGET))
    cornac_side.side(tmp_path, row)
    assert per_user(np.load(tmp_path / f"{row}.npz")["strict"], "ndcg@10").mean() > 0.3  # by chance 0.07


def test_letter_makes_codes_of_its_own(tmp_path: Path) -> None:
    if importlib.util.find_spec("k_means_constrained") is None:
        pytest.skip("k-means-constrained is not installed, which cornac's LETTER needs")
    rows = compared(tmp_path, "--id-scheme", "semantic/letter", "--own-epochs", "2", "--rows", "bench,letter")
    assert (np.load(tmp_path / "letter.npz")["codes"].max(axis=0) < 32).all()
    assert rows["letter"]["id_seconds"] > 0
