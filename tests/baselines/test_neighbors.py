"""ItemKNN without RecBole: what it keeps scores as RecBole did, and goes where its items go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from recbole_baselines import ItemKNN
from recbole_baselines.neighbors import counted

import bench as package
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.formats import write_atomic
from bench.data.splits import leave_one_out
from bench.results.read import load

Bench = Callable[..., SimpleNamespace]


def test_histories_are_counted() -> None:
    histories = Sequences.from_rows([[2, 0, 2], [], [1]])
    assert counted(histories, 4).toarray().tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_neighbors_outlive_recbole(recbole: None, bench: Bench, quick: list[str], toy: Dataset, tmp_path: Path) -> None:
    ids = (*toy.items.ids[:20], *(f"n{item}" for item in range(10)))
    other = replace(toy, name="other", items=ItemTable(ids, toy.items.text))
    write_atomic(other, tmp_path / "other")
    words = ["run", "--baseline=itemknn", *quick, "--zero-shot", tmp_path / "other", "--results", tmp_path]
    said = bench(*words)
    assert said.code == 0, said.err
    runs = {result.dataset.name: result for result in load(tmp_path)}
    assert runs["other"].zero_shot
    test = leave_one_out(toy, max_history=20).test
    users = np.arange(len(test))

    home = ItemKNN()
    home.restore(runs["toy"].folder)
    scores = home.score(users, test.histories)
    table = pd.read_parquet(runs["toy"].folder / "per_user.parquet")
    assert table["rank"].tolist() == [(row >= row[item]).sum() for row, item in zip(scores, test.items, strict=True)]
    brute = [sum(home.similar.toarray()[item] for item in test.histories[row]) for row in range(5)]
    assert np.allclose(scores[:5], brute)

    away = ItemKNN()
    away.transfer(TrainView("other", other.items, Sequences.from_rows([]), 0), runs["toy"].folder)
    expected = home.similar.toarray()
    expected[20:], expected[:, 20:] = 0, 0
    assert np.array_equal(away.similar.toarray(), expected)

    found = package.load("itemknn", results=tmp_path, dataset="toy").recommend(["i03", "i04"], k=3)
    best = np.sort(expected_of(home, [3, 4]))[::-1][:3]
    assert [one.score for one in found] == best.tolist()


def expected_of(home: ItemKNN, history: list[int]) -> np.ndarray:
    return home.score(np.array([-1]), Sequences.from_rows([history]))[0]
