"""Batches change nothing: ranks are those of one user after the other, in the order of the targets, on any device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.splits import Split, Targets, leave_one_out
from bench.errors import BenchError
from bench.evaluation import metrics
from bench.evaluation.baseline import Baseline
from bench.evaluation.metrics import Ranks, from_scores
from bench.ids.identifiers import TokenIds
from bench.model import beam, sequence
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.runs.subjects import load_baseline
from bench.training import ranking
from bench.training.ranking import check_cutoff, evaluate, score_targets, users_at_once
from bench.vocabulary import Vocabulary

WORDS = "abcdefgh"


@pytest.fixture(scope="module")
def split(toy: Dataset) -> Split:
    """Shown are three items of three to seven."""
    return leave_one_out(toy, max_history=3)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    """Identifiers of one to three tokens; items 28 and 29 share theirs with items 0 and 1."""
    vocabulary = Vocabulary.private(WORDS)
    random = np.random.default_rng(0)
    codes: list[str] = []
    while len(codes) < 28:
        code = "".join(random.choice(list(WORDS), random.integers(1, 4)))
        codes += [code] if code not in codes else []
    ids = TokenIds.from_lists([vocabulary.ids(code) for code in [*codes, *codes[:2]]], vocabulary)
    torch.manual_seed(0)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}
    return recommender_for(ids, T5(T5Config(vocabulary.size, **shape)))


def had(toy: Dataset, targets: Targets) -> list[set[int]]:
    """All of each user's items but the one that is asked for."""
    return [set(toy.sequences[user][:-1].tolist()) for user in targets.users]


def one_by_one(
    recommender: Recommender, targets: Targets, decoding: Decoding, k: int, excluded: list[set[int]]
) -> Ranks:
    """The slow way: every user alone, and a walk down the list of entries, or of all that hold anything else than
    what is excluded.
    """
    groups = recommender.ids.groups
    code_rank, better, sizes = [], [], []
    plain, wanted = replace(decoding, exclude_history=False), k
    if decoding.exclude_history:
        plain, wanted = Decoding("exact"), len(set(groups))
    for user, target in enumerate(targets.items):
        found = recommender.eval().rank(targets.histories.rows(np.array([user])), wanted, plain)
        kept = [item for item in range(len(groups)) if item not in excluded[user]]
        listed = [[item for item in kept if groups[item] == groups[shown]] for shown in found.items[0][found.valid[0]]]
        listed = [entry for entry in listed if entry][:k]
        position = next((at for at, entry in enumerate(listed) if target in entry), None)
        code_rank.append(np.inf if position is None else position + 1)
        better.append(0 if position is None else sum(map(len, listed[:position])))
        sizes.append(sum(groups[item] == groups[target] for item in {*kept, target}))
    return Ranks(np.array(code_rank, float), np.array(better), np.array(sizes))


def assert_equal(found: Ranks, expected: Ranks) -> None:
    np.testing.assert_array_equal(found.code_rank, expected.code_rank)
    np.testing.assert_array_equal(found.better, expected.better)
    np.testing.assert_array_equal(found.group_size, expected.group_size)


@pytest.mark.parametrize("users", [3, 16, 1000])
@pytest.mark.parametrize(
    ("decoding", "k"),
    [
        (Decoding("beam", width=20), 20),
        (Decoding("beam", width=5), 5),
        (Decoding("beam", width=30, exclude_history=True), 20),
        (Decoding("exact"), 20),
        (Decoding("exact", exclude_history=True), 20),
    ],
)
def test_ranks_are_those_of_one_user_after_the_other(
    recommender: Recommender,
    toy: Dataset,
    split: Split,
    decoding: Decoding,
    k: int,
    users: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "users_at_once", lambda _: users)
    advanced: list[int] = []
    ranks, complete = evaluate(recommender, split.test, decoding, k, Accelerator(), advanced.append)
    everything = 28 if decoding.decoder == "exact" else k
    excluded = had(toy, split.test) if decoding.exclude_history else [set[int]()] * 40
    assert_equal(ranks, one_by_one(recommender, split.test, decoding, everything, excluded))
    if decoding.exclude_history:  # what is no longer shown is nobody's for the taking
        shown = [set(split.test.histories[row].tolist()) for row in range(40)]
        less = one_by_one(recommender, split.test, decoding, everything, shown)
        assert (ranks.strict < less.strict).sum() > 10
    assert complete == (decoding.decoder == "exact")
    assert np.isfinite(ranks.strict).any()
    if decoding.decoder == "exact" and not decoding.exclude_history:
        assert np.isfinite(ranks.strict).all()
    assert sum(advanced) == len(split.test)
    assert max(advanced) <= users


