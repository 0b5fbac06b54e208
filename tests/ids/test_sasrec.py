"""The SASRec behind collaborative vectors: it learns what follows what, sees no future, and repeats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench import linear
from bench.data.dataset import Dataset, Sequences
from bench.data.splits import leave_one_out
from bench.ids.sasrec import SasRec, Training, batches, item_vectors, sampled_loss, step

PLAN = Training(width=8, history=10, layers=1, heads=2, dropout=0.1, epochs=3, batch=16, rate=1e-2)


def test_it_learns_the_circle(toy: Dataset) -> None:
    told: list[Any] = []
    train = replace(leave_one_out(toy).train, progress=lambda *given: told.append(given))
    item_vectors(train, replace(PLAN, epochs=30))
    losses = [figures["sasrec loss"] for _, _, figures in told]
    assert [(done, total) for done, total, _ in told] == [(epoch, 30) for epoch in range(1, 31)]
    assert losses[-1] < 0.6 * losses[0]


def test_it_repeats_and_leaves_the_random_state_alone(toy: Dataset) -> None:
    train = leave_one_out(toy).train
    torch.manual_seed(1)
    first = item_vectors(train, PLAN)
    after = torch.rand(1)
    assert np.array_equal(first, item_vectors(train, PLAN))
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    assert not np.array_equal(first, item_vectors(replace(train, seed=5), PLAN))
    assert first.shape == (30, 8)


def test_a_place_sees_nothing_after_it() -> None:
    torch.manual_seed(0)
    model = SasRec(9, PLAN).eval()
    short, long = torch.tensor([[1, 2, 3, 9, 9]]), torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        assert torch.allclose(model(short)[:, :3], model(long)[:, :3], atol=1e-6)
        assert torch.allclose(model(short)[:, :3], model(short[:, :3]), atol=1e-6)


def test_the_loss_is_over_every_real_position() -> None:
    torch.manual_seed(0)
    model = SasRec(9, PLAN).eval()
    batch = torch.tensor([[1, 2, 3], [4, 5, 9]])
    with torch.no_grad():
        scores = torch.log_softmax(model(batch[:, :-1]) @ model.items.weight[:9].T, -1)
    expected = -(scores[0, 0, 2] + scores[0, 1, 3] + scores[1, 0, 5])
    found = step(model, torch.optim.SGD(model.parameters(), lr=0.0), batch)
    assert abs(found - float(expected)) < 1e-4


@pytest.mark.parametrize("negatives", [0, 7])
def test_its_operations_are_those_that_its_steps_called(
    toy: Dataset, negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's count, which knows nothing of oneDNN's private operator; with dropout, attention is written out."""
    monkeypatch.setattr(linear, "ONEDNN", None)
    train = leave_one_out(toy).train
    with FlopCounterMode(display=False) as counter:
        item_vectors(train, replace(PLAN, layers=2, negatives=negatives))
    assert train.own_training["own_flops"] == counter.get_total_flops() > 0


def test_its_operations_are_the_same_for_another_seed(toy: Dataset) -> None:
    """Batches are of sequences sorted by length, whatever their order."""
    one, other = (leave_one_out(toy, seed=seed).train for seed in (0, 5))
    for train in (one, other):
        item_vectors(train, replace(PLAN, epochs=1))
    assert one.own_training == other.own_training


def test_an_epoch_reads_every_sequence_once() -> None:
    sequences = Sequences.from_rows([[1], [1, 2], [3, 4, 5], [6, 7], [0, 8, 1, 2]])
    rows = np.flatnonzero(sequences.lengths > 1)
    found = list(batches(sequences, rows, 2, 9, np.random.default_rng(0)))
    read = sorted([item for item in row.tolist() if item < 9] for batch in found for row in batch)
    assert read == [[0, 8, 1, 2], [1, 2], [3, 4, 5], [6, 7]]
    assert max(len(batch) for batch in found) == 2


def test_a_sampled_loss_is_over_the_target_and_what_was_drawn() -> None:
    torch.manual_seed(3)
    table, hidden = torch.nn.Embedding(8, 4), torch.randn(5, 4)  # seven items, and padding
    targets = torch.tensor([0, 6, 2, 2, 5])
    torch.manual_seed(9)
    found = sampled_loss(hidden, table, targets, 12)
    torch.manual_seed(9)
    drawn = torch.randint(7, (12,)).tolist()
    vectors, losses = table.weight.detach().numpy().astype(np.float64), []
    for vector, target in zip(hidden.numpy().astype(np.float64), targets.tolist(), strict=True):
        others = [np.exp(vectors[item] @ vector) * 7 / 12 for item in drawn if item != target]
        own = np.exp(vectors[target] @ vector)
        losses.append(-np.log(own / (own + sum(others))))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_with_ever_more_drawn_it_nears_the_loss_over_all_items() -> None:
    torch.manual_seed(0)
    table, hidden, targets = torch.nn.Embedding(51, 4), torch.randn(6, 4), torch.arange(6)
    whole = F.cross_entropy(hidden @ table.weight[:-1].T, targets)
    found = sampled_loss(hidden, table, targets, 200_000)
    assert found.item() == pytest.approx(whole.item(), abs=0.02)


def test_it_learns_the_circle_from_samples_too(toy: Dataset) -> None:
    told: list[Any] = []
    train = replace(leave_one_out(toy).train, progress=lambda *given: told.append(given))
    item_vectors(train, replace(PLAN, epochs=30, negatives=12))
    losses = [figures["sasrec loss"] for _, _, figures in told]
    assert losses[-1] < 0.8 * losses[0]
    once = replace(PLAN, epochs=1, negatives=12)
    assert np.array_equal(item_vectors(train, once), item_vectors(train, once))
