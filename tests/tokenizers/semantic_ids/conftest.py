"""Vectors with the grain of real ones, a catalogue with repeated texts, and one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from semantic_ids.quantizers import Vectors

from bench.data.dataset import ItemTable, Sequences, TrainView

MakeView = Callable[..., TrainView]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors this small are slower on several threads, and the bits of two runs can be compared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """``[300, 12]``: blobs of unequal spread, and ten vectors that another has too."""
    random = np.random.default_rng(11)
    blobs = random.normal(size=(20, 12)) * np.geomspace(2, 0.3, 12)
    found = blobs[random.integers(0, 20, 300)] + 0.3 * random.normal(size=(300, 12))
    found[-10:] = found[:10]
    return found.astype(np.float32)


@pytest.fixture(scope="session")
def make_view() -> MakeView:
    """``make_view(titles, rows, seed)``: a catalogue of these titles, all in training where ``rows`` are left out."""

    def make(titles: Sequence[str], rows: Sequence[Sequence[int]] = (), seed: int = 0) -> TrainView:
        items = ItemTable(tuple(f"i{item}" for item in range(len(titles))), {"title": tuple(titles)})
        return TrainView("titles", items, Sequences.from_rows(rows or [range(len(titles))]), seed)

    return make


@pytest.fixture(scope="session")
def titles() -> list[str]:
    """Of 200 items: up to four words of 60 each, so that some share theirs; the last six have one title."""
    random = np.random.default_rng(4)
    drawn = [" ".join(f"w{word}" for word in random.integers(0, 60, random.integers(1, 5))) for _ in range(194)]
    return [*drawn, *["spare part"] * 6]
