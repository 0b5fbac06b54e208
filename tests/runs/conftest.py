"""A plugin of two stages, and the models that runs have trained."""

from __future__ import annotations

from pathlib import Path

import pytest

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
