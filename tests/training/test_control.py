"""The loop, the model and the beam search reach what a plain trainer around Transformers' T5 reaches."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract import Contract
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import leave_one_out
from bench.ids.identifiers import TokenIds
from bench.vocabulary import Vocabulary

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import control

ITEMS, USERS = 64, 240
CONTRACT = Contract(epochs=8, batch_size=64, learning_rate=5e-3, dropout=0.0)


def circle() -> Dataset:
    """Users walk round a circle, three times in four by one step."""
    random = np.random.default_rng(11)
    rows = []
    for _ in range(USERS):
        steps = np.where(random.random(7) < 0.75, 1, random.integers(2, ITEMS, 7))
        rows.append((random.integers(ITEMS) + np.cumsum([0, *steps])) % ITEMS)
    sequences = Sequences.from_rows(rows)
    ids = tuple(f"i{item:02d}" for item in range(ITEMS))
    times = np.concatenate([np.arange(length, dtype=float) for length in sequences.lengths])
    return Dataset(
        "circle", tuple(f"u{user}" for user in range(USERS)), ItemTable(ids, {"title": ids}), sequences, times
    )


def codes() -> TokenIds:
    """Two digits in base eight, the levels in tokens of their own."""
    vocabulary = Vocabulary.private(f"{level}:{code}" for level in range(2) for code in range(8))
    names = [[f"0:{item // 8}", f"1:{item % 8}"] for item in range(ITEMS)]
    return TokenIds.from_lists([vocabulary.ids(name) for name in names], vocabulary)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What each validation user gains in the product."""
    torch.set_num_threads(1)
    split = leave_one_out(circle())
    return control.product(split, codes(), CONTRACT, split.validation, 0, tmp_path_factory.mktemp("control"))


def trained(contract: Contract) -> np.ndarray:
    split = leave_one_out(circle())
    return control.control(split, codes(), contract, split.validation, 0)


def test_the_loop_reaches_what_a_plain_trainer_reaches(ours: np.ndarray) -> None:
    theirs = trained(CONTRACT)
    low, high = control.interval(ours - theirs)
    assert min(ours.mean(), theirs.mean()) > 0.4  # both have learned the step, so the comparison says something
    assert low <= 0 <= high, f"bench {ours.mean():.4f}, control {theirs.mean():.4f}: {low:+.4f} to {high:+.4f}"


def test_an_eighth_of_the_training_is_told_from_the_whole(ours: np.ndarray) -> None:
    assert control.interval(ours - trained(replace(CONTRACT, epochs=1)))[0] > 0
