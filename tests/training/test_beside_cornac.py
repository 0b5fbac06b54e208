"""What cornac is handed in a comparison is the split and the identifiers that we have; its lists are read strictly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.contract import Contract
from bench.data import sources, splitting

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import cornac_peer
import cornac_side

USERS = 30
ASKED = {
    "dataset": "ml-100k",
    "data_dir": None,
    "id_scheme": "semantic/rqkmeans",
    "codes": 16,
    "own_epochs": 1,
    "users": USERS,
    "epochs": 2,
    "selection": "last",
    "backbone": "mini",
    "dropout": 0.0,
    "learning_rate": 3e-3,
    "peer_learning_rate": None,
    "batch_size": 64,
    "seed": 0,
}


class Scores:
    """A model that scores as it was told to, and ranks with ties in an order that nobody has asked for."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores, self.total_items = scores, scores.shape[1]

    def rank(self, row: int, item_indices: np.ndarray, history_items: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return item_indices[np.argsort(self.scores[row], kind="stable")[::-1]], self.scores[row]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("peer")
    cornac_peer.prepare(found, ASKED)
    return found


def test_arrays_hold_each_sequence_but_its_last_two_items_and_those(folder: Path) -> None:
    dataset, _ = splitting.ordered(sources.find("ml-100k"), Contract())
    given, job = np.load(folder / "given.npz"), json.loads((folder / "job.json").read_text())
    train = cornac_side.sequences(given["train_values"], given["train_offsets"])
    seen = cornac_side.sequences(given["test_values"], given["test_offsets"])
    whole = [dataset.sequences[user].tolist() for user in range(USERS)]
    assert [row.tolist() for row in train] == [row[:-2] for row in whole]
    assert [row.tolist() for row in seen] == [row[:-1][-20:] for row in whole]
    assert given["test_items"].tolist() == [row[-1] for row in whole]
    assert [whole[user][-2] for user in given["validation_users"]] == given["validation_items"].tolist()
    assert job["examples"] == 2 * sum(len(row) - 3 for row in whole)


def test_codes_are_those_that_the_names_of_tokens_say(folder: Path) -> None:
    contract = cornac_peer.contract_of(ASKED)
    ids, levels = cornac_peer.identifiers(cornac_peer.split_of(ASKED, contract), ASKED, folder)
    names = [ids.vocabulary.decode(ids.code(item)).split() for item in range(len(ids))]
    codes = np.load(folder / "given.npz")["codes"]
    assert levels == 3
    assert codes.tolist() == [[int(name.lstrip("abcd")) for name in row] for row in names]


def test_ties_count_against_the_target_and_what_is_not_in_the_beam_has_no_rank() -> None:
    random = np.random.default_rng(5)
    scores = random.integers(0, 6, (200, 12)).astype(float)
    scores[random.random(scores.shape) < 0.4] = cornac_side.NOT_RETRIEVED
    targets = random.integers(0, 12, 200)
    found = cornac_side.ranked(Scores(scores), [np.array([0])] * 200, targets)
    for row, target in enumerate(targets):
        others = [score for item, score in enumerate(scores[row]) if item != target]
        in_beam = scores[row, target] != cornac_side.NOT_RETRIEVED
        ahead = 1 + sum(score >= scores[row, target] for score in others)
        assert found["strict"][row] == (ahead if in_beam else np.inf)
        assert found["own"][row] <= ahead
