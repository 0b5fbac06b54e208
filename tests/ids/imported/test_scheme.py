"""Identifiers of a file as a scheme: tokens, words, what is missing, and an identity that is the file's content."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.dataset import Dataset, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids import exchange
from bench.ids.identifiers import Template, TokenIds
from bench.ids.imported import File
from bench.ids.prompts import NEUTRAL
from bench.runs import subjects
from bench.vocabulary import Vocabulary

Written = Callable[..., Path]
Made = Callable[..., File]
INDEX = {"D4": ["<a_1>", "<b_2>"], "A1": ["<a_0>", "<b_2>"], "C3": ["<a_1>", "<b_0>"], "B2": ["<a_0>", "<b_2>"]}


def words(ids: TokenIds) -> list[list[str]]:
    name = ids.vocabulary.tokenizer.id_to_token
    return [[str(name(token)) for token in ids.code(item)] for item in range(len(ids))]


def test_codes_are_tokens_of_a_private_vocabulary(written: Written, made: Made, train: TrainView) -> None:
    scheme = made(written("four.index.json", json.dumps(INDEX)))
    assert scheme.name == "file/four"
    ids = scheme.fit(train)
    assert words(ids) == [INDEX[item] for item in train.items.ids]
    assert ids.vocabulary.size == 3 + 4
    assert not ids.vocabulary.language_model
    assert ids.template == Template()
    assert ids.groups.tolist()[0] == ids.groups.tolist()[1]  # given as they are: reported, not patched
    assert scheme.warnings(train) == (
        "2 items share their identifier with another, as '<a_0> <b_2>' is that of 'A1', 'B2'",
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("104", "identifiers such as '1104' are read as words, in pieces of digits; [1104] in JSON is one token"),
        (" 04", ""),  # codes as they are written everywhere
        ("st wagon", ""),
    ],
)
def test_how_texts_of_digits_are_read_is_said(
    written: Written, made: Made, train: TrainView, code: str, said: str
) -> None:
    lines = [f"{item}\t{number}{code}\n" for number, item in enumerate(train.items.ids, 1)]
    scheme = made(written("digits.txt", "".join(lines)))
    assert scheme.warnings(train) == ((said,) if said else ())
    one = made(written("digits.json", json.dumps({item: [1000 + row] for row, item in enumerate(train.items.ids)})))
    assert (one.warnings(train), one.fit(train).lengths.tolist()) == ((), [[1] * len(train.items.ids)])


@pytest.mark.parametrize(("text", "said"), [("007", "; [7] in JSON is one token"), ("9" * 50, "")])
def test_what_is_advised_for_digits_can_be_written(
    written: Written, made: Made, train: TrainView, text: str, said: str
) -> None:
    """JSON has no zeros before a number, and a code no number of fifty digits."""
    rest = [f"{1000 + row}" for row in range(len(train.items.ids) - 1)]
    lines = [f"{item}\t{digits}\n" for item, digits in zip(train.items.ids, (text, *rest), strict=True)]
    scheme = made(written("digits.txt", "".join(lines)))
    shown = text[:40]
    assert scheme.warnings(train) == (f"identifiers such as '{shown}' are read as words, in pieces of digits{said}",)


def test_the_order_of_a_file_is_of_no_consequence(written: Written, made: Made, train: TrainView) -> None:
    one = made(written("one.json", json.dumps(INDEX))).fit(train)
    other = made(written("other.json", json.dumps(dict(reversed(INDEX.items()))))).fit(train)
    assert np.array_equal(one.tokens, other.tokens)
    assert one.vocabulary.fingerprint == other.vocabulary.fingerprint


def test_codes_of_differing_length_are_kept_apart_in_a_history(written: Written, made: Made, train: TrainView) -> None:
    path = written("ragged.sem_ids", '{"A1": [1], "B2": [1, 2], "C3": [2, 0, 0], "D4": [3]}')
    ids = made(path).fit(train)
    assert ids.template.separator == ";"
    assert ids.vocabulary.encode(";") == ids.vocabulary.ids([";"])
    assert ids.lengths.tolist() == [[1, 2, 3, 1]]
    assert made(path, separator="").fit(train).template == Template()


def test_rows_of_a_matrix_are_the_items_beside_it(written: Written, made: Made, train: TrainView) -> None:
    path = written("toys.npy", np.array([[5, 0], [6, 1], [7, 0], [8, 1]]))
    written("toys.item2id", "B2\t0\nD4\t1\nA1\t2\nC3\t3\n")
    assert words(made(path).fit(train)) == [
        ["<a_7>", "<b_0>"],
        ["<a_5>", "<b_0>"],
        ["<a_8>", "<b_1>"],
        ["<a_6>", "<b_1>"],
    ]
    other = written("order.txt", "A1\nB2\nC3\nD4\n")
    assert words(made(path, items=str(other)).fit(train))[0] == ["<a_5>", "<b_0>"]


def test_words_are_text(written: Written, made: Made, train: TrainView, t5_tokenizer: Path) -> None:
    path = written("item_generative_indexing_phase_0.txt", "A1 red car\nB2 red\nC3 big blue car\nD4 red fire truck\n")
    scheme = made(path, vocabulary="60")
    ids = scheme.fit(train)
    assert [ids.vocabulary.decode(ids.code(item)) for item in range(4)] == [
        "red car",
        "red",
        "big blue car",
        "red fire truck",
    ]
    assert ids.vocabulary.size <= 60
    t5 = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    of_t5 = scheme.fit(replace(train, language=t5))
    assert of_t5.vocabulary is t5
    assert [list(of_t5.code(item)) for item in range(4)] == [
        t5.encode(t) for t in ("red car", "red", "big blue car", "red fire truck")
    ]
    titles = [subjects.load_scheme("textual/title")().fit(view) for view in (train, replace(train, language=t5))]
    assert [ids.template, of_t5.template] == [ours.template for ours in titles]
    assert made(path, separator=",").fit(replace(train, language=t5)).template == replace(NEUTRAL, separator=",")
    assert not scheme.warnings(replace(train, language=t5))
    odd = made(written("odd.txt", "A1 red\nB2 赤い車\nC3 c\nD4 d\n"))
    assert odd.warnings(replace(train, language=t5)) == (
        "1 identifiers have letters that the backbone's vocabulary can't write: '赤い車'",
    )


@pytest.mark.parametrize("text", ["A1 1\nB2\nC3 red\nX9 blue\n", '{"A1": ["<x>"], "C3": ["<y>"], "X9": ["<z>"]}'])
def test_missing_items_are_an_error_or_numbered(written: Written, made: Made, train: TrainView, text: str) -> None:
    path = written("some.txt", text)
    with pytest.raises(BenchError, match=r"^2 of 4 items have no identifier in 'some.txt': 'B2', 'D4'; .*=counter$"):
        made(path).fit(train)
    scheme = made(path, missing="counter")
    ids = scheme.fit(train)
    assert len(set(map(ids.code, range(4)))) == 4
    assert (
        scheme.warnings(train)[1]
        == f"1 of {4 if text[0] == 'A' else 3} items of 'some.txt' are not in the catalogue and are skipped: 'X9'"
    )
    if text[0] == "A":  # '1' is taken
        assert [ids.vocabulary.decode(ids.code(item)) for item in (1, 3)] == ["2", "3"]
    else:
        assert [words(ids)[item] for item in (1, 3)] == [["<missing>", "<missing_1>"], ["<missing>", "<missing_2>"]]


def test_many_missing_items_take_few_tokens(written: Written, made: Made, toy: Dataset) -> None:
    ids = made(written("one.json", '{"i03": ["<x>"]}'), missing="counter").fit(leave_one_out(toy).train)
    assert len(set(map(ids.code, range(30)))) == 30
    assert ids.vocabulary.size == 3 + 1 + 1 + 10 + 1  # special, <x>, <missing>, digits, the separator


def test_identity_is_the_content(written: Written, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("four.index.json", json.dumps(INDEX))
    first = made(path)
    assert len(first.settings.content) == 12
    assert first.cache_key() == "", "the digest is a setting already"
    monkeypatch.chdir(tmp_path)
    assert type(made(Path("four.index.json"))) is type(first)
    assert made(Path("four.index.json")).settings == first.settings
    (tmp_path / "elsewhere").mkdir()
    moved = written("elsewhere/four.index.json", json.dumps(INDEX))
    assert made(moved).settings == first.settings
    written("elsewhere/four.item2id", "A1\t0\n")
    assert made(moved).settings != first.settings  # what says whose numbers are is part of what is read
    written("four.index.json", json.dumps(INDEX | {"A1": ["<a_7>", "<b_7>"]}))
    assert made(path).settings != first.settings
    with pytest.raises(BenchError, match=f"has changed: its content is .*, not {first.settings.content}"):
        made(path, content=first.settings.content)


def test_a_token_that_bench_needs_is_refused(written: Written, made: Made, train: TrainView) -> None:
    taken = json.dumps({item: [f"<t_{item}>", "</s>"] for item in train.items.ids})
    with pytest.raises(BenchError, match="uses the token '</s>', which bench needs for itself"):
        made(written("taken.json", taken)).fit(train)


def test_a_path_is_needed() -> None:
    with pytest.raises(BenchError, match="file: needs a path"):
        subjects.load_scheme("file:")


def test_a_table_of_ours_gives_the_very_identifiers(made: Made, toy: Dataset, tmp_path: Path) -> None:
    train = leave_one_out(toy).train
    for name in ("numeric", "textual", "numeric/collaborative"):
        cls = subjects.load_scheme(name)
        ids = cls().fit(train)
        exchange.write(ids, toy.items, tmp_path / "ids.parquet")
        back = made(tmp_path / "ids.parquet").fit(train)
        assert np.array_equal(back.tokens, ids.tokens)
        assert back.vocabulary.fingerprint == ids.vocabulary.fingerprint
        assert (back.template, back.codebooks, back.appends_eos) == (ids.template, ids.codebooks, ids.appends_eos)


def test_words_of_a_backbone_need_that_backbone(made: Made, toy: Dataset, t5_tokenizer: Path, tmp_path: Path) -> None:
    t5 = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    train = replace(leave_one_out(toy).train, language=t5)
    ids = subjects.load_scheme("textual")().fit(train)
    exchange.write(ids, toy.items, tmp_path / "ids.parquet")
    scheme = made(tmp_path / "ids.parquet")
    assert np.array_equal(scheme.fit(train).tokens, ids.tokens)
    with pytest.raises(BenchError, match="words of a pretrained backbone; give the one that they were made with"):
        scheme.fit(replace(train, language=None))


def test_the_published_initial_ids_of_idgenrec(made: Made, real_data: Path, t5_tokenizer: Path) -> None:
    from bench.data.formats import read_atomic

    t5 = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    for name, missing in (("toys", 0), ("beauty", 1)):
        train = replace(leave_one_out(read_atomic(real_data / name)).train, language=t5)
        scheme = made(real_data / name / f"{name}.textual_ids.tsv", missing="counter")
        ids = scheme.fit(train)
        assert len(scheme.matched(train).missing) == missing
        assert ids.template == NEUTRAL
        assert scheme.name == f"file/{name}.textual_ids"
        lines = (real_data / name / f"{name}.textual_ids.tsv").read_text(encoding="utf-8").splitlines()[1:]
        published = dict(line.split("\t") for line in lines)
        for item in range(0, len(ids), 997):
            assert list(ids.code(item)) == t5.encode(published[train.items.ids[item]])
