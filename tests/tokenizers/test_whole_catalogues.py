"""What schemes make of a whole catalogue at once is what its items get one after the other."""

from __future__ import annotations

import importlib
import sys
import unicodedata
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric_ids import (
    Category,
    CategoryIndependent,
    Collaborative,
    CollaborativeIndependent,
    CollaborativeSettings,
    Independent,
    Random,
)
from numeric_ids.clustering import filled, packed
from textual_ids import Settings, Title
from textual_ids.naming import codes_of_all, unique_codes
from textual_ids.words import split

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.vocabulary import Vocabulary

sys.path.append(str(Path(__file__).parent))
slow: Any = importlib.import_module("item_by_item")

CATEGORIES = st.sampled_from(["", " ", "A", "B", "A, A", "A, B", " A,B", "B, A", "A, B, C", "C", " , ", "#0", "A, #1"])
TITLES = st.text("abcé 1²&;ﬁ本!", min_size=1, max_size=12).map("x".__add__)
WORDS = Vocabulary.private([*"abcd", *map(str, range(1, 60))])  # a token is a word
CHOICES = st.lists(st.lists(st.text("abcd23", min_size=1, max_size=3).map(" ".join), max_size=4), max_size=30)
PATHS = Category, CategoryIndependent, Collaborative, CollaborativeIndependent, Independent


def view(text: dict[str, list[str]], rows: list[list[int]], seed: int = 0) -> TrainView:
    count = len(next(iter(text.values())))
    items = ItemTable(tuple(f"i{item}" for item in range(count)), {name: tuple(texts) for name, texts in text.items()})
    return TrainView("made", items, Sequences.from_rows(rows), seed)


def codes(ids: TokenIds) -> list[tuple[int, ...]]:
    return [ids.code(item) for item in range(len(ids))]


def require_placed_alike(scheme: Any, train: TrainView) -> None:
    ids, kind, plan = scheme.fit(train), type(scheme), scheme.settings
    if issubclass(kind, Independent):
        paths = [()] * len(train.items)
    elif issubclass(kind, Category):
        paths = slow.category_paths(train.items)
    else:
        paths = slow.cluster_paths(train, plan.clusters, plan.leaf, plan.unseen == "spread")
    expected, vocabulary = slow.placed(paths, train, kind.own_token)
    assert codes(ids) == expected
    assert ids.vocabulary.fingerprint == vocabulary.fingerprint


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(CATEGORIES, min_size=1, max_size=25),
    rows=st.lists(st.lists(st.integers(0, 24), max_size=5), min_size=1, max_size=15),
    unseen=st.sampled_from(["branch", "spread"]),
    leaf=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_paths_and_their_tokens(
    texts: list[str], rows: list[list[int]], unseen: Literal["branch", "spread"], leaf: int, seed: int
) -> None:
    inside = [[item for item in row if item < len(texts)] for row in rows]
    train, plan = view({"categories": texts}, inside, seed), CollaborativeSettings(3, leaf, unseen)
    for scheme in (Collaborative(plan), CollaborativeIndependent(plan), Independent()):
        require_placed_alike(scheme, train)
    if any(text.strip() for text in texts):
        require_placed_alike(Category(), train)
        require_placed_alike(CategoryIndependent(), train)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 6))
def test_pieces_go_where_one_after_the_other_puts_them(sizes: list[int], parts: int) -> None:
    assert packed(np.array(sizes), parts).tolist() == slow.packed(sizes, parts)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 7), st.integers(0, 60))
def test_each_thing_goes_to_the_smallest_load(loads: list[int], size: int, count: int) -> None:
    expected, left = [], list(loads)
    for _ in range(count):
        expected.append(left.index(min(left)))
        left[expected[-1]] += size
    assert filled(np.array(loads), size, count).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_numbers_are_written_as_python_writes_them(first: int, items: int) -> None:
    train = view({"title": ["a"] * items}, [[0]])
    found = Random(Random.Settings(first=first)).fit(train)
    numbers = np.empty(items, np.int64)
    numbers[train.random().permutation(items)] = np.arange(items) + first
    assert codes(found) == [tuple(found.vocabulary.ids(str(number))) for number in numbers.tolist()]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TITLES, min_size=1, max_size=20),
    kinds=st.lists(TITLES, min_size=20, max_size=20),
    words=st.integers(1, 4),
    order=st.sampled_from(["salient", "frequent", "title"]),
    shared=st.integers(1, 3),
)
def test_names_of_made_up_titles(
    texts: list[str], kinds: list[str], words: int, order: Literal["salient", "frequent", "title"], shared: int
) -> None:
    train = view({"title": texts, "kind": kinds[: len(texts)]}, [[0]])
    plan = Settings(words, order, shared)
    found = Title(plan).fit(train)
    assert codes(found) == slow.titles(train.items, plan, None)
    for pieces in (0, 1, 2):  # in a vocabulary that was made for a part of them
        part = Title(plan).fit(view({"title": texts[:1]}, [[0]])).vocabulary
        expected = slow.titles(train.items, plan, part, pieces)
        with suppress(BenchError):  # where too few titles have a word that this part of them has
            assert codes(Title(plan).named(train.items, part, found.template, pieces)) == expected


@given(CHOICES)
def test_names_are_taken_as_one_item_after_the_other_takes_them(choices: list[list[str]]) -> None:
    def names(items: Any, which: Any) -> list[str]:
        return [choices[item][at] if choices[item] else "" for item, at in zip(items, which, strict=True)]

    found = codes_of_all(names, np.array([len(texts) for texts in choices], np.int64), WORDS)
    assert list(map(list, found)) == unique_codes(choices, WORDS)


@given(st.text())
def test_what_is_no_letter_mark_or_digit_separates_words(text: str) -> None:
    def runs(text: str) -> str:
        return "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text)

    plain = text.replace("&", " ")  # html entities are read first
    lower = unicodedata.normalize("NFKC", runs(plain)).lower()
    assert split(plain) == runs(unicodedata.normalize("NFKC", lower)).split()


@pytest.mark.parametrize("language", [False, True])
@pytest.mark.parametrize("order", ["salient", "frequent", "title"])
def test_names_of_films(movies: Dataset, t5: Vocabulary, language: bool, order: Any) -> None:
    train, plan = leave_one_out(movies).train, Settings(order=order)
    vocabulary = t5 if language else None
    found = Title(plan).fit(replace(train, language=vocabulary))
    assert codes(found) == slow.titles(train.items, plan, vocabulary)


@pytest.mark.parametrize("kind", PATHS, ids=lambda kind: kind.name)
def test_places_of_films(movies: Dataset, kind: Any) -> None:
    require_placed_alike(kind(), leave_one_out(movies).train)


@pytest.mark.parametrize("kind", PATHS, ids=lambda kind: kind.name)
def test_places_of_toys(toys: Dataset, kind: Any) -> None:
    require_placed_alike(kind(), leave_one_out(toys).train)


@pytest.mark.parametrize("language", [False, True])
def test_names_of_toys(toys: Dataset, t5: Vocabulary, language: bool) -> None:
    train, vocabulary = leave_one_out(toys).train, t5 if language else None
    found = Title().fit(replace(train, language=vocabulary))
    assert codes(found) == slow.titles(train.items, Settings(), vocabulary)
