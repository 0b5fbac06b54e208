"""Names made of words: whole, telling, short, and unique as tokens."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual_ids import Settings, Title
from textual_ids.naming import unique_codes
from textual_ids.words import document_frequency, rank, split, table

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.runs.subjects import settings as settings_of
from bench.vocabulary import Vocabulary

WORDS = Vocabulary.private([*"abcd", *map(str, range(1, 30))])  # a token is a word
CHOICES = st.lists(st.lists(st.text("abcd", min_size=1, max_size=3).map(" ".join), max_size=3), max_size=12)


def view(titles: list[str], **columns: list[str]) -> TrainView:
    text = {"title": tuple(titles), **{name: tuple(column) for name, column in columns.items()}}
    items = ItemTable(tuple(f"i{item}" for item in range(len(titles))), text)
    return TrainView("titles", items, Sequences.from_rows([[0]]), seed=0)


def names(ids: TokenIds) -> list[str]:
    return [ids.vocabulary.decode(ids.code(item)) for item in range(len(ids))]


def named(titles: list[str], **setting: str) -> list[str]:
    return names(Title(settings_of(Title, setting)).fit(view(titles)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NECA Batman, 1/4 Scale", "neca batman 1 4 scale"),
        ("Children's K'NEX Set", "children s k nex set"),
        ("Smolder\u2122 & Caf\u00e9 \u2460\uff21", "smolder caf\u00e9 1a"),
        ("Cafe\u0301 under_score", "caf\u00e9 under score"),
        ("Bath &amp; Body", "bath body"),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u65e5\u672c\u8a9e",
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u65e5\u672c\u8a9e",
        ),
        ("1\u00bd \u0130\U0001d400", "11 2 i\u0307a"),
        (" -- !", ""),
    ],
)
def test_words_are_whole_lower_case_runs(text: str, words: str) -> None:
    assert split(text) == words.split()


@given(st.text(st.characters(codec="ascii")))
def test_in_ascii_words_are_what_a_pattern_finds(text: str) -> None:
    plain = text.replace("&", " ")  # html entities are read first
    assert split(plain) == re.findall(r"[a-z0-9]+", plain.lower())


def test_document_frequency_counts_items_not_occurrences() -> None:
    items = view(["car car", "car"], category=["toy", "car"]).items
    assert document_frequency(table(items)) == {"car": 2, "toy": 1}


def test_salience_is_rarity_over_the_root_of_the_place() -> None:
    columns = [["brand", "common", "the", "12", "rare", "unique"], ["toys", "shelf"]]
    items = {"brand": 50, "common": 400, "the": 900, "12": 9, "rare": 20, "unique": 1, "toys": 1000, "shelf": 100}
    weight = {word: np.log(1000 / items[word]) / np.sqrt(1 + columns[0].index(word)) for word in columns[0]}
    assert weight["brand"] > weight["rare"] > weight["common"]  # by rarity alone, "rare" would be first
    found = rank(columns, Counter(items), items=1000, fewest=5)
    assert found.salient == ("brand", "rare", "common", "unique", "shelf", "12", "the", "toys")
    assert found.text == ("brand", "common", "the", "12", "rare", "unique", "toys", "shelf")
    assert found.informative == 5


def test_words_of_equal_salience_come_in_the_order_of_the_text() -> None:
    """log 5 at place 1 and log 125 over the root of 9 are equal, and their last bits are not."""
    column = ["quint", *(f"aa{position}" for position in range(7)), "scarce"]
    frequency = {"quint": 200, "scarce": 8, **{f"aa{position}": 999 for position in range(7)}}
    assert np.log(125) / 3 > np.log(5)
    assert rank([column], Counter(frequency), items=1000, fewest=5).salient[:2] == ("quint", "scarce")


def test_words_outside_the_vocabulary_are_left_out() -> None:
    assert rank([["a1", "b1"]], Counter({"b1": 2}), items=3, fewest=1).text == ("b1",)


@given(CHOICES)
def test_codes_are_unique_and_no_earlier_choice_was_free(choices: list[list[str]]) -> None:
    codes = [tuple(code) for code in unique_codes(choices, WORDS)]
    assert len(set(codes)) == len(codes) == len(choices)
    for item, texts in enumerate(choices):
        options = [tuple(WORDS.encode(text)) for text in texts]
        chosen = options.index(codes[item]) if codes[item] in options else len(options)
        assert set(options[:chosen]) <= set(codes[:item])
        if chosen == len(options):
            assert WORDS.decode(codes[item]).split()[:-1] == (texts[0].split() if texts else [])
            assert WORDS.decode(codes[item]).split()[-1].isdigit()


def test_counters_start_at_two_and_at_one_where_there_are_no_words() -> None:
    codes = unique_codes([["a"], ["a"], ["a 2"], ["a"], [], []], WORDS)
    assert [WORDS.decode(code) for code in codes] == ["a", "a 2", "a 2 2", "a 3", "1", "2"]


def test_texts_that_are_one_to_the_vocabulary_are_duplicates() -> None:
    codes = unique_codes([["a b"], ["a  b", "a c"], ["a z", "a d"]], WORDS)  # z is unknown
    assert [WORDS.decode(code) for code in codes] == ["a b", "a c", "a d"]


def test_a_vocabulary_without_digits_cannot_count() -> None:
    with pytest.raises(BenchError, match="can't write 'a 2'"):
        unique_codes([["a"], ["a"]], Vocabulary.private("a"))


def test_further_words_come_before_a_counter() -> None:
    titles = ["red car of the king", "red car of the queen", "red car of the king", "red car of the king", "sea"]
    assert named(titles, words="2") == ["red car", "red car queen", "red car king", "red car king of", "sea"]
    assert named(["the king", "the king", "the king", "king", "sea"], words="1") == [
        *("king", "king the", "king 2", "king 3", "sea")
    ]


def test_the_orders_arrange_the_same_words() -> None:
    titles = ["tower of blue bricks", *["bricks"] * 6, *["my blue tower"] * 2, "blue bricks", "sky"]
    assert named(titles, min_shared="4")[0] == "blue bricks tower"  # the tower is in three items only: not shared
    assert named(titles, min_shared="1")[0] == "tower blue bricks"
    assert named(titles, min_shared="4", order="title")[0] == "tower blue bricks"
    assert named(titles, min_shared="4", order="frequent")[0] == "bricks blue tower"
    assert named(titles, min_shared="1", words="1", order="frequent")[0] == "tower"  # the order doesn't choose


def test_other_columns_fill_up_a_short_title() -> None:
    train = view(["Clue", "Clue", "Chess"], category=["Board Games", "Card Games", "Board Games"])
    assert names(Title().fit(train)) == ["clue board", "clue card", "chess board"]


def test_an_item_with_text_but_no_word_is_a_counter() -> None:
    others = [f"red car {letter}" for letter in "abcdefgh"]
    assert named(["!!!", *others, "???"])[::9] == ["1", "2"]
    titles = ["!!!", *others, "???"]
    (said,) = Title().warnings(view(titles))
    assert said.startswith("2 of 10 items have no word that the vocabulary can write")
    assert Title().warnings(view(others)) == ()


def test_a_catalogue_that_would_mostly_be_numbered_is_refused() -> None:
    with pytest.raises(BenchError, match=r"2 of 3 items have no word that the vocabulary can write, so textual/title"):
        named(["!!!", "red car", "???"])


def test_an_item_without_text_is_an_error_that_names_it() -> None:
    with pytest.raises(BenchError, match=r"2 of 3 items have none, the first is 'i1'; add text to the item file"):
        Title().fit(view(["car", "", " "]))
    textless = replace(view(["a"]), items=ItemTable(("x", "y"), {}))
    with pytest.raises(BenchError, match=r"2 of 2 items have none, the first is 'x'"):
        Title().fit(textless)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BenchError, match="'words' must be 1 or more; got 0"):
        settings_of(Title, {"words": "0"})
    with pytest.raises(BenchError, match="'order' must be one of salient, frequent, title; got 'random'"):
        settings_of(Title, {"order": "random"})


def test_a_vocabulary_too_small_for_the_letters_is_an_error() -> None:
    with pytest.raises(BenchError, match="of 12 rows is too small"):
        named(["some toy car"], vocabulary="12")


@settings(max_examples=50)
@given(st.lists(st.text("abe\u00e9 \u65e5;!19", min_size=1, max_size=9).map("x".__add__), min_size=1, max_size=12))
def test_any_text_gives_whole_words_of_the_item(titles: list[str]) -> None:
    ids = Title(Settings(words=2)).fit(view(titles))
    for item, name in enumerate(names(ids)):
        strangers = [word for word in name.split() if word not in split(titles[item])]
        assert all(word.isdigit() for word in strangers)
        assert len(strangers) <= 1
    assert len(set(ids.groups.tolist())) == len(titles)


def test_a_word_that_the_language_model_cannot_write_is_skipped(t5: Vocabulary) -> None:
    others = [f"red car {letter}" for letter in "abcd"]
    train = replace(view(["\u65e5\u672c robot", "\u65e5\u672c", "robot \u65e5", *others]), language=t5)
    ids = Title().fit(train)
    assert names(ids)[:3] == ["robot", "1", "robot 2"]
    (said,) = Title().warnings(train)
    assert said.startswith("1 of 7 items have no word that the vocabulary can write")
    with pytest.raises(BenchError, match="give a backbone that writes the language of the catalogue"):
        Title().fit(replace(view(["\u65e5\u672c", "\u672c"]), language=t5))
    assert ids.vocabulary is t5


def test_items_that_are_numbers_for_want_of_words_are_told(t5: Vocabulary) -> None:
    train = view(["\u65e5\u672c robot", "\u65e5\u672c", "robot \u65e5"])
    (said,) = Title().warnings(replace(train, language=t5))
    assert said.startswith("1 of 3 items have no word that the vocabulary can write: nothing of their text is in")
    assert not Title().warnings(train)  # a vocabulary of its own has every letter
    assert Title().warnings(view(["???", "a robot"]))


@pytest.mark.parametrize("language", [False, True])
def test_names_of_real_toys_are_concise_whole_and_shared(toys: Dataset, t5: Vocabulary, language: bool) -> None:
    train = leave_one_out(toys).train
    ids = Title().fit(replace(train, language=t5 if language else None))
    found = names(ids)
    words = [{word for column in columns for word in column} for columns in table(train.items)]
    assert all(set(name.split()) <= own for name, own in zip(found, words, strict=True))  # whole words, no counter
    counts = np.array([len(name.split()) for name in found])
    assert counts.min() >= 1
    assert counts.mean() < 4.2
    assert ids.lengths.mean() < (7.5 if language else 5)
    assert len({name.split()[0] for name in found}) < len(found) / 5  # first words are shared
