"""The table of token sequences: what it holds, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme, NoSettings, Stage
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcde")  # rows 3..7
CODES = st.lists(st.lists(st.integers(3, 7), min_size=1, max_size=5), min_size=1, max_size=12)


def ids_of(codes: list[list[int]]) -> TokenIds:
    return TokenIds.from_lists(codes, VOCABULARY)


class Alphabetical(IdScheme):
    name = "alphabetical"

    def fit(self, train: TrainView) -> TokenIds:
        vocabulary = Vocabulary.private("0123456789")
        numbers = np.argsort(np.argsort(train.items.ids))
        return TokenIds.from_lists([vocabulary.ids(f"{number:05d}") for number in numbers], vocabulary)


@given(CODES)
def test_lists_come_back_as_they_were(codes: list[list[int]]) -> None:
    ids = ids_of(codes)
    assert [list(ids.code(item)) for item in range(len(ids))] == codes
    assert ids.tokens.shape == (1, len(codes), max(map(len, codes)))
    assert (ids.tokens == VOCABULARY.pad).sum() == ids.tokens.size - sum(map(len, codes))


@given(CODES)
def test_groups_are_equal_where_sequences_are(codes: list[list[int]]) -> None:
    groups = ids_of(codes).groups
    for one, code in enumerate(codes):
        assert [groups[one] == groups[other] for other in range(len(codes))] == [code == other for other in codes]


def test_a_prefix_is_not_the_same_identifier() -> None:
    assert len(set(ids_of([[3], [3, 4], [3, 4, 4]]).groups.tolist())) == 3


def test_ends_only_where_lengths_differ() -> None:
    assert ids_of([[3], [3, 4]]).appends_eos
    assert not ids_of([[3, 5], [3, 4]]).appends_eos


@given(CODES, st.data())
def test_some_items_alone_keep_their_codes_and_what_ends_them(codes: list[list[int]], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(codes) - 1))
    some = slice(start, data.draw(st.integers(start + 1, len(codes))))
    ids = ids_of(codes)
    part = ids.of_items(some)
    assert [list(part.code(item)) for item in range(len(part))] == codes[some]
    assert part.tokens.shape[2] == max(map(len, codes[some]))
    assert part.appends_eos == ids.appends_eos == (len({len(code) for code in codes}) > 1)
    assert part.only(0).appends_eos == part.appends_eos


def test_variants_have_codes_of_their_own() -> None:
    tokens = np.array([[[3, 4], [5, 0]], [[6, 0], [7, 7]]], np.int32)
    ids = TokenIds(tokens, np.array([[2, 1], [1, 2]], np.int32), VOCABULARY)
    assert [ids.code(item, variant) for variant in range(2) for item in range(2)] == [(3, 4), (5,), (6,), (7, 7)]
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [
        (np.zeros((2, 3), np.int32), np.ones(2, np.int32)),
        (np.full((1, 2, 3), 3, np.int32), np.ones((1, 3), np.int32)),
        (np.full((1, 2, 3), 3, np.int32), np.ones(2, np.int32)),
    ],
)
def test_shapes_must_agree(tokens: NDArray[np.int32], lengths: NDArray[np.int32]) -> None:
    with pytest.raises(BenchError, match=r"must be \[variants, items, length\] with lengths \[variants, items\]; got"):
        TokenIds(tokens, lengths, VOCABULARY)


@pytest.mark.parametrize("length", [0, -1, 3])
def test_an_empty_or_overlong_identifier_is_refused(length: int) -> None:
    with pytest.raises(BenchError, match="identifier of catalogue item 1 is empty or longer than its row"):
        TokenIds(np.full((1, 2, 2), 3, np.int32), np.array([[2, length]], np.int32), VOCABULARY)
    with pytest.raises(BenchError, match="catalogue item 1 is empty"):
        ids_of([[3], []])


@pytest.mark.parametrize("token", [0, 1, -1, 8])
def test_padding_end_and_strangers_inside_are_refused(token: int) -> None:
    with pytest.raises(BenchError, match=rf"token {token} in the identifier of catalogue item 1 is not usable"):
        ids_of([[3, 4, 5], [3, token, 5]])


def test_only_padding_stands_behind_an_identifier() -> None:
    """Else items with the same identifier would be told apart by what nobody reads."""
    tokens, lengths = np.array([[[3, 4, 0], [3, 4, 5]]], np.int32), np.array([[2, 2]], np.int32)
    with pytest.raises(
        BenchError,
        match=r"^token 5 stands behind the end of the identifier of catalogue item 1; only padding \(0\) may$",
    ):
        TokenIds(tokens, lengths, VOCABULARY)
    tokens[0, 1, 2] = 0
    assert TokenIds(tokens, lengths, VOCABULARY).groups.tolist() == [0, 0]


def test_one_variant_alone_is_as_wide_as_its_longest_and_ends_as_before() -> None:
    tokens = np.array([[[3, 4, 5], [5, 0, 0]], [[6, 7, 0], [7, 7, 0]]], np.int32)
    ids = TokenIds(tokens, np.array([[3, 1], [2, 2]], np.int32), VOCABULARY)
    alone = ids.only(1)
    assert alone.tokens.tolist() == [[[6, 7], [7, 7]]]
    assert alone.appends_eos is ids.appends_eos is True


def test_identifiers_of_users_are_held_to_the_same() -> None:
    ids = ids_of([[3], [4, 5]])

    def named(*rows: list[int], lengths: list[int]) -> TokenIds:
        return replace(ids, users=UserIds(np.array(rows, np.int32), np.array(lengths, np.int32)))

    found = named([3, 4], [5, 0], lengths=[2, 1])
    assert found.users is not None
    assert [found.users.code(user) for user in range(len(found.users))] == [(3, 4), (5,)]
    assert found.only(0).users is found.of_items(slice(1, 2)).users is found.users
    with pytest.raises(BenchError, match="identifier of user 1 is empty or longer than its row; every user needs one"):
        named([3, 4], [5, 0], lengths=[2, 0])
    with pytest.raises(BenchError, match="token 1 in the identifier of user 0 is not usable"):
        named([3, 1], [5, 0], lengths=[2, 1])
    with pytest.raises(BenchError, match="token 4 stands behind the end of the identifier of user 0"):
        named([3, 4], [5, 0], lengths=[1, 1])
    with pytest.raises(BenchError, match=r"tokens of users must be \[users, length\] with lengths \[users\]; got"):
        named([3, 4], lengths=[2, 1])


def view() -> TrainView:
    return TrainView("three", ItemTable(("c", "a", "b"), {}), Sequences.from_rows([[0, 1]]), seed=0)


def test_the_scheme_in_the_documentation_works() -> None:
    ids = Alphabetical().fit(view())
    assert [ids.vocabulary.decode(ids.code(item)).replace(" ", "") for item in range(3)] == ["00002", "00000", "00001"]


def test_a_scheme_trains_in_one_stage_unless_it_says_otherwise() -> None:
    scheme, train = Alphabetical(), view()
    ids = scheme.fit(train)
    assert list(scheme.stages(train, ids)) == [Stage(ids, "train", 1.0)]
    assert isinstance(scheme.settings, NoSettings)


def test_a_scheme_that_cannot_transfer_says_why() -> None:
    trained: Any = None  # is not looked at
    target = TrainView("moor", ItemTable(("a",), {}), Sequences.from_rows([]), 0)
    with pytest.raises(BenchError) as caught:
        Alphabetical().transfer(trained, target, Path())
    assert str(caught.value) == (
        "alphabetical cannot name the items of 'moor': its identifiers are private to the catalogue that they were "
        "made for"
    )


def test_a_scheme_without_fit_is_no_scheme() -> None:
    unfinished: Callable[[], IdScheme] = type("Unfinished", (IdScheme,), {"name": "unfinished"})
    with pytest.raises(TypeError, match="fit"):
        unfinished()


@pytest.mark.parametrize("wrong", ["34", [3.0, 4.0], ["a", "b"]])
def test_tokens_that_are_no_whole_numbers_are_refused(wrong: Any) -> None:
    """As numbers a text of digits is one token for each digit, and 3.7 is 3."""
    with pytest.raises(
        BenchError, match=r"tokens are whole numbers, as Vocabulary\.ids gives them: '\w+' object cannot"
    ):
        TokenIds.from_lists([[3], wrong], VOCABULARY)
    given = [np.array([3, 4], np.int64), [np.int32(3)], (5,)]
    assert [TokenIds.from_lists(given, VOCABULARY).code(item) for item in range(3)] == [(3, 4), (3,), (5,)]