def test_ranks_follow_their_targets(recommender: Recommender, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are sorted by length on the way; whatever order they come in, theirs are the ranks."""
    monkeypatch.setattr(ranking, "users_at_once", lambda _: 7)
    order = np.random.default_rng(1).permutation(len(split.test))
    straight, _ = evaluate(recommender, split.test, Decoding("exact"), 20, Accelerator())
    shuffled, _ = evaluate(recommender, split.test.take(order), Decoding("exact"), 20, Accelerator())
    assert_equal(shuffled, straight.take(order))
    assert len(set(straight.strict)) > 5


def test_dropout_is_off_while_ranking(recommender: Recommender, split: Split) -> None:
    recommender.train()
    first, second = (evaluate(recommender, split.test, Decoding("exact"), 20, Accelerator())[0] for _ in range(2))
    assert_equal(first, second)
    assert not recommender.training


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize(("scores", "pairs"), [(1, 1), (30 * 3, 28 * 7), (30 * 7, 28)])
def test_whole_catalogues_are_ranked_alike_in_parts(
    recommender: Recommender, split: Split, exclude: bool, scores: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding, advanced = Decoding("exact", exclude_history=exclude), list[int]()
    whole, _ = evaluate(recommender, split.test, decoding, 20, Accelerator())
    monkeypatch.setattr(ranking, "SCORED_AT_ONCE", scores)
    monkeypatch.setattr(metrics, "PAIRS_AT_ONCE", pairs)
    parts, complete = evaluate(recommender, split.test, decoding, 20, Accelerator(), advanced.append)
    assert complete
    assert max(advanced) == max(1, scores // 30)
    for name in ("code_rank", "better", "group_size"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize(
    ("decoder", "at_once", "users"), [("beam", 11 * 20 * 3, 3), ("beam", 1, 1), ("certified", 999, 2), ("exact", 99, 3)]
)
def test_very_many_tokens_are_scored_in_parts_and_ranked_alike(
    recommender: Recommender,
    split: Split,
    decoder: str,
    at_once: int,
    users: int,
    exclude: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where each prefix that is decoded has a score of as many tokens as there are items, all are bounded alike."""
    decoding, advanced, logits = Decoding(decoder, exclude_history=exclude), list[int](), list[int]()
    whole, _ = evaluate(recommender, split.test, decoding, 20, Accelerator())
    scored = T5.logits

    def counted(self: T5, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        found = scored(self, hidden, rows)
        logits.append(found.numel())
        return found

    monkeypatch.setattr(T5, "logits", counted)
    monkeypatch.setattr(sequence, "MANY", recommender.ids.vocabulary.size - 1)
    for module in (ranking, beam):
        monkeypatch.setattr(module, "SCORED_AT_ONCE", at_once)
    parts, _ = evaluate(recommender, split.test, decoding, 20, Accelerator(), advanced.append)
    assert max(advanced) == users
    assert max(logits) <= max(at_once, recommender.ids.vocabulary.size * (1 if decoder == "exact" else 20))
    assert_equal(parts, whole)


def test_users_of_a_beam_are_fewer_only_with_very_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for each of a million items: 64 users had 256 MB of scores at the root, and several copies."""

    def users(items: int, decoder: str = "beam") -> int:
        ids = TokenIds(
            np.arange(3, items + 3, dtype=np.int32)[None, :, None],
            np.ones((1, items), np.int32),
            Vocabulary.private(map(str, range(items))),
        )
        shape = {"d_model": 64, "d_kv": 1, "d_ff": 1, "heads": 1, "layers": 0, "decoder_layers": 0}
        model = recommender_for(ids, T5(T5Config(ids.vocabulary.size, **shape)))
        return ranking.users_of(model, Decoding(decoder), 20)

    assert users(1000) == 64
    monkeypatch.setattr(sequence, "MANY", 1000)
    monkeypatch.setattr(ranking, "SCORED_AT_ONCE", 16_000)
    assert [users(994, decoder) for decoder in ("beam", "certified", "exact")] == [64, 64, 16]
    assert [users(1990, decoder) for decoder in ("beam", "certified", "exact")] == [8, 8, 8]


def test_many_targets_of_a_user_are_ranked_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    scores, targets = random.integers(0, 9, (2, 30)).astype(np.float32), random.integers(0, 30, 50).astype(np.int32)
    rows, excluded = np.repeat([0, 1], 25), random.random((2, 30)) < 0.2
    whole = [from_scores(scores, targets, hidden, rows) for hidden in (None, excluded)]
    monkeypatch.setattr(metrics, "PAIRS_AT_ONCE", 90)
    for hidden, expected in zip((None, excluded), whole, strict=True):
        found = from_scores(scores, targets, hidden, rows)
        assert_equal(found, expected)
        ahead = (scores[rows] >= scores[rows, targets][:, None]) & (True if hidden is None else ~hidden[rows])
        lost = np.zeros(50, bool) if hidden is None else hidden[rows, targets]
        np.testing.assert_array_equal(found.code_rank, np.where(lost, np.inf, ahead.sum(1)))


def test_wide_models_get_fewer_users_at_once(recommender: Recommender) -> None:
    wide = T5(T5Config(8, d_model=4096, d_kv=1, d_ff=1, heads=1, layers=0, decoder_layers=0))
    assert users_at_once(recommender) == 256
    assert users_at_once(recommender_for(recommender.ids, wide)) == 4


def test_a_cutoff_beyond_the_catalogue_is_refused(recommender: Recommender, split: Split) -> None:
    with pytest.raises(BenchError, match=r"at least 31 items are needed for .* hit@31; the catalogue has only 30$"):
        evaluate(recommender, split.test, Decoding("beam"), 31, Accelerator())
    check_cutoff(30, 30)


# -- baselines --------------------------------------------------------------------------------------------------------


class Closeness(Baseline):
    """Scores that depend on the history and tie."""

    name = "closeness"

    def fit(self, train: TrainView) -> None:
        self.items = len(train.items)

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        last = histories.values[histories.offsets[1:] - 1]
        return -np.abs(np.arange(self.items) - last[:, None]).astype(np.float32)


@pytest.mark.parametrize("exclude_history", [False, True])
@pytest.mark.parametrize("at_once", [1, 100, 1 << 24])
@pytest.mark.parametrize("baseline", [Closeness(), load_baseline("pop")(), load_baseline("random")()])
def test_batches_of_scores_are_all_scores_at_once(
    toy: Dataset,
    split: Split,
    baseline: Baseline,
    at_once: int,
    exclude_history: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "SCORED_AT_ONCE", at_once)
    baseline.fit(split.train)
    excluded = None
    if exclude_history:
        excluded = np.array([[item in seen for item in range(30)] for seen in had(toy, split.test)])
    advanced: list[int] = []
    found = score_targets(baseline, split.test, 30, exclude_history, advanced.append)
    assert_equal(found, from_scores(baseline.score(split.test.histories), split.test.items, excluded))
    assert sum(advanced) == len(split.test)
    assert max(advanced) == min(max(1, at_once // 30), 40)


def test_an_item_of_the_history_takes_no_place() -> None:
    """The target scores less than one item of the history and one other: third, and second without the history."""
    targets = Targets(np.array([0]), Sequences.from_rows([[4]]), np.array([2], np.int32))

    class Given(Closeness):
        def score(self, histories: Sequences) -> NDArray[np.float32]:
            return np.array([[0, 0, 5, 6, 7]], np.float32)

    assert score_targets(Given(), targets, 5, exclude_history=False).strict.tolist() == [3]
    assert score_targets(Given(), targets, 5, exclude_history=True).strict.tolist() == [2]


def test_an_item_that_is_no_longer_shown_takes_no_place_either() -> None:
    """Items 4 and 3 score best, and the user has both, but is shown with item 3 alone."""
    targets = Targets(np.array([0]), Sequences.from_rows([[4, 3]]), np.array([2], np.int32), max_history=1)
    shown: list[list[int]] = []

    class Given(Closeness):
        def score(self, histories: Sequences) -> NDArray[np.float32]:
            shown.append(histories[0].tolist())
            return np.array([[0, 0, 5, 6, 7]], np.float32)

    assert score_targets(Given(), targets, 5, exclude_history=True).strict.tolist() == [1]
    assert shown == [[3]]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros(5, np.float32), r"must return \[histories, items\], here \[1, 5\]; got \[5\]"),
        (np.zeros((1, 6), np.float32), r"here \[1, 5\]; got \[1, 6\]"),  # a column for padding: items are shifted
        (np.zeros((1, 4), np.float32), r"here \[1, 5\]; got \[1, 4\]"),  # the target has a score, the last item none
        (np.zeros((2, 5), np.float32), r"here \[1, 5\]; got \[2, 5\]"),
        (np.full((1, 5), "0"), "must return an array of numbers; got ndarray of <U1"),
        (None, "must return an array of numbers; got NoneType"),
    ],
)
def test_scores_that_are_not_of_every_item_are_refused(scores: Any, said: str) -> None:
    targets = Targets(np.array([0]), Sequences.from_rows([[4]]), np.array([2], np.int32))

    class Given(Closeness):
        def score(self, histories: Sequences) -> NDArray[np.float32]:
            return scores  # type: ignore[no-any-return]

    with pytest.raises(BenchError, match=f"score of {Given.name} {said}" if said.startswith("must") else said):
        score_targets(Given(), targets, 5, exclude_history=False)


def test_scores_may_be_whatever_is_an_array_of_numbers() -> None:
    targets = Targets(np.array([0]), Sequences.from_rows([[4]]), np.array([2], np.int32))
    for scores in ([[0, 0, 5, 6, 7]], torch.tensor([[0, 0, 5, 6, 7.0]]), np.array([[0, 0, 5, 6, 7]], np.int8)):

        class Given(Closeness):
            def score(self, histories: Sequences, scores: Any = scores) -> Any:
                return scores

        assert score_targets(Given(), targets, 5, exclude_history=False).strict.tolist() == [3]
