"""Item text field by field: what is read is what SETRec's published code reads, and vectors are means of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from unisrec_baseline.settings import Settings as UniSRecSettings
from unisrec_baseline.texts import poorer

from bench import backbone
from bench.data.dataset import ItemTable, Progress, Sequences, TextReader, TrainView
from bench.errors import BenchError
from bench.ids.limits import CatalogueSize
from bench.ids.per_field import mean_of_fields, sentence
from bench.ids.spaces import TextSpace
from bench.ids.text import TextSettings, embed, embedding_needs
from bench.runs.fitting import reader

COLUMNS = {
    "title": ("red car", "blue doll", "green &lt;b&gt;robot&lt;/b&gt;"),
    "description": ("a long text of many words about a car that is red", "", "it walks..."),
    "brand": ("Lego", "Lego", "&nbsp;"),
}
READ = [
    ["red car.", "a long text of many words about a car that is red.", "Lego."],
    ["blue doll.", "Lego."],
    ["green robot.", "it walks."],
]
BY_FIELD = TextSettings(encoder="backbone", pool="fields", dimensions=0)


def view(by: TextReader | None = None, cache: Path | None = None) -> TrainView:
    items = ItemTable(("a", "b", "c"), COLUMNS)
    return TrainView("toy", items, Sequences.from_rows([[0]]), 1, cache=cache, reader=by)


def lengths(asked: list[list[str]]) -> TextReader:
    """Reads a text as its number of characters, and notes what it was asked."""

    def read(texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        asked.append(list(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)

    return TextReader(read, "aaaa")


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("Lego", "Lego."),
        ("A <b>red</b> car...", "A red car."),
        ('The "best" doll.  ', "The best doll."),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3."),
        ("<br />Fun for all!", "Fun for all!."),
        ("two. three..", "two. three."),
        ('<span class="a">in</span> here', "in here."),
        ("x" * 1999, "x" * 1999 + "."),
        ("y" * 2000 + ".", "y" * 2000),
    ],
)
def test_a_field_is_cleaned_as_by_the_published_code(field: str, read: str) -> None:
    """What ``clean_text`` of SETRec's ``data/extract_item_semantic_rep.py`` gave for these."""
    assert sentence(field) == read


def test_a_decoder_only_model_reads_each_field(qwen: Path) -> None:
    """Against Transformers on one field at a time: the mean of its last hidden states, and of an item's fields."""
    found = embed(view(reader(str(qwen), backbone.language_of(str(qwen)))), BY_FIELD)
    tokenizer, model = AutoTokenizer.from_pretrained(qwen), AutoModel.from_pretrained(qwen).eval()
    for row, fields in zip(found, READ, strict=True):
        with torch.no_grad():
            tokens = [tokenizer(field, return_tensors="pt")["input_ids"] for field in fields]
            expected = torch.stack([model(each).last_hidden_state[0].mean(0) for each in tokens]).mean(0)
        np.testing.assert_allclose(row, expected, atol=1e-4)


def test_a_field_of_many_items_is_read_once(tmp_path: Path) -> None:
    asked: list[list[str]] = []
    found = embed(view(lengths(asked), tmp_path), BY_FIELD)
    (texts,) = asked
    assert sorted(texts) == sorted({field for item in READ for field in item})
    expected = [[sum(map(len, fields)) / len(fields), 1] for fields in READ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_vectors_of_fields_and_of_whole_texts_are_kept_apart(tmp_path: Path) -> None:
    asked: list[list[str]] = []
    train = view(lengths(asked), tmp_path)
    first, other = embed(train, BY_FIELD), embed(train, replace(BY_FIELD, pool="text"))
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(embed(train, BY_FIELD), first)
    assert len(asked) == 2
    embed(train, replace(BY_FIELD, fields=("title", "brand")))
    assert sorted(asked[-1]) == sorted(["red car.", "blue doll.", "green robot.", "Lego."])
    embed(train, replace(BY_FIELD, separator="; "))
    assert len(asked) == 3, "what stands between fields is not read"


def test_where_texts_of_one_field_are_equal_to_the_bit_nothing_is_lost() -> None:
    vectors = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)
    assert mean_of_fields(["one", "one"], lambda _: vectors).tobytes() == vectors.repeat(2, axis=0).tobytes()


def test_words_are_dropped_from_each_field() -> None:
    """UniSRec's other view of a text reads its fields apart as well."""
    asked: list[list[str]] = []
    settings = UniSRecSettings(encoder="backbone", pool="fields", word_drop=0.5)
    found = poorer(view(lengths(asked)), TextSpace(settings), settings)
    assert found is not None
    drawn = {field.rstrip(".") for field in asked[0]}
    whole = [set(field.rstrip(".").split()) for item in READ for field in item]
    assert all(any(set(field.split()) <= words for words in whole) for field in drawn)
    assert "Lego" in drawn
    assert len("".join(drawn)) < len("".join(field.rstrip(".") for field in {each for item in READ for each in item}))


@pytest.mark.parametrize("encoder", ["tfidf-svd", "hashed", "vectors.npy"])
def test_fields_are_read_apart_by_models_alone(encoder: str) -> None:
    with pytest.raises(BenchError) as caught:
        TextSettings(encoder=encoder, pool="fields")
    assert str(caught.value) == (
        f"pool=fields is for a model that reads texts; got encoder={encoder}: use encoder=backbone, or a "
        "sentence-transformers model by folder or name"
    )


def test_vectors_of_all_fields_are_counted_in_memory() -> None:
    size = CatalogueSize(1000, 1000, 5000)
    whole, apart = (embedding_needs(size, replace(BY_FIELD, pool=pool)).memory for pool in ("text", "fields"))
    assert apart - whole == pytest.approx(1000 * 4 * 768 * 4)
