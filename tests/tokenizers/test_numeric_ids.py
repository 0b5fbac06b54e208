"""Numbering: which number an item gets, and that it tells nothing about what is seen out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from numeric_ids import Numeric, P5Leak, P5Settings, Random, Sequential, SequentialSettings
from numpy.typing import NDArray
from tokenizers import models, pre_tokenizers

from bench.data.dataset import Dataset, ItemTable, LeakedView, Sequences, TrainView
from bench.data.splits import Split, leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.vocabulary import Vocabulary

CATALOGUE = 15
ROWS = st.lists(st.lists(st.integers(0, CATALOGUE - 1), max_size=6), min_size=1, max_size=6)


def view(rows: list[list[int]], seed: int = 0, items: int = CATALOGUE) -> TrainView:
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {})
    return TrainView("lists", table, Sequences.from_rows(rows), seed)


def numbers(ids: TokenIds) -> NDArray[np.int64]:
    texts = ["".join(ids.vocabulary.decode(ids.code(item)).split()) for item in range(len(ids))]
    return np.array([int(text) for text in texts])


@given(ROWS, st.integers(0, 5))
def test_sequential_numbers_follow_first_appearance(rows: list[list[int]], seed: int) -> None:
    oracle: dict[int, int] = {}
    for row in rows:
        for item in row:
            oracle.setdefault(item, 1001 + len(oracle))
    found = numbers(Sequential().fit(view(rows, seed)))
    assert {item: found[item] for item in oracle} == oracle
    assert sorted(found) == list(range(1001, 1001 + CATALOGUE))


def test_items_unseen_in_training_come_last_in_an_order_that_the_seed_draws() -> None:
    found = [numbers(Sequential().fit(view([[2, 0], [1]], seed, items=300))) for seed in range(3)]
    for one in found:
        assert one[:3].tolist() == [1002, 1003, 1001]
        follows = np.diff(one[3:]) == 1  # in catalogue order, all would
        assert follows.mean() < 0.05
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], numbers(Sequential().fit(view([[2, 0], [1]], 0, items=300))))


def walked(rows: list[list[int]], order: str, seed: int = 0) -> list[int]:
    """The items of ``rows`` in the order of their numbers."""
    found = numbers(Sequential(SequentialSettings(order=order)).fit(view(rows, seed)))  # type: ignore[arg-type]
    return np.argsort(found)[: len({item for row in rows for item in row})].tolist()  # type: ignore[no-any-return]


def test_users_are_walked_in_the_order_asked_for() -> None:
    rows = [[3, 1], [0, 3, 2], [5], [4, 5]]
    assert walked(rows, "original") == [3, 1, 0, 2, 5, 4]
    assert walked(rows, "short-to-long") == [5, 3, 1, 4, 0, 2]
    assert walked(rows, "long-to-short") == [0, 3, 2, 1, 4, 5]
    users = [[item] for item in range(CATALOGUE)]
    drawn = [walked(users, "random", seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == list(range(CATALOGUE)) != drawn[0]


@given(st.integers(0, 1000))
def test_random_numbers_are_a_permutation_that_training_does_not_touch(seed: int) -> None:
    found = numbers(Random().fit(view([[0, 1, 2]], seed)))
    assert sorted(found) == list(range(1001, 1001 + CATALOGUE))
    assert np.array_equal(found, numbers(Random().fit(view([[9], [3, 3]], seed))))


@pytest.mark.parametrize("scheme", [Random, Sequential])
def test_the_first_number_is_a_setting(scheme: type[Numeric]) -> None:
    assert sorted(numbers(scheme(scheme.Settings(first=0)).fit(view([[0]])))) == list(range(CATALOGUE))
    with pytest.raises(BenchError, match="'first' must be 0 or more; got -1"):
        scheme.Settings(first=-1)


def test_from_scratch_a_token_is_a_digit() -> None:
    ids = Sequential().fit(view([list(range(12))]))
    assert ids.vocabulary.size == 3 + 10 + 1
    assert ids.code(11) == tuple(ids.vocabulary.ids("1012"))
    assert not ids.vocabulary.language_model


def test_a_language_model_reads_the_number_as_text(t5: Vocabulary) -> None:
    ids = Sequential().fit(replace(view([list(range(CATALOGUE))]), language=t5))
    assert ids.vocabulary is t5
    assert list(ids.code(4)) == t5.encode("1005")
    assert numbers(ids).tolist() == list(range(1001, 1001 + CATALOGUE))


def test_numbers_in_a_vocabulary_of_bytes_stand_behind_a_space(qwen: Path) -> None:
    language = Vocabulary.of_language_model(qwen, 700, starts_with_pad=False)
    ids = Sequential().fit(replace(view([list(range(CATALOGUE))]), language=language))
    tokenizer = tokenizers.Tokenizer.from_file(str(qwen / "tokenizer.json"))
    assert [list(ids.code(item)) for item in range(CATALOGUE)] == [
        tokenizer.encode(f" {1001 + item}").ids for item in range(CATALOGUE)
    ]
    assert [ids.vocabulary.decode(ids.code(item)) for item in (0, 4)] == ["1001", "1005"]


def test_a_vocabulary_that_lacks_digits_is_refused() -> None:
    table = {token: row for row, token in enumerate(["<pad>", "</s>", "<unk>", "1", "0"])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(table, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    binary = Vocabulary(tokenizer, len(table), pad=0, eos=1, unk=2, language_model=True)
    # 1001, 1010 and 1011 are all it can write
    with pytest.raises(
        BenchError, match=r"can't tell 12 of 15 numbers apart; .* all ten digits, or a backbone from scratch"
    ):
        Random().fit(replace(view([[0]]), language=binary))


def next_number_hits(found: NDArray[np.int64], split: Split) -> float:
    """How often the test item is numbered right after the newest item of the test history."""
    newest = split.test.histories.values[split.test.histories.offsets[1:] - 1]
    return float((found[newest] + 1 == found[split.test.items]).mean())


@pytest.mark.parametrize("order", ["original", "random", "short-to-long", "long-to-short"])
def test_counting_on_predicts_the_test_item_of_real_toys_only_where_numbers_leak(toys: Dataset, order: str) -> None:
    split = leave_one_out(toys)
    leaked = P5Leak(P5Settings(order=order)).fit(LeakedView.of(split.train, toys))  # type: ignore[arg-type]
    honest = Sequential(SequentialSettings(order=order)).fit(split.train)  # type: ignore[arg-type]
    assert next_number_hits(numbers(leaked), split) > 0.015
    assert next_number_hits(numbers(honest), split) < 0.01  # bought together in training too


def test_p5_numbers_whole_sequences_from_one() -> None:
    rows = [[4, 2, 0, 6], [2, 5, 1, 3]]
    whole = LeakedView("lists", view([]).items, Sequences.from_rows(rows), seed=0)
    found = numbers(P5Leak(P5Settings(order="original")).fit(whole))
    assert found[[4, 2, 0, 6, 5, 1, 3]].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert P5Leak.leaks
    assert not Sequential.leaks
    orders = {tuple(numbers(P5Leak().fit(replace(whole, seed=seed)))) for seed in range(6)}
    assert len({order[:7] for order in orders}) == 2  # either user may be walked first


def test_two_new_items_of_one_user_are_no_neighbors() -> None:
    users = 400  # each with two held-out items that nobody trained on
    rows = [[user % 7, 7 + 2 * user, 8 + 2 * user] for user in range(users)]
    items = ItemTable(tuple(f"i{item}" for item in range(7 + 2 * users)), {})
    dataset = Dataset("new", tuple(map(str, range(users))), items, Sequences.from_rows(rows), np.zeros(3 * users))
    split = leave_one_out(dataset)
    assert next_number_hits(numbers(Sequential().fit(split.train)), split) < 0.02
