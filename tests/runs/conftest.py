"""A plugin of two stages, the models that runs have trained, and data that a model has and has not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.model.recommender import Recommender
from bench.runs.scheme_run import SchemeRun

PLUGIN = '''
import os
from dataclasses import replace
import numpy as np
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme, Stage
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary


def named(items, order):
    vocabulary = Vocabulary.private(items.ids)
    return TokenIds.from_lists([vocabulary.ids([items.ids[place]]) for place in order], vocabulary)


class Alternating(IdScheme):
    """Trains on one naming, then on another with the same T5."""

    name = "mine/alternating"

    def fit(self, train):
        return named(train.items, range(len(train.items)))

    def stages(self, train, ids):
        trained = yield Stage(ids, "first", budget_fraction=0.25)
        assert not trained.recommender.training
        assert trained.validation >= 0
        if os.environ.get("STOP_BETWEEN"):
            raise KeyboardInterrupt
        yield Stage(named(train.items, train.random().permutation(len(train.items))), "second", budget_fraction=0.75)


class Short(Alternating):
    name = "mine/short"

    def fit(self, train):
        return named(train.items, range(len(train.items) - 1))


class Strangers(Alternating):
    name = "mine/strangers"

    def fit(self, train):
        users = UserIds(np.full((3, 1), 5, np.int32), np.ones(3, np.int32))
        return replace(super().fit(train), users=users)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recommender]:
    """Every recommender that is saved."""
    found: list[Recommender] = []
    save = SchemeRun.save
    monkeypatch.setattr(SchemeRun, "save", lambda run, recommender: (found.append(recommender), save(run, recommender)))
    return found


def renamed(toy: Dataset, name: str, things: tuple[str, ...], items: int) -> Dataset:
    """The same walks over items of other names, and one column less; some ids are those of the toys."""
    colors = [title.split()[0] for title in toy.items.text["title"]]
    titles = tuple(f"{colors[item]} {things[item % len(things)]}" for item in range(30))
    ids = tuple(f"i{item + items:02d}" for item in range(30))
    return replace(toy, name=name, items=ItemTable(ids, {"title": titles}))


@pytest.fixture(scope="module")
def park(toy: Dataset) -> Dataset:
    return renamed(toy, "park", ("oak", "gate", "pond"), 20)


@pytest.fixture(scope="module")
def moor(toy: Dataset) -> Dataset:
    """Its walks go backwards, and it has words and letters that the others lack."""
    backwards = Sequences.from_rows([toy.sequences[user][::-1] for user in range(len(toy.users))])
    return replace(renamed(toy, "moor", ("heath", "żuraw", "puzzle"), 0), sequences=backwards)


@pytest.fixture(scope="module")
def folders(toy_folder: Path, park: Dataset, moor: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("several")
    for dataset in (park, moor):
        write_atomic(dataset, home / dataset.name)
    return {"toy": str(toy_folder), "park": str(home / "park"), "moor": str(home / "moor")}


@pytest.fixture(scope="module")
def words(quick: list[str], folders: dict[str, str]) -> list[str]:
    joined = f"{folders['toy']}+{folders['park']}"
    return ["run", "--id-scheme", "textual/title", *quick, "--dataset", joined, "--zero-shot", folders["moor"]]
