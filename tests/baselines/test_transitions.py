"""The probes that count transitions, against counters and sums over paths."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trivial_baselines import Graph, Markov, Popularity
from trivial_baselines.transitions import GraphSettings, back

from bench.data import sources
from bench.data.audit.counting import Task, gains, markov, popularity
from bench.data.audit.strength import AS_FOUND, strength
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline
from bench.ids.text import MissingTextError
from bench.runs.subjects import load_baseline
from bench.training.ranking import score_targets

ITEMS = 9
ROWS = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=8), min_size=1, max_size=8)
WORDS = ("red car", "red robot", "blue car", "blue boat", "iron boat", "wooden boat", "red boat", "toy", "small toy")


def view(rows: list[list[int]], text: dict[str, tuple[str, ...]] | None = None) -> TrainView:
    table = ItemTable(tuple(f"i{item}" for item in range(ITEMS)), {"title": WORDS} if text is None else text)
    return TrainView("lists", table, Sequences.from_rows(rows), seed=0)


def counted(rows: list[list[int]]) -> dict[int, Counter[int]]:
    following: dict[int, Counter[int]] = defaultdict(Counter)
    for row in rows:
        for before, after in pairwise(row):
            following[before][after] += 1
    return following


def test_back_counts_from_the_newest() -> None:
    histories = Sequences.from_rows([[4, 5], [], [6]])
    assert back(histories, 1).tolist() == [5, -1, 6]
    assert back(histories, 2).tolist() == [4, -1, -1]


@given(ROWS, ROWS)
def test_markov_ranks_by_count_then_popularity(rows: list[list[int]], histories: list[list[int]]) -> None:
    probe = Markov()
    probe.fit(view(rows))
    scores = probe.score(Sequences.from_rows(histories))
    following, taken = counted(rows), Counter(item for row in rows for item in row)
    assert np.isfinite(scores).all()
    for row, history in enumerate(histories):
        known = following[history[-1]] if history else Counter[int]()
        keys = [(known[item], taken[item]) for item in range(ITEMS)]
        order = np.argsort(-scores[row], kind="stable")
        assert [keys[item] for item in order] == sorted(keys, reverse=True)
        for one in range(ITEMS):
            for other in range(ITEMS):
                assert (scores[row, one] == scores[row, other]) == (keys[one] == keys[other])


@given(ROWS, ROWS.filter(lambda rows: any(rows)))
def test_graph_sums_over_paths_from_the_last_two(rows: list[list[int]], histories: list[list[int]]) -> None:
    probe = Graph(GraphSettings(text="off", second=0.25, hop=0.5))
    probe.fit(view(rows))
    scores = probe.score(Sequences.from_rows(histories))
    following, taken = counted(rows), Counter(item for row in rows for item in row)

    def chance(one: int, other: int) -> float:
        return following[one][other] / max(1, following[one].total())

    def reached(one: int, other: int) -> float:
        return chance(one, other) + 0.5 * sum(chance(one, via) * chance(via, other) for via in range(ITEMS))

    for row, history in enumerate(histories):
        for item in range(ITEMS):
            last = [(history[-1], 1.0)] if history else []
            last += [(history[-2], 0.25)] if len(history) > 1 else []
            found = sum(weight * reached(own, item) for own, weight in last)
            wanted = 1 + found if found else taken[item] / (max(taken.values(), default=0) + 1)
            assert scores[row, item] == pytest.approx(wanted, rel=1e-5)


def test_text_decides_between_candidates_of_one_chance() -> None:
    """From the red car one comes as often to the blue car as to the toy; cars are alike."""
    rows = [[0, 2], [0, 7], [1, 3]]
    alike, blind = Graph(), Graph(GraphSettings(text="off"))
    for probe in (alike, blind):
        probe.fit(view(rows))
    (scores,), (bare,) = alike.score(Sequences.from_rows([[0]])), blind.score(Sequences.from_rows([[0]]))
    assert scores[2] > scores[7] > 1
    assert bare[2] == bare[7]
    assert scores[3] < 1  # two words alike, but nothing leads there


def test_scores_do_not_depend_on_the_batch() -> None:
    probe, random = Graph(), np.random.default_rng(0)
    probe.fit(view(random.integers(0, ITEMS, (30, 6)).tolist()))
    rows = random.integers(0, ITEMS, (12, 3)).tolist()
    whole = probe.score(Sequences.from_rows(rows))
    single = np.concatenate([probe.score(Sequences.from_rows([row])) for row in rows])
    np.testing.assert_allclose(whole, single, rtol=1e-6)


def test_without_text_graph_says_so() -> None:
    bare = ItemTable(("a", "b"), {})
    with pytest.raises(
        MissingTextError, match=r"2 of 2 items have none.*or rank by transitions alone with --set graph.text="
    ):
        Graph().validate_items(bare)
    Graph(GraphSettings(text="off")).validate_items(bare)
    with pytest.raises(BenchError, match=r"graph.hop must be between 0 and 1; got 2"):
        GraphSettings(hop=2)


def test_probes_are_installed_and_say_what_they_are() -> None:
    names = ("markov", "graph", "pop", "random", "repeat", "max+1", "itemknn", "recbole-pop")
    assert all(load_baseline(name).probe for name in names)
    assert not any(load_baseline(name).probe for name in ("sasrec/ce", "gru4rec"))


def ndcg(probe: Baseline, dataset: Dataset) -> float:
    split = leave_one_out(dataset)
    probe.fit(split.train)
    ranks = score_targets(probe, split.test, len(dataset.items), False)
    return float(ranks.per_user("ndcg@10").mean())


def test_the_audit_and_the_probe_count_alike(toy: Dataset, bundles: Dataset) -> None:
    """One number in a table and under it: among equal scores the target is the last in both."""
    for dataset in (toy, bundles):
        task = Task.of(dataset.sequences, len(dataset.items))
        assert float(gains(markov(task)).mean()) == pytest.approx(ndcg(Markov(), dataset), abs=1e-9)
        assert float(gains(popularity(task)).mean()) == pytest.approx(ndcg(Popularity(), dataset), abs=1e-9)


def test_on_toys_counting_is_ahead_of_published_models(real_data: Path) -> None:
    toys = sources.find("toys", real_data)
    chain = ndcg(Markov(), toys)
    assert chain == pytest.approx(0.0470, abs=0.0005)  # 50 users of shared ids predict one another
    found = strength(toys, draws=1)
    assert found is not None
    assert found.scores[AS_FOUND]["markov"].mean == pytest.approx(chain, abs=1e-9)
    assert ndcg(Graph(), toys) > 0.06


@pytest.mark.parametrize("rows", [[[]], [[], []]])
def test_whoever_has_nothing_gets_what_is_popular(rows: list[list[int]]) -> None:
    """Alone in a batch too: nobody else's items are there to be looked at in place of theirs."""
    assert back(Sequences.from_rows(rows), 2).tolist() == [-1] * len(rows)
    train = view([[0, 1, 2], [1, 2]])
    for baseline in (Markov(), Graph(GraphSettings(text="off"))):
        baseline.fit(train)
        scores = baseline.score(Sequences.from_rows(rows))
        assert scores.shape == (len(rows), ITEMS)
        assert set(np.argsort(-scores[0], kind="stable")[:2].tolist()) == {1, 2}
