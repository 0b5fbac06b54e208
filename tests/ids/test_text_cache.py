"""Text embeddings are kept by content, and read back as they were."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.text import TextSettings, embed, tfidf_svd

COLORS, THINGS = ("red", "blue", "green", "iron"), ("car", "doll", "robot")

TITLES = [f"{color} {thing} {thing}" for color in COLORS for thing in THINGS]


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


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "text").iterdir())


def test_the_second_time_nothing_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed(view(TITLES, tmp_path), FEW)
    (path,) = kept(tmp_path)
    written = path.stat().st_mtime_ns
    monkeypatch.setattr(text, "tfidf_svd", lambda _: pytest.fail("encoded again"))
    monkeypatch.setattr(text, "projected", lambda *_: pytest.fail("fitted again"))
    again = embed(view(TITLES, tmp_path), FEW)
    assert (again.tobytes(), again.shape, again.dtype) == (first.tobytes(), first.shape, first.dtype)
    assert [(file, file.stat().st_mtime_ns) for file in kept(tmp_path)] == [(path, written)]


def test_mean_and_axes_are_kept_with_the_embeddings(tmp_path: Path) -> None:
    found = embed(view(TITLES, tmp_path), FEW)
    stored = load_file(kept(tmp_path)[0])
    np.testing.assert_allclose((tfidf_svd(TITLES) - stored["mean"]) @ stored["axes"], found, atol=1e-5)


def test_the_file_depends_on_the_content_alone(tmp_path: Path) -> None:
    """Not on the data set's name, the seed, or the interactions: text of items is no secret."""
    first = embed(view(TITLES, tmp_path), FEW)
    other = TrainView("copy", table(*TITLES), Sequences.from_rows([[3, 2], [1]]), 9, cache=tmp_path)
    columns = replace(other, items=ItemTable(other.items.ids, {"name": tuple(TITLES), "price": ("9",) * 12}))
    for train, settings in ((other, FEW), (columns, replace(FEW, fields=("name",), separator="!"))):
        assert embed(train, settings).tobytes() == first.tobytes()
    assert len(kept(tmp_path)) == 1


def test_other_texts_and_settings_have_other_files(tmp_path: Path) -> None:
    train = TrainView("toy", table(*TITLES, brand=("Lego",) * 12), Sequences.from_rows([[0]]), 1, cache=tmp_path)
    changes: list[dict[str, object]] = [
        {},
        {"dimensions": 3},
        {"dimensions": 0},
        {"whiten": False},
        {"fields": ("title",)},
        {"fields": ("brand", "title")},
        {"separator": " x "},
    ]
    for count, change in enumerate(changes, start=1):
        settings = replace(FEW, **change)  # type: ignore[arg-type]
        found = embed(train, settings)
        assert len(kept(tmp_path)) == count
        assert embed(train, settings).tobytes() == found.tobytes()
    embed(view([*TITLES[:-1], "another"], tmp_path), FEW)
    embed(view([*TITLES, "one more"], tmp_path), FEW)
    assert len(kept(tmp_path)) == len(changes) + 2


def test_without_a_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert embed(view(TITLES), FEW).tobytes() == embed(view(TITLES, tmp_path / "cache"), FEW).tobytes()
    assert os.listdir(tmp_path) == ["cache"]


def test_corruption_is_named_wherever_it_is(tmp_path: Path) -> None:
    train = view(TITLES, tmp_path)
    embed(train, FEW)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    named = re.escape(f"the file of text embeddings '{path}' is corrupt (") + r".+\); delete the file and run again"
    for size in (0, 7, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert re.fullmatch(named, refused(lambda: embed(train, FEW)))
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert re.fullmatch(named, refused(lambda: embed(train, FEW)))
    path.unlink()
    embed(train, FEW)
    again = load_file(path)
    path.write_bytes(whole)
    assert all(np.array_equal(again[name], array) for name, array in load_file(path).items())


def test_what_is_read_from_the_cache_counts_with_the_seconds_it_took(tmp_path: Path) -> None:
    first, second = view(TITLES, tmp_path), view(TITLES, tmp_path)
    embed(first, FEW)
    assert first.cached_seconds == []
    embed(second, FEW)
    embed(second, FEW)
    assert second.cached_seconds[0] == second.cached_seconds[1] > 0


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    embed(view(TITLES, tmp_path), FEW)
    (path,) = kept(tmp_path)
    path.unlink()
    path.mkdir()
    assert f"'{path}' is corrupt" in refused(lambda: embed(view(TITLES, tmp_path), FEW))


@pytest.mark.parametrize("metadata", [None, {"bench": "{}"}, {"bench": "[]"}, {"bench": "{"}, {"other": "1"}])
def test_another_kind_of_file_is_named(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    embed(view(TITLES, tmp_path), FEW)
    (path,) = kept(tmp_path)
    save_file({"embeddings": np.ones((12, 4), np.float32)}, path, metadata)
    assert f"'{path}' is corrupt" in refused(lambda: embed(view(TITLES, tmp_path), FEW))


@pytest.mark.parametrize(
    ("titles", "settings"),
    [
        (TITLES[::-1], FEW),
        (TITLES[1:], FEW),
        (TITLES, TextSettings(dimensions=3)),
        (TITLES, replace(FEW, whiten=False)),
    ],
)
def test_the_vectors_of_others_are_not_taken(tmp_path: Path, titles: list[str], settings: TextSettings) -> None:
    embed(view(TITLES, tmp_path / "mine"), FEW)
    embed(view(titles, tmp_path / "others"), settings)
    (mine,), (others,) = kept(tmp_path / "mine"), kept(tmp_path / "others")
    shutil.copy(others, mine)
    found = refused(lambda: embed(view(TITLES, tmp_path / "mine"), FEW))
    assert f"'{mine}' is corrupt (it holds the vectors of another encoder or of other texts)" in found


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = refused(lambda: embed(view(TITLES, tmp_path / "file"), FEW))
    assert found.startswith(f"cannot write text embeddings to '{tmp_path}/file/text/")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # what the system refuses then is no mock
    try:
        found = refused(lambda: embed(view(TITLES, tmp_path), FEW))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.startswith(f"cannot write text embeddings to '{tmp_path}/text/")
    assert "File too large" in found
    assert kept(tmp_path) == []
    embed(view(TITLES, tmp_path), FEW)
    assert len(kept(tmp_path)) == 1
