"""One model on many data sets, tested on each of them and on unseen ones: one command, which resumes where it stopped.

Nineteen data sets to train on and six unseen ones, as in the published foundation experiment; here they are generated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.results.read import load
from bench.runs import baseline_transfer
from bench.runs import run as one_run

Bench = Callable[..., SimpleNamespace]

TRAINED, UNSEEN = 19, 6
COLORS = ("red", "blue", "green", "iron", "wooden", "small", "large")
THINGS = ("car", "oak", "pond", "robot", "lamp", "boat", "drum", "kite", "bell")
LINES = ("width=8", "experts=2", "layers=1", "inner=8")


def catalogue(number: int) -> Dataset:
    """Users who walk round a circle of 21 items, more of them in data sets of higher numbers."""
    random = np.random.default_rng(number)
    titles = tuple(f"{random.choice(COLORS)} {random.choice(THINGS)} {item}" for item in range(21))
    rows = [(5 * user + np.arange(6)) % 21 for user in range(4 + number)]  # four users have all items
    items = ItemTable(tuple(f"{number}-{item}" for item in range(21)), {"title": titles})
    sequences = Sequences.from_rows(rows)
    times = np.concatenate([np.arange(len(row), dtype=float) for row in rows])
    return Dataset(f"set{number:02d}", tuple(f"{number}-u{user}" for user in range(len(rows))), items, sequences, times)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("many")
    for number in range(TRAINED + UNSEEN + 1):
        write_atomic(catalogue(number), home / f"set{number:02d}")
    return [str(home / f"set{number:02d}") for number in range(TRAINED + UNSEEN + 1)]


@pytest.fixture(scope="module")
def words(quick: list[str], folders: list[str]) -> list[str]:
    unseen = ",".join(folders[TRAINED : TRAINED + UNSEEN])
    own = [f"--set=unisrec.{line}" for line in LINES]
    subjects = ["--baseline", "unisrec,pop", "--id-scheme", "textual/title", *own, "--set=max_steps=4"]
    return ["run", *quick, *subjects, "--dataset", "+".join(folders[:TRAINED]), "--zero-shot", unseen]


@pytest.fixture(scope="module")
def done(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped by Ctrl-C on the way, and asked for again."""
    results, transferred, tests = tmp_path_factory.mktemp("results"), baseline_transfer.transferred_baseline, Counter()

    def stop(*given: Any) -> Any:
        tests["done"] += 1
        if tests["done"] == 9:
            raise KeyboardInterrupt
        return transferred(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_run, "transferred_baseline", stop)
        assert bench(*words, "--results", results).code == 130
    assert len(load(results)) > 5
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    assert "finished already in" in said.err
    return results


def test_every_part_and_every_unseen_set_is_a_row(done: Path) -> None:
    found = Counter((each.scheme.name, each.zero_shot, bool(each.trained_on)) for each in load(done))
    for name in ("textual/title", "unisrec/inductive", "pop"):
        assert found[name, False, False] == 1
        assert found[name, False, True] == TRAINED
        assert found[name, True, True] == UNSEEN


def never(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be trained here")


def test_another_unseen_set_trains_nothing(
    bench: Bench, words: list[str], folders: list[str], done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_run, "baseline_outcome", never)
    monkeypatch.setattr(one_run, "SchemeRun", never)
    before = len(load(done))
    said = bench(*words, "--zero-shot", ",".join(folders[TRAINED:]), "--results", done)
    assert said.code == 0, said.err
    assert len(load(done)) == before + 3


def test_a_power_of_size_is_another_contract(
    bench: Bench, folders: list[str], quick: list[str], tmp_path: Path
) -> None:
    """Of 4 and of 22 users as many are drawn in each of four epochs: another training, so another row."""
    own = [f"--set=unisrec.{line}" for line in LINES]
    joined = f"{folders[0]}+{folders[18]}"
    base = ["run", "--baseline=unisrec,pop", *quick, *own, "--dataset", joined, "--results", tmp_path]
    for power in ("1", "0"):
        assert bench(*base, f"--set=part_power={power}").code == 0
    whole = [each for each in load(tmp_path) if not each.trained_on]
    names = Counter(each.scheme.name for each in whole)
    assert names == {"unisrec/inductive": 2, "pop": 1}  # what only counts is not trained in epochs
    by_power = {each.contract["part_power"]: each for each in whole if each.scheme.name != "pop"}
    assert by_power[1.0].costs.target_examples == 4 * (4 + 22)
    assert by_power[0.0].costs.target_examples == 4 * (4 + 4)
