"""Names given in batches are those of the sequential algorithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from textual_ids.assigning import assign, levels
from textual_ids.diverse import Search
from textual_ids.generator import Writer
from textual_ids.idgenrec import numbered

from bench.vocabulary import Vocabulary

LETTERS = Vocabulary.private([*"abc", *map(str, range(1, 60))])
LEVELS = levels(1, 2)[:3]
NAMES = st.lists(st.text("abcd", min_size=1, max_size=2).map(" ".join), max_size=2)  # no token is called d


def test_penalties_rise_before_lengths_do() -> None:
    found = [(search.penalty, search.shortest, search.max_length) for search in levels(2, 10)]
    assert found[:3] == [(1, 1, 11), (2, 1, 11), (3, 1, 11)]
    assert found[8:11] == [(9, 1, 11), (1, 11, 21), (2, 11, 21)]
    assert len(found) == 18


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.lists(NAMES, min_size=3, max_size=3), min_size=4))
def test_batches_give_what_one_after_the_other_gives(
    oracle: SimpleNamespace, texts: list[int], table: list[list[list[str]]]
) -> None:
    def candidates(rows: Sequence[int], search: Search) -> list[list[str]]:
        assert len(set(rows)) == len(rows)
        return [table[row][LEVELS.index(search)] for row in rows]

    taken: set[tuple[int, ...]] = set()
    expected = [oracle.first_free(chain(*table[text]), taken, LETTERS) for text in texts]
    assert assign(texts, candidates, LEVELS, LETTERS) == expected


def test_a_small_catalogue_is_named_as_by_the_literal_algorithm(
    writer: Callable[..., Writer], oracle: SimpleNamespace
) -> None:
    made, searches = writer(), levels(1, 2)[:4]
    asked: list[tuple[int, float]] = []

    def candidates(rows: Sequence[int], search: Search) -> list[list[str]]:
        asked.append((len(rows), search.penalty))
        return made.candidates(rows, search)

    codes = assign(numbered(made.sources), candidates, searches, made.vocabulary)
    assert codes == oracle.names(made, searches)
    assert asked[0] == (10, 1.0)  # the distinct texts, at once
    assert len(asked) > 1
    assert all(count < 10 for count, _ in asked[1:])
    assert len({tuple(code) for code in codes}) == len(codes)


def test_a_text_without_any_candidate_is_a_counter() -> None:
    assert assign([0, 0, 7], lambda rows, _: [[] for _ in rows], LEVELS, LETTERS) == [
        LETTERS.ids([str(number)]) for number in (1, 2, 3)
    ]
