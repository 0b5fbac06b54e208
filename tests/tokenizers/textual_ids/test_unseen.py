"""Names of an unseen catalogue: of words that the trained vocabulary writes in few tokens, as short as they can be."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from textual_ids import Settings, Title
from textual_ids.words import is_filler, split

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.data.formats import read_atomic
from bench.ids.identifiers import TokenIds
from bench.vocabulary import Vocabulary

COLORS = ("red", "blue", "green", "iron", "wooden", "small", "large", "gentle")
THINGS = ("car", "oak", "pond", "robot", "lamp", "boat", "drum", "kite", "bell", "cream", "soap", "brush")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
AT_MOST = 1.3  # times as long as in a vocabulary of its own


def view(titles: list[str]) -> TrainView:
    items = ItemTable(tuple(f"i{item}" for item in range(len(titles))), {"title": tuple(titles)})
    return TrainView("titles", items, Sequences.from_rows([]), seed=0)


def brands(random: np.random.Generator, count: int) -> list[str]:
    return ["".join(random.choice(list(LETTERS), 9)) for _ in range(count)]


def catalogue(seed: int, items: int = 300) -> list[str]:
    """Titles of a brand, which no other catalogue has, and of words that all have."""
    random = np.random.default_rng(seed)
    own = brands(random, 40)
    return [
        " ".join(
            [
                str(random.choice(own)),
                *random.choice(COLORS, 2, replace=False),
                *random.choice(THINGS, 3, replace=False),
            ]
        )
        for _ in range(items)
    ]


def transferred(home: TokenIds, target: TrainView, **settings: Any) -> TokenIds:
    trained: Any = SimpleNamespace(ids=home)
    return Title(Settings(**settings)).transfer(trained, target, Path())


def mean(ids: TokenIds) -> float:
    return float(ids.lengths.mean())


def names(ids: TokenIds) -> list[str]:
    return [ids.vocabulary.decode(ids.code(item)) for item in range(len(ids))]


def test_identifiers_of_an_unseen_catalogue_are_nearly_as_short_as_in_a_vocabulary_of_its_own() -> None:
    home, target = Title().fit(view(catalogue(1))), view(catalogue(2))
    own, written = Title().fit(target), transferred(home, target)
    assert mean(transferred(home, target, pieces=0)) > 1.8 * mean(own)
    assert mean(written) <= AT_MOST * mean(own)
    assert len(set(names(written))) == len(target.items)
    for title, name in zip(target.items.text["title"], names(written), strict=True):
        assert {word for word in name.split() if not word.isdigit()} <= set(split(title))


@pytest.mark.parametrize(("learned", "encoded"), [("toys", "beauty"), ("beauty", "toys")])
def test_real_catalogues_of_other_goods_are_named_nearly_as_shortly(
    real_data: Path, learned: str, encoded: str
) -> None:
    if not (real_data / "beauty").is_dir():
        pytest.skip(f"no real Beauty data in {real_data}; point BENCH_TEST_DATA at it")
    home, target = (
        TrainView(name, read_atomic(real_data / name).items, Sequences.from_rows([]), seed=0)
        for name in (learned, encoded)
    )
    assert mean(transferred(Title().fit(home), target)) <= AT_MOST * mean(Title().fit(target))


def test_words_in_few_tokens_come_first_and_count_by_their_salience_per_token() -> None:
    home, titles = Title().fit(view(catalogue(1))), catalogue(2)
    vocabulary, spoken = home.vocabulary, [set(split(title)) for title in titles]

    def standing(word: str, title: list[str]) -> tuple[bool, bool, float, int]:
        having = sum(word in words for words in spoken)
        weight = math.log(len(titles) / having) / math.sqrt(1 + title.index(word)) if having >= 5 else 0.0
        tokens = len(vocabulary.encode(word))
        return is_filler(word), tokens > 2, -round(weight / tokens, 12), title.index(word)

    found = names(transferred(home, view(titles)))
    assert len({tuple(name.split()) for name in found}) == len(titles)
    compared = 0
    for title, name in zip(titles, found, strict=True):
        distinct = list(dict.fromkeys(title.split()))
        expected = sorted(distinct, key=lambda word, title=distinct: standing(word, title))  # type: ignore[misc]
        short = sum(not any(standing(word, distinct)[:2]) for word in distinct)
        given = name.split()
        if len(given) == min(4, short):
            assert given == expected[: len(given)]
            compared += 1
    assert compared > len(titles) / 2


def test_an_item_of_long_words_alone_is_named_by_one_of_them() -> None:
    home = Title().fit(view([*catalogue(1), LETTERS]))
    titles = ["qxzqxzqxz vjwvjwvjw", "qxzqxzqxz kpykpykpy", "red car qxzqxzqxz", *catalogue(2)]
    assert names(transferred(home, view(titles)))[:3] == ["qxzqxzqxz", "qxzqxzqxz kpykpykpy", "red car"]


def test_any_number_of_pieces_names_the_unseen_as_what_is_trained_on(t5_tokenizer: Path) -> None:
    """Which is also how a language model names it: its vocabulary was made for no catalogue."""
    home, target = Title().fit(view(catalogue(1))), view(catalogue(2))
    assert names(transferred(home, target, pieces=0)) == names(Title().fit(target))
    language = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    pretrained = Title().fit(replace(view(catalogue(1)), language=language))
    expected = names(Title().fit(replace(target, language=language)))
    assert names(transferred(pretrained, target)) == expected


def test_no_pieces_reach_what_is_trained_on() -> None:
    train = view(catalogue(3))
    one, other = (Title(Settings(pieces=pieces)).fit(train) for pieces in (0, 5))
    assert one.vocabulary.fingerprint == other.vocabulary.fingerprint
    assert np.array_equal(one.tokens, other.tokens)
