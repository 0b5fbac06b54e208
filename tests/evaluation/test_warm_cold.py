"""Warm and cold items: each kind is ranked as if nothing else were in the catalogue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Dataset, Sequences
from bench.data.global_time import global_time
from bench.data.splits import Split, Targets, leave_one_out
from bench.evaluation.metrics import Ranks, from_scores
from bench.evaluation.warm_cold import by_group, is_warm
from bench.ids.identifiers import TokenIds
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.runs.subjects import load_baseline
from bench.training import ranking
from bench.training.ranking import evaluate, score_targets
from bench.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def split(dated: Dataset) -> Split:
    return global_time(dated, max_history=3)


@pytest.fixture(scope="module")
def warm(split: Split) -> NDArray[np.bool_]:
    return is_warm(split.train.sequences, len(split.train.items))


@pytest.fixture(scope="module")
def recommender(split: Split) -> Recommender:
    """Two digits for each item; the last ten share theirs with the first ten."""
    vocabulary, items = Vocabulary.private("0123456789abcdef"), len(split.train.items)
    codes = [vocabulary.ids(f"{item % (items - 10):02x}") for item in range(items)]
    torch.manual_seed(0)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}
    return recommender_for(TokenIds.from_lists(codes, vocabulary), T5(T5Config(vocabulary.size, **shape)))


def test_what_has_been_trained_on_is_warm(split: Split, warm: NDArray[np.bool_]) -> None:
    trained = set(split.train.sequences.values.tolist())
    assert warm.tolist() == [item in trained for item in range(len(warm))]
    assert (~warm).sum() > 20


@pytest.mark.parametrize("exclude_history", [False, True])
@pytest.mark.parametrize("decoder", ["beam", "exact"])
@pytest.mark.parametrize("kind", ["warm", "cold", "all"])
def test_every_user_is_decoded_once_and_ranks_are_those_of_the_slow_way(
    recommender: Recommender,
    split: Split,
    warm: NDArray[np.bool_],
    decoder: str,
    kind: str,
    exclude_history: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One user at a time: the items of the entries that are candidates, the user's targets last within an entry; and
    nothing that the user ever had, shown or not, where that is excluded.
    """
    monkeypatch.setattr(ranking, "users_at_once", lambda _: 5)
    candidates = {"warm": warm, "cold": ~warm, "all": np.ones(len(warm), bool)}[kind]
    targets, _ = split.test.among(candidates)
    width = len(warm) if exclude_history else 20  # a narrower beam may lose what comes behind excluded items
    decoding = Decoding(decoder, width, exclude_history=exclude_history)
    asked, groups = list[int](), recommender.ids.groups
    mask = None if kind == "all" else candidates
    ranks, _ = evaluate(recommender, targets, decoding, 20, Accelerator(), asked.append, mask)
    assert sum(asked) == len(targets) < len(targets.items)
    k = 20 if decoder == "beam" else len(warm)
    wanted, plain = (len(warm), Decoding("exact")) if exclude_history else (k, decoding)
    found = ranks.strict
    for row in range(len(targets)):
        alone = recommender.rank(targets.histories.rows(np.array([row])), wanted, plain, mask)
        mine = targets.take(np.array([row])).items.tolist()
        seen = set(targets.seen[row].tolist()) if exclude_history else set()
        kept = [item for item in np.flatnonzero(candidates).tolist() if item not in seen]
        filled = [[other for other in kept if groups[other] == groups[item]] for item in alone.items[0][alone.valid[0]]]
        listed = []
        for members in [entry for entry in filled if entry][:k]:
            listed += sorted(members, key=lambda item: item in mine)
        expected = [listed.index(item) + 1 if item in listed else np.inf for item in mine]
        assert sorted(found[targets.user_rows == row]) == sorted(expected)


@pytest.mark.parametrize("exclude_history", [False, True])
@pytest.mark.parametrize("at_once", [1, 300, 1 << 24])
def test_a_baseline_is_ranked_among_candidates_alone(
    split: Split, warm: NDArray[np.bool_], at_once: int, exclude_history: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "SCORED_AT_ONCE", at_once)
    baseline, targets = load_baseline("random")(), split.test.among(warm)[0]
    baseline.fit(split.train)
    advanced: list[int] = []
    found = score_targets(baseline, targets, len(warm), exclude_history, advanced.append, warm)
    assert sum(advanced) == len(targets)
    assert (targets.seen.lengths > targets.histories.lengths).mean() > 0.5
    for row in range(len(targets)):
        mine, seen = targets.take(np.array([row])), targets.seen[row]
        kept = [item for item in np.flatnonzero(warm) if not exclude_history or item not in seen]
        scores = baseline.score(mine.histories)[0]
        order = sorted(kept, key=lambda item: -scores[item])
        expected = [order.index(item) + 1 if item in order else np.inf for item in mine.items]
        assert found.strict[targets.user_rows == row].tolist() == expected


def none(kind: str, targets: Targets, candidates: NDArray[np.bool_]) -> tuple[Ranks, bool]:
    raise AssertionError(f"{kind} was ranked")


def test_nothing_is_ranked_again_where_all_items_are_warm(toy: Dataset) -> None:
    test = leave_one_out(toy).test
    ranks = from_scores(np.random.default_rng(0).normal(size=(40, 30)), test.items)
    found = by_group(test, np.ones(30, bool), (ranks, True), none)
    assert found["cold"] is None
    assert found["warm"] is not None
    assert found["warm"].ranks is ranks
    assert (found["warm"].items, found["warm"].positions.tolist()) == (30, list(range(40)))


def test_a_kind_of_fewer_items_than_the_largest_cutoff_is_not_measured(toy: Dataset) -> None:
    test = leave_one_out(toy).test
    ranked: list[tuple[str, int]] = []

    def rank(kind: str, targets: Targets, candidates: NDArray[np.bool_]) -> tuple[Ranks, bool]:
        ranked.append((kind, len(targets)))
        return Ranks.of_items(np.ones(len(targets.items))), True

    found = by_group(test, np.arange(30) >= 10, (Ranks.of_items(np.ones(40)), True), rank)
    assert found["cold"] is None
    assert ranked == [("warm", int((test.items >= 10).sum()))]


def test_a_kind_without_targets_is_not_measured() -> None:
    test = Targets(np.array([0]), Sequences.from_rows([[1]]), np.array([2], np.int32))
    found = by_group(
        test, np.arange(60) < 30, (Ranks.of_items(np.ones(1)), True), lambda *_: (Ranks.of_items(np.ones(1)), True)
    )
    assert found["cold"] is None
    assert found["warm"] is not None
    assert found["warm"].positions.tolist() == [0]
