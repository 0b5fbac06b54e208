"""Item text: composed, embedded, turned to its axes once and kept by content; what cannot be is refused in one line."""

from __future__ import annotations

import hashlib
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.text import TextSettings, compose, embed, projected, require_text, tfidf_svd, warnings

COLORS, THINGS = ("red", "blue", "green", "iron"), ("car", "doll", "robot")
TITLES = [f"{color} {thing} {thing}" for color in COLORS for thing in THINGS]
MANY = [f"{title} word{n} term{n} name{n * 7 % 50} {'board game' * (n % 3)}" for n, title in enumerate(TITLES * 9)]
FEW = TextSettings(dimensions=4)


def table(*titles: str, **columns: tuple[str, ...]) -> ItemTable:
    columns = {"title": titles, **columns}
    return ItemTable(tuple(f"i{item}" for item in range(len(titles))), columns)


def view(titles: list[str], cache: Path | None = None) -> TrainView:
    return TrainView("toy", table(*titles), Sequences.from_rows([[0]]), 1, cache=cache)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cosines(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    long = vectors.astype(np.float64)
    long /= np.linalg.norm(long, axis=1, keepdims=True)
    return np.asarray(long @ long.T)


# --- composition


def test_all_columns_in_file_order_unless_named() -> None:
    items = table("car", "doll", brand=("Lego", "Mattel"), price=("9", "8"))
    assert compose(items, (), ". ") == ["car. Lego. 9", "doll. Mattel. 8"]
    assert compose(items, ("price", "title"), " | ") == ["9 | car", "8 | doll"]


def test_empty_fields_leave_no_separator() -> None:
    items = table("car", "", "robot", brand=("", "Lego", " \t"), price=("9", "8", "&nbsp;"))
    assert compose(items, (), ". ") == ["car. 9", "Lego. 8", "robot"]


def test_text_is_as_people_read_it() -> None:
    items = table("Tom &amp; Jerry&#39;s", "  two\n lines  ", "Caf&eacute;&nbsp;&lt;3", "日本 &unknown;")
    assert compose(items, (), ". ") == ["Tom & Jerry's", "two lines", "Café <3", "日本 &unknown;"]


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    items = table("car", brand=("Lego",))
    assert refused(lambda: compose(items, ("titel",), ". ")) == (
        "unknown text field 'titel'; did you mean 'title'? known: brand, title"
    )
    assert refused(lambda: require_text(items, "titles", ["titel"])) == refused(lambda: compose(items, ("titel",), " "))
    assert "unknown text field 'title'; known: none" in refused(lambda: compose(ItemTable(("a",), {}), ("title",), ""))


@pytest.mark.parametrize("nothing", ["", " \t\n", "&nbsp;", "&#32;&nbsp; "])
def test_items_without_text_are_counted_and_the_first_is_named(nothing: str) -> None:
    items = table("car", nothing, nothing, brand=("", "", "Lego"))
    assert refused(lambda: require_text(items, "short titles")) == (
        "short titles need text for every item: 1 of 3 items have none, the first is 'i1'; "
        "add text to the item file, drop these items, or use another scheme"
    )
    assert "2 of 3 items have none, the first is 'i1'" in refused(lambda: compose(items, ("title",), ". "))
    assert "2 of 3 items have none, the first is 'i0'" in refused(lambda: compose(items, ("brand",), ". "))


def test_a_catalogue_without_text_columns_is_refused() -> None:
    train = TrainView("toy", ItemTable(("a", "b"), {}), Sequences.from_rows([[0]]), 1)
    assert "text embeddings need text for every item: 2 of 2 items" in refused(lambda: embed(train, FEW))


def test_dimensions_are_counted_from_none() -> None:
    assert refused(lambda: TextSettings(dimensions=-1)).endswith("got -1")
    assert embed(view(TITLES), TextSettings(dimensions=0)).shape == (12, 7), "as encoded: one channel for each word"


# --- the encoder that needs nothing


def weighted(texts: list[str]) -> NDArray[np.float64]:
    """tf-idf by hand: (1 + ln tf) (1 + ln (1 + n) / (1 + df)), of length 1; columns by word."""
    words = [Counter(re.findall(r"\w+", line.lower())) for line in texts]
    positions = {word: position for position, word in enumerate(sorted({word for line in words for word in line}))}
    found = np.zeros((len(texts), len(positions)))
    for row, line in enumerate(words):
        for word, count in line.items():
            having = sum(word in other for other in words)
            found[row, positions[word]] = (1 + math.log(count)) * (1 + math.log((1 + len(texts)) / (1 + having)))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def test_a_small_catalogue_is_its_weighted_words() -> None:
    texts = [*TITLES, "Caf\u00e9 7 a", "RED red Red"]
    np.testing.assert_allclose(tfidf_svd(texts), weighted(texts), atol=1e-6)


def test_a_projection_keeps_what_is_near_and_what_is_far() -> None:
    vectors, words = tfidf_svd(MANY), weighted(MANY)
    assert (vectors.shape, vectors.dtype) == ((108, 160), np.float32)
    assert words.shape[1] > 160
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    pairs = np.triu_indices(len(MANY), 1)
    found, true = cosines(vectors)[pairs], cosines(words)[pairs]
    assert np.abs(found - true).max() < 5 / math.sqrt(160), "of 5,778 pairs none is 5 deviations off"
    assert np.abs((found - true).mean()) < 0.02


def test_similar_texts_are_nearest() -> None:
    """Also after whitening, in which rare words count most."""
    texts = [*MANY, f"{MANY[20]} again", f"{MANY[70]} again"]
    for vectors in (tfidf_svd(texts), embed(view(texts), TextSettings(dimensions=64))):
        near = cosines(vectors)
        np.fill_diagonal(near, -1)
        assert near[20].argmax() == 108
        assert near[70].argmax() == 109


def test_a_text_without_a_word_lies_at_nothing() -> None:
    vectors = tfidf_svd(["red car", "?! ..."])
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("texts", [["?!", "..."], ["-"], []])
def test_a_catalogue_without_a_word_is_refused(texts: list[str]) -> None:
    assert refused(lambda: tfidf_svd(texts)) == f"tfidf-svd found no word in the text of {len(texts)} items"


def test_every_process_finds_the_same_vectors() -> None:
    """Codes are made in one process and used in another: another basis or sign there would corrupt every one."""
    script = (
        "import sys, hashlib; from bench.ids.text import *; from bench.data.dataset import *;"
        "lists = [tuple(part.split('|')) for part in sys.argv[1:]];"
        "views = [TrainView('', ItemTable(t, {'title': t}), Sequences.from_rows([[0]]), 1) for t in lists];"
        "print(*[hashlib.sha256(embed(v, TextSettings(dimensions=4)).tobytes()).hexdigest() for v in views])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, "|".join(TITLES), "|".join(MANY)]
    told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.split()
    for _ in range(2):
        assert [hashlib.sha256(embed(view(texts), FEW).tobytes()).hexdigest() for texts in (TITLES, MANY)] == told


# --- principal axes


def spread(items: int, channels: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return (random.normal(size=(items, channels)) @ random.normal(size=(channels, channels)) + 3).astype(np.float32)


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize(("items", "channels", "dimensions"), [(200, 12, 5), (50, 6, 6), (9, 30, 8)])
def test_axes_are_those_of_scikit_learn(items: int, channels: int, dimensions: int, whiten: bool) -> None:
    """Up to the sign of an axis, and but for the divisor of its variance: n here, n - 1 there."""
    from sklearn.decomposition import PCA

    raw = spread(items, channels)
    found = projected(raw, dimensions, whiten)["embeddings"]
    theirs = PCA(dimensions, whiten=whiten, svd_solver="full").fit_transform(raw.astype(np.float64))
    theirs *= np.sqrt(items / (items - 1)) if whiten else 1
    theirs *= np.sign((found * theirs).sum(axis=0))
    np.testing.assert_allclose(found, theirs, atol=2e-4 * np.abs(theirs).max())


@given(st.integers(0, 99), st.integers(2, 40), st.integers(1, 12), st.integers(1, 15))
def test_whitened_axes_have_variance_one_and_nothing_in_common(
    seed: int, items: int, channels: int, dimensions: int
) -> None:
    raw = np.random.default_rng(seed).normal(size=(items, channels)) * np.linspace(1, 3, channels) + 3
    found = projected(raw.astype(np.float32), dimensions, True)["embeddings"].astype(np.float64)
    assert found.shape == (items, min(dimensions, channels, items - 1))
    np.testing.assert_allclose(found.T @ found / items, np.eye(found.shape[1]), atol=5e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)


def test_a_catalogue_that_whitening_makes_meaningless_is_told() -> None:
    """Of fewer items than dimensions all become equally far apart, which is checked here by their distances."""
    titles = [
        f"{color} {thing} {color[:2]}{thing[:2]}" for color in ["red", "blue", "green"] for thing in ["car", "bear"]
    ]
    for settings in (TextSettings(), TextSettings(dimensions=3), TextSettings(whiten=False)):
        vectors = embed(view(titles), settings).astype(float)
        apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)[~np.eye(len(titles), dtype=bool)]
        said = warnings(view(titles).items, settings)
        assert bool(np.ptp(apart) < 1e-3) == bool(said)
        assert not said or "these 6 items say nothing after whitening: in 128 dimensions" in said[0]


def test_few_words_are_fewer_dimensions_than_items() -> None:
    assert not warnings(table("red car", "red bear", "blue car", "blue bear"), TextSettings())


def test_vectors_of_a_file_are_told_as_well(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    rows = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    pd.DataFrame({"item": [f"i{at}" for at in range(4)], "vector": list(rows)}).to_parquet(path)
    items = ItemTable(tuple(f"i{at}" for at in range(4)), {})
    assert "say nothing after whitening" in warnings(items, TextSettings(encoder=str(path)))[-1]
    assert not any("whitening" in line for line in warnings(items, TextSettings(encoder=str(path), dimensions=2)))


def test_without_whitening_nothing_is_stretched() -> None:
    raw = spread(30, 6)
    found = projected(raw, 6, False)["embeddings"]
    apart = [np.linalg.norm(vectors[:, None] - vectors[None], axis=2) for vectors in (raw, found)]
    np.testing.assert_allclose(apart[0], apart[1], atol=1e-3)
    assert (np.diff(found.var(axis=0)) < 0).all(), "the widest axis first"


def test_what_is_fitted_gives_the_embeddings() -> None:
    raw = spread(30, 6)
    for whiten in (True, False):
        found = projected(raw, 4, whiten)
        np.testing.assert_allclose((raw - found["mean"]) @ found["axes"], found["embeddings"], atol=1e-4)


@pytest.mark.parametrize(("rank", "asked"), [(3, 8), (1, 2), (0, 4)])
def test_data_of_fewer_dimensions_get_fewer(rank: int, asked: int) -> None:
    """Whitening an axis along which nothing differs would blow up what is left of rounding."""
    random = np.random.default_rng(1)
    raw = (random.normal(size=(40, rank)) @ random.normal(size=(rank, 10)) + 0.1).astype(np.float32)
    for whiten in (True, False):
        found = projected(raw, asked, whiten)
        assert (found["embeddings"].shape, found["axes"].shape) == ((40, rank), (10, rank))
        assert np.abs(found["embeddings"]).max(initial=0) < 100


def test_one_item_has_no_axis() -> None:
    assert projected(spread(1, 6), 4, True)["embeddings"].shape == (1, 0)


def test_the_sign_of_an_axis_does_not_hang_on_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, solve = spread(60, 8), np.linalg.eigh
    first = projected(raw, 8, True)
    largest = np.abs(first["axes"]).argmax(axis=0)
    assert (first["axes"][largest, range(8)] > 0).all()
    flipped = np.where(np.arange(8) % 2, 1.0, -1.0)
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (solve(matrix)[0], solve(matrix)[1] * flipped))
    for name, array in projected(raw, 8, True).items():
        assert array.tobytes() == first[name].tobytes()


def test_the_sign_of_an_axis_does_not_hang_on_last_digits() -> None:
    """Both coordinates of the first axis are as large, one positive and one negative."""
    steps = np.linspace(-1, 1, 50)
    for seed in range(20):
        noise = np.random.default_rng(seed).uniform(-1e-12, 1e-12, (50, 2))
        axes = projected(np.column_stack([steps, -steps]) + noise, 1, False)["axes"]
        assert axes[0, 0] > 0


# --- an encoder whose vectors of two catalogues can be compared


def test_hashed_vectors_are_the_same_in_every_catalogue() -> None:
    alone, among = text.hashed(["red robot"]), text.hashed([*TITLES, "red robot"])
    assert np.array_equal(alone[0], among[-1])
    assert np.array_equal(tfidf_svd(["red robot", "x"])[0, :1], tfidf_svd(["red robot", "x"])[0, :1])


def test_hashed_vectors_are_signs_of_the_hash_of_each_word() -> None:
    """By hand: a bit of BLAKE2b for each channel, the logarithm of counts, no stop words, length 1."""

    def sign(word: str) -> NDArray[np.float64]:
        data = hashlib.blake2b(word.encode(), digest_size=64).digest()
        return np.array([1.0 if byte >> bit & 1 else -1.0 for byte in data for bit in range(7, -1, -1)])

    expected = (1 + math.log(2)) * sign("robot") + sign("red")
    found = text.hashed(["the Robot and red robot", "!"])
    assert np.allclose(found[0], expected / np.linalg.norm(expected), atol=1e-6)
    assert not found[1].any()


def test_hashed_vectors_keep_what_is_near_and_what_is_far() -> None:
    vectors = text.hashed(MANY)
    counts = [Counter(word for word in re.findall(r"\w+", line)) for line in MANY]
    words = sorted({word for line in counts for word in line})
    plain = np.array([[1 + math.log(line[word]) if word in line else 0 for word in words] for line in counts])
    pairs = np.triu_indices(len(MANY), 1)
    assert np.abs(cosines(vectors)[pairs] - cosines(plain)[pairs]).max() < 5 / math.sqrt(512)


def test_hashed_needs_a_word_and_is_an_encoder_by_name() -> None:
    assert refused(lambda: text.hashed(["the", "?"])) == "hashed found no word in the text of 2 items"
    settings = TextSettings(encoder="hashed", dimensions=0)
    first, second = embed(view(TITLES), settings), embed(view([*TITLES, "brown cow"]), settings)
    assert np.array_equal(first, second[: len(TITLES)])
    assert first.shape == (12, 512)


# --- items without text


def test_ids_stand_in_where_there_is_no_text() -> None:
    items = table("car", "", "&nbsp;", brand=("", "", "Lego"))
    filled, count = text.stand_in(items)
    assert (dict(filled.text), count) == ({"title": ("car", "i1", "&nbsp;"), "brand": ("", "", "Lego")}, 1)
    filled, count = text.stand_in(items, ("brand",))
    assert (dict(filled.text), count) == ({"title": ("car", "", "&nbsp;"), "brand": ("i0", "i1", "Lego")}, 2)
    filled, count = text.stand_in(ItemTable(("a", "b"), {}))
    assert (dict(filled.text), count) == ({"id": ("a", "b")}, 2)
    assert text.stand_in(items, ("titel",)) == (items, 0)
    require_text(text.stand_in(items)[0])


@pytest.mark.parametrize("whiten", [True, False])
def test_shards_change_nothing_but_rounding(whiten: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.random.default_rng(4).normal(size=(100, 6)).astype(np.float32) * np.arange(1, 7, dtype=np.float32) + 3
    whole = projected(raw, 4, whiten)
    monkeypatch.setattr(text, "SHARD", 33)  # the last shard has one vector
    for name, array in projected(raw, 4, whiten).items():
        np.testing.assert_allclose(array, whole[name], atol=1e-4)


@pytest.mark.parametrize("words", [30, 400])  # as they are, or under a projection
@pytest.mark.parametrize("encoder", [text.tfidf_svd, text.hashed])
def test_vectors_of_words_are_made_in_shards_bit_for_bit(
    encoder: Callable[[list[str]], NDArray[np.float32]], words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(5)
    texts = [" ".join(f"w{word}" for word in random.integers(0, words, 7)) for _ in range(100)]
    whole, norm, seen = encoder(texts), np.linalg.norm, list[int]()

    def counted(rows: NDArray[np.float32], axis: int, keepdims: bool) -> NDArray[np.float32]:
        seen.append(len(rows))
        return np.asarray(norm(rows, axis=axis, keepdims=keepdims))

    monkeypatch.setattr(text, "SHARD", 33)
    monkeypatch.setattr(np.linalg, "norm", counted)
    assert np.array_equal(encoder(texts), whole)
    assert seen == [33, 33, 33, 1]
