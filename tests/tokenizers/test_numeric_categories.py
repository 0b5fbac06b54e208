"""Category paths: which column, which names, and what is done where there are none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numeric_ids import Category, CategoryIndependent, CategorySettings, Independent, categories

from bench.data import sources
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds

SHOP = ("Shop, Toys, Cars", "Shop, Toys", "Shop, Toys, Cars", "Shop", "", "Shop, Cars,, Big  Cars ", "Shop,Toys,Cars")
NAMES = st.sampled_from(["", "A", "B", "A, A", "A, B", "B, A", "A, B, C", "C", " , ", "#0", "A, #1", "?"])


def table(texts: tuple[str, ...], column: str = "categories") -> ItemTable:
    return ItemTable(tuple(f"i{item}" for item in range(len(texts))), {"title": texts, column: texts})


def view(texts: tuple[str, ...], column: str = "categories", seed: int = 0) -> TrainView:
    return TrainView("shop", table(texts, column), Sequences.from_rows([[0]]), seed)


def category_paths(items: ItemTable, column: str | None, separator: str) -> list[tuple[str, ...]]:
    """Each item's path."""
    paths, path_of = categories.category_paths(items, column, separator)
    return [paths[path] for path in path_of]


def words(ids: TokenIds) -> list[list[str]]:
    return [[ids.vocabulary.decode([token]) for token in ids.code(item)] for item in range(len(ids))]


def test_names_below_the_root_and_a_count() -> None:
    found = words(Category().fit(view(SHOP * 2)))
    paths = [word[:-1] for word in found]
    cars = ["[Toys]", "[Cars]"]
    assert paths[:7] == [cars, ["[Toys]"], cars, [], ["[]"], ["[Cars]", "[Big Cars]"], cars]
    for path, count in Counter(map(tuple, paths)).items():
        ends = [word[-1] for word in found if tuple(word[:-1]) == path]
        assert sorted(ends) == [f"#{number}" for number in range(count)]


@given(st.lists(NAMES, min_size=1, max_size=20), st.integers(0, 3))
def test_no_two_items_share_tokens(texts: list[str], seed: int) -> None:
    if not any(text.strip() for text in texts):
        return
    for scheme in (Category(), CategoryIndependent()):
        ids = scheme.fit(view(tuple(texts), seed=seed))
        codes = {ids.code(item) for item in range(len(ids))}
        assert len(codes) == len(ids) == len(texts)
        assert not any(code == other[: len(code)] for code in codes for other in codes if code != other)


def test_the_order_in_a_category_is_drawn_and_not_the_catalogues() -> None:
    found = [[int(word[-1][1:]) for word in words(Category().fit(view(("A, B",) * 300, seed=seed)))] for seed in (0, 1)]
    assert found[0] != found[1]
    assert (np.diff(found[0]) == 1).mean() < 0.05  # in catalogue order, all would follow


def test_one_item_per_category_and_one_category_for_all() -> None:
    assert words(Category().fit(view(tuple("ABC")))) == [["[A]", "#0"], ["[B]", "#0"], ["[C]", "#0"]]
    assert sorted(words(Category().fit(view(("A",) * 3)))) == [["#0"], ["#1"], ["#2"]]


def test_the_root_is_left_out_where_nearly_all_have_it() -> None:
    most = ("Shop, All, A", "Shop, All, B") * 10
    below = [("A",), ("B",)] * 10
    assert category_paths(table((*most, "Other, A")), None, "auto") == [*below, ("Other", "A")]
    assert category_paths(table((*most, "Shop")), None, "auto") == [*below, ("Shop",)]  # the root is "Shop, All"
    half = ("Shop, A",) * 5 + ("Other, A",) * 5
    assert category_paths(table(half), None, "auto") == [("Shop", "A")] * 5 + [("Other", "A")] * 5


def test_a_name_has_one_token_wherever_it_stands() -> None:
    ids = Category().fit(view(("A, B", "B, A")))
    assert set(ids.code(0)[:2]) == set(ids.code(1)[:2])
    assert ids.code(0)[:2] != ids.code(1)[:2]


@pytest.mark.parametrize(
    ("separator", "text", "names"),
    [
        ("auto", "Drama, War", ("Drama", "War")),
        ("auto", "Drama War", ("Drama", "War")),
        ("auto", "Board Games", ("Board", "Games")),
        ("comma", "Board Games", ("Board Games",)),
        ("comma", "Drama War", ("Drama War",)),
        ("space", "Drama, War", ("Drama,", "War")),
        ("whole", "Drama, War", ("Drama, War",)),
    ],
)
def test_what_separates_names_is_a_setting(separator: str, text: str, names: tuple[str, ...]) -> None:
    assert category_paths(table((text, "Comedy")), None, separator) == [names, ("Comedy",)]


def test_a_column_is_found_by_its_usual_name_or_named() -> None:
    assert words(Category().fit(view(("A", "B"), "genre")))[1] == ["[B]", "#0"]
    assert words(Category(CategorySettings(column="title")).fit(view(("A", "B"))))[1] == ["[B]", "#0"]


def test_without_a_column_the_error_names_those_there_are() -> None:
    with pytest.raises(BenchError, match=r"asked for categories or .* or genre, the item table has title, brand; name"):
        Category().fit(view(("A", "B"), "brand"))
    with pytest.raises(BenchError, match="asked for kind, the item table has title, categories; name"):
        Category(CategorySettings(column="kind")).fit(view(("A", "B")))
    with pytest.raises(BenchError, match="the item table has no text columns"):
        Category().fit(TrainView("bare", ItemTable(("a", "b"), {}), Sequences.from_rows([[0]]), 0))


def test_an_empty_column_is_an_error_of_its_own() -> None:
    with pytest.raises(BenchError, match="column 'categories' of the item table is empty for all 2 items"):
        Category().fit(view(("", "  ")))


def test_a_token_of_its_own_ends_the_hybrid_and_is_all_of_the_independent() -> None:
    assert words(CategoryIndependent().fit(view(SHOP)))[5] == ["[Cars]", "[Big Cars]", "@5"]
    ids = Independent().fit(view(SHOP))
    assert words(ids) == [[f"@{item}"] for item in range(7)]
    assert not ids.appends_eos


def test_genres_of_movielens_are_paths() -> None:
    movies = sources.find("ml-100k")
    found = category_paths(movies.items, None, "auto")
    assert found[0] == ("Animation", "Children's", "Comedy")
    assert max(map(len, found)) == 6


def test_real_toys_lose_their_root(toys: Dataset) -> None:
    found = category_paths(toys.items, None, "auto")
    names = Counter(name for path in found for name in path)
    assert names["Toys & Games"] < 10
    assert ("Puzzles", "Jigsaw Puzzles") in found
    assert len(Category().fit(leave_one_out(toys).train)) == 11_924
