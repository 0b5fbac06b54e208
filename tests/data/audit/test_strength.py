"""Sequence strength: shuffles touch what they should, and a planted order of ids is found again as a number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.data import sources
from bench.data.audit import strength as strengths
from bench.data.audit.strength import AS_FOUND, CONTROL, RUNS, TIES, TRAINING, merged, shuffled, strength
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.ties import arranged


def chain(dataset: Dataset, variant: str = AS_FOUND) -> float:
    found = strength(dataset)
    assert found is not None
    return found.scores[variant]["markov"].mean


def numbered(dataset: Dataset) -> Dataset:
    """The same order under time stamps that are positions."""
    places = [np.arange(length, dtype=float) for length in dataset.sequences.lengths]
    return Dataset(dataset.name, dataset.users, dataset.items, dataset.sequences, np.concatenate(places))


def test_values_are_shuffled_inside_their_groups_alone() -> None:
    random = np.random.default_rng(0)
    sequences = Sequences.from_rows([list(range(50)), list(range(50, 70))])
    groups = np.concatenate([np.repeat([0, 1, 2, 3, 4], 10), np.zeros(20)])
    found = shuffled(sequences, groups, random)
    for start, stop in ((0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 70)):
        assert sorted(found.values[start:stop].tolist()) == list(range(start, stop))
        assert found.values[start:stop].tolist() != list(range(start, stop))


def test_an_order_of_ids_inside_days_is_found_again(bundles: Dataset) -> None:
    """Under ties=id the chain profits from it, under digest it does not."""
    by_id, by_digest = strength(arranged(bundles, "id")), strength(arranged(bundles, "digest"))
    assert by_id is not None
    assert by_digest is not None
    sorted_, shuffled_ = by_id.scores[AS_FOUND]["markov"].mean, by_id.scores[TIES]["markov"].mean
    assert sorted_ > 0.9  # the last of a bundle follows the one before it every time
    assert shuffled_ < 0.75  # one of the three others of the bundle
    assert by_id.ascending_hits == 1.0
    assert by_digest.scores[AS_FOUND]["markov"].mean == pytest.approx(shuffled_, abs=0.04)
    assert by_digest.scores[TIES]["markov"].mean == pytest.approx(shuffled_, abs=0.04)
    assert by_digest.ascending_hits == pytest.approx(0.5, abs=0.1)
    assert by_id.at_least() is by_id.at_most() is None  # ties can be seen, so nothing has to be bounded


def test_where_ties_cannot_be_seen_the_same_order_is_bounded(bundles: Dataset) -> None:
    by_id, by_digest = strength(numbered(arranged(bundles, "id"))), strength(numbered(arranged(bundles, "digest")))
    truth = chain(arranged(bundles, "id")) - chain(arranged(bundles, "digest"))
    for found, resting in ((by_id, truth), (by_digest, 0.0)):
        assert found is not None
        least, most = found.at_least(), found.at_most()
        assert least is not None
        assert most is not None
        assert least - 0.03 <= resting <= most + 0.03
    assert set(by_id.scores) == {AS_FOUND, TRAINING, RUNS, CONTROL}  # type: ignore[union-attr]


def test_an_order_that_is_real_does_not_rest_on_ids() -> None:
    """300 users walk round a circle of 200 items whose ids say nothing of their places on it."""
    random = np.random.default_rng(0)
    names, starts = random.permutation(200), random.integers(0, 200, 300)
    rows = [names[(start + np.cumsum(random.integers(1, 3, 9))) % 200] for start in starts]
    ids = tuple(f"i{number:03d}" for number in range(200))
    walks = Dataset("walks", tuple(map(str, range(300))), ItemTable(ids, {}), Sequences.from_rows(rows), np.zeros(2700))
    found = strength(numbered(walks))
    assert found is not None
    least, whole = found.at_least(), found.scores[AS_FOUND]["markov"].mean
    assert least is not None
    assert least < 0.1 * whole
    assert found.ascending_hits == pytest.approx(0.5, abs=0.1)
    assert found.scores[TRAINING]["markov"].mean < 0.8 * whole


def test_only_the_order_of_training_is_shuffled_where_that_is_asked_for(toy: Dataset) -> None:
    found = shuffled(toy.sequences, strengths._held_out(toy.sequences), np.random.default_rng(0))
    for user in range(len(toy.users)):
        before, after = toy.sequences[user].tolist(), found[user].tolist()
        assert after[-2:] == before[-2:]
        assert Counter(after) == Counter(before)
    measured = strength(toy)
    assert measured is not None
    for name in ("co-occurrence", "popularity"):
        assert measured.scores[TRAINING][name] == measured.scores[AS_FOUND][name]
    one = measured.scores[AS_FOUND]["markov"]
    assert one.least == one.mean == one.most
    scores = measured.scores[TRAINING]["markov"]
    assert scores.least < scores.mean < scores.most


def test_the_same_every_time(toy: Dataset) -> None:
    assert strength(toy) == strength(toy)


def test_users_of_one_id_are_known_by_their_names() -> None:
    names = ("a", "a#2", "a#3", "b#2", "c#", "d", "d#x")
    assert merged(names).tolist() == [True, True, True, False, False, False, False]


def test_a_large_data_set_is_counted_on_a_sample(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strengths, "MOST", 100)
    found = strength(toy)
    assert found is not None
    assert found.users < 40
    assert found.share == found.users / 40


def test_nobody_to_ask() -> None:
    short = Dataset("d", ("u", "v"), ItemTable(("a", "b"), {}), Sequences.from_rows([[0, 1], [1]]), np.arange(3.0))
    assert strength(short) is None


@pytest.mark.parametrize(
    ("name", "wanted", "pairs", "hits"),
    [("toys", (0.0455, 0.0211, 0.0281), 0.75, 0.93), ("yelp", (0.0156, 0.0145, 0.0146), 0.49, 0.38)],
)
def test_what_was_measured_by_other_code_is_found_again(
    name: str, wanted: tuple[float, float, float], pairs: float, hits: float, real_data: Path
) -> None:
    """A script with counters, without arrays, and with one draw of its own; draws differ by less than .001. It leaves
    out users of shared ids and has ties in catalogue order, which is worth up to .0015.
    """
    if not (real_data / name).exists():
        pytest.skip(f"no {name} in {real_data}")
    found = strength(sources.find(name, real_data))
    assert found is not None
    assert (found.ascending_pairs, found.ascending_hits) == pytest.approx((pairs, hits), abs=0.005)
    measured = [found.scores[variant]["markov"].mean for variant in (AS_FOUND, RUNS, CONTROL)]
    assert measured[0] == pytest.approx(wanted[0], abs=0.0016)
    assert measured[1:] == pytest.approx(wanted[1:], abs=0.001)
