"""Identifiers on disk: they come back as they were, equal ones are equal bytes, and corruption is noticed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Template, TokenIds
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcd")
Forbidden = Callable[[Path], contextlib.AbstractContextManager[None]]
NOTES = {"iterations": 3.0, "a third": 1 / 3}


def ids_of(codes: list[list[int]], vocabulary: Vocabulary = VOCABULARY) -> TokenIds:
    return TokenIds.from_lists(codes, vocabulary, Template("né", " ; ", "?"))


def equal(one: TokenIds, other: TokenIds) -> None:
    assert one.tokens.dtype == other.tokens.dtype
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.lengths.tolist() == other.lengths.tolist()
    assert one.template == other.template
    assert one.append_eos == other.append_eos
    assert one.vocabulary.fingerprint == other.vocabulary.fingerprint


def message(path: Path) -> str:
    with pytest.raises(BenchError) as caught:
        storage.load(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@given(st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=4), min_size=1, max_size=9))
def test_identifiers_and_notes_come_back(tmp_path_factory: pytest.TempPathFactory, codes: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("ids") / "deeper" / "ids.safetensors"
    storage.save(ids_of(codes), path, NOTES)
    found, notes = storage.load(path)
    equal(found, ids_of(codes))
    assert notes == NOTES
    assert list(path.parent.iterdir()) == [path], "no partial file is left"


def test_variants_come_back(tmp_path: Path) -> None:
    tokens = np.array([[[3, 4], [5, 0]], [[6, 0], [3, 3]]], np.int32)
    ids = TokenIds(tokens, np.array([[2, 1], [1, 2]], np.int32), VOCABULARY)
    storage.save(ids, tmp_path / "ids", {})
    equal(storage.load(tmp_path / "ids")[0], ids)


def test_users_come_back_and_are_part_of_what_they_are_stored_with(tmp_path: Path) -> None:
    users = UserIds(np.array([[3, 4], [5, 0]], np.int32), np.array([2, 1], np.int32))
    with_users = replace(ids_of([[3], [4]]), users=users)
    storage.save(with_users, tmp_path / "ids", {})
    found = storage.load(tmp_path / "ids")[0]
    assert isinstance(found, TokenIds)
    equal(found, with_users)
    assert found.users is not None
    assert [found.users.code(user) for user in range(2)] == [(3, 4), (5,)]
    storage.save(ids_of([[3], [4]]), tmp_path / "without", {})
    without = storage.load(tmp_path / "without")[0]
    assert isinstance(without, TokenIds)
    assert without.users is None
    assert list(storage.parts(without)[0]) == ["tokens", "lengths"]  # the bytes of before there were users


def test_a_part_comes_back_with_what_ends_it(tmp_path: Path) -> None:
    part = ids_of([[3], [4, 5], [5, 6]]).of_items(slice(1, 3))
    assert part.append_eos
    storage.save(part, tmp_path / "ids", {})
    equal(storage.load(tmp_path / "ids")[0], part)


def test_a_trained_vocabulary_writes_as_before(tmp_path: Path) -> None:
    vocabulary = Vocabulary.trained(["lego city police", "lego café; fire"] * 3, 60, reserved=[";"])
    text = "lego city; café"
    storage.save(ids_of([vocabulary.encode(text)], vocabulary), tmp_path / "ids", {})
    found = storage.load(tmp_path / "ids")[0].vocabulary
    assert found.encode(text) == vocabulary.encode(text)
    assert found.decode(found.encode(text)) == vocabulary.decode(vocabulary.encode(text))


def test_a_language_models_vocabulary_comes_back(t5_tokenizer: Path, tmp_path: Path) -> None:
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    ids = ids_of([vocabulary.encode("lego city")], vocabulary)
    storage.save(ids, tmp_path / "ids", {})
    found = storage.load(tmp_path / "ids")[0]
    assert (found.tokens.tolist(), found.lengths.tolist()) == (ids.tokens.tolist(), ids.lengths.tolist())
    assert found.vocabulary.fingerprint == vocabulary.fingerprint  # a checkpoint is found by it when a run goes on
    texts = ["lego city police", "Ticket to Ride: Europe ; Café ?", "日本"]
    assert found.vocabulary.encode_batch(texts) == vocabulary.encode_batch(texts)
    rows = (found.vocabulary.size, found.vocabulary.pad, found.vocabulary.eos, found.vocabulary.unk)
    assert rows == (32128, 0, 1, 2)
    assert found.vocabulary.language_model


def test_equal_identifiers_are_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """safetensors keeps its metadata in a hash table with a seed of its own: several keys come out in any order."""
    script = (
        "import sys, pathlib; from bench.ids import storage; from bench.ids.identifiers import TokenIds, Template;"
        "from bench.vocabulary import Vocabulary;"
        "ids = TokenIds.from_lists([[3], [4, 5]], Vocabulary.private('abcd'), Template('né', ' ; ', '?'));"
        f"[storage.save(ids, pathlib.Path(sys.argv[1], str(n)), {NOTES!r}) for n in range(8)]"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=env, check=True)
    storage.save(ids_of([[3], [4, 5]]), tmp_path / "here", NOTES)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {(tmp_path / "here").read_bytes()}


def test_other_identifiers_replace_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    storage.save(ids_of([[3, 4, 5, 6]] * 9), path, NOTES)
    storage.save(ids_of([[4]]), path, {})
    equal(storage.load(path)[0], ids_of([[4]]))


def test_corruption_is_named_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    storage.save(ids_of([[3, 4], [5, 6]]), path, NOTES)
    whole = path.read_bytes()
    for size in (0, 7, 50, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "is corrupt" in message(path)
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "is corrupt" in message(path)


def test_what_may_not_be_read_is_not_called_corrupt(tmp_path: Path, forbidden: Forbidden) -> None:
    path = tmp_path / "ids"
    storage.save(ids_of([[3, 4], [5, 6]]), path, NOTES)
    with forbidden(path):
        assert "may not be read by this user (Permission denied)" in message(path)
    equal(storage.load(path)[0], ids_of([[3, 4], [5, 6]]))


@pytest.mark.parametrize("metadata", [None, {"bench": "{}"}, {"bench": "[]"}, {"other": "1"}])
def test_another_kind_of_file_is_named(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "ids"
    save_file({"tokens": np.full((1, 1, 1), 3, np.int32), "lengths": np.ones((1, 1), np.int32)}, path, metadata)
    assert "is corrupt" in message(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in message(tmp_path / "ids")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=f"cannot write identifiers to '{tmp_path}/file/ids'"):
        storage.save(ids_of([[3]]), tmp_path / "file" / "ids", {})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ids"
    storage.save(ids_of([[3]]), path, NOTES)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BenchError, match="No space left on device"):
        storage.save(ids_of([[4]]), path, {})
    assert list(tmp_path.iterdir()) == [path]
    equal(storage.load(path)[0], ids_of([[3]]))


def test_the_table_is_readable_by_people(tmp_path: Path) -> None:
    ids = ids_of([[3], [5, 4], [5, 4]])
    found = storage.table(ids, ItemTable(("x", "y", "z"), {"brand": ("1", "2", "3"), "title": ("A", "", "C")}))
    assert found.to_dict("list") == {
        "item": ["x", "y", "z"],
        "title": ["A", "", "C"],
        "identifier": ["a", "c b", "c b"],
        "tokens": [(3,), (5, 4), (5, 4)],
    }
    found.to_parquet(tmp_path / "ids.parquet")
    assert (tmp_path / "ids.parquet").stat().st_size > 0


@pytest.mark.parametrize(("text", "titles"), [({}, ["", ""]), ({"name": ("A", "B"), "brand": ("1", "2")}, ["A", "B"])])
def test_without_a_title_the_first_text_stands_for_it(text: dict[str, tuple[str, ...]], titles: list[str]) -> None:
    assert storage.table(ids_of([[3], [4]]), ItemTable(("x", "y"), text))["title"].tolist() == titles
