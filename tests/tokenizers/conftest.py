"""Real toys, T5's vocabulary, and a small catalogue that every family can name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data import sources
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import read_atomic
from bench.vocabulary import Vocabulary

TITLES = (
    *("LEGO City Police Car", "LEGO City Fire Truck", "LEGO City Police Car", "Barbie Doll House", "Barbie Doll"),
    *("Barbie Car", "Toy Story", "The Game of Life", "12", "Ticket to Ride", "Ticket to Ride: Europe", "Café Ole"),
)


@pytest.fixture(scope="session")
def toys(real_data: Path) -> Dataset:
    return read_atomic(real_data / "toys")


@pytest.fixture(scope="session")
def movies() -> Dataset:
    return sources.find("ml-100k")


@pytest.fixture(scope="session")
def t5(t5_tokenizer: Path) -> Vocabulary:
    return Vocabulary.of_language_model(t5_tokenizer, size=32128)


@pytest.fixture(scope="session")
def small() -> Dataset:
    """Twelve items, the last three in no training part; eight users with five interactions each."""
    random = np.random.default_rng(5)
    rows = [[*random.permutation(9)[:3], *random.permutation(12)[:2]] for _ in range(8)]
    items = ItemTable(tuple(f"i{item}" for item in range(12)), {"title": TITLES, "category": ("Toys & Games",) * 12})
    return Dataset("small", tuple("abcdefgh"), items, Sequences.from_rows(rows), np.zeros(40))
