"""A cell is whole or it is not there; one process at a time may build it; nothing half-written survives."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.results import store
from bench.results.store import Cell, building, finished, partial_folder, recover, writable, write_json

CELL = Cell("toys", "0123456789abcdef", "textual/title", 2, {}, "c0ffee00", 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return CELL.folder(tmp_path)


def build(folder: Path, content: str, fresh: bool = False, stop: BaseException | None = None) -> None:
    with building(folder, fresh) as partial:
        (partial / "result.json").write_text(content)
        if stop is not None:
            raise stop


def test_a_cell_has_a_place_that_can_be_read(tmp_path: Path, folder: Path) -> None:
    assert folder.relative_to(tmp_path).as_posix() == "runs/toys/textual-title@2/c0ffee00-012345/7"
    assert CELL.title == "textual/title on toys, seed 7"


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "beauty"},
        {"fingerprint": "f" * 16},
        {"scheme": "textual/other"},
        {"version": 3},
        {"settings": {"words": 6}},
        {"contract_id": "deadbeef"},
        {"seed": 8},
    ],
)
def test_no_two_cells_share_a_place(tmp_path: Path, folder: Path, change: dict[str, Any]) -> None:
    assert replace(CELL, **change).folder(tmp_path) != folder


def test_settings_make_a_place_of_their_own_whatever_their_order(tmp_path: Path) -> None:
    first, second, third = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1})
    places = [replace(CELL, settings=settings).folder(tmp_path) for settings in (first, second, third)]
    assert places[0] == places[1] != places[2]


def test_a_cell_appears_when_it_is_whole(folder: Path) -> None:
    with building(folder, fresh=False) as partial:
        assert partial == partial_folder(folder)
        (partial / "result.json").write_text("{}")
        assert not finished(folder)
    assert finished(folder)
    assert not partial.exists()


def test_what_was_stopped_is_there_when_it_goes_on(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(folder, "first", stop=KeyboardInterrupt())
    assert not folder.exists()
    with building(folder, fresh=False) as partial:
        assert (partial / "result.json").read_text() == "first"
        os.rename(partial / "result.json", partial / "kept")
    assert os.listdir(folder) == ["kept"]


def test_a_fresh_start_finds_nothing(folder: Path) -> None:
    partial_folder(folder).mkdir(parents=True)
    (partial_folder(folder) / "stage-0.safetensors").touch()
    build(folder, "second", fresh=True)
    assert os.listdir(folder) == ["result.json"]


def test_what_was_being_written_when_a_process_was_killed_is_thrown_away(folder: Path) -> None:
    partial = partial_folder(folder)
    partial.mkdir(parents=True)
    (partial / ".log.jsonl.4711").write_text("hal")
    (partial / "log.jsonl").write_text("whole")
    build(folder, "{}")
    assert sorted(os.listdir(folder)) == ["log.jsonl", "result.json"]


def test_checkpoints_go_only_when_the_cell_is_in_its_place(folder: Path) -> None:
    partial_folder(folder).mkdir(parents=True)
    (partial_folder(folder) / "stage-0-abc.safetensors").touch()
    build(folder, "{}")
    assert os.listdir(folder) == ["result.json"]


def test_a_cell_killed_before_its_renaming_is_whole(folder: Path) -> None:
    partial_folder(folder).mkdir(parents=True)
    (partial_folder(folder) / "result.json").write_text("{}")
    recover(folder)
    assert finished(folder)
    assert not partial_folder(folder).exists()


def test_a_cell_killed_between_its_renamings_keeps_the_new_result(folder: Path) -> None:
    for place, text in ((folder.with_name(f".{folder.name}.old"), "old"), (partial_folder(folder), "new")):
        place.mkdir(parents=True)
        (place / "result.json").write_text(text)
    recover(folder)
    assert (folder / "result.json").read_text() == "new"
    assert sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) == [folder.name]


def test_an_old_result_without_a_successor_comes_back(folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    old.mkdir(parents=True)
    (old / "result.json").write_text("old")
    recover(folder)
    assert (folder / "result.json").read_text() == "old"


def test_a_forced_cell_that_was_stopped_is_gone_on_with(folder: Path) -> None:
    build(folder, "first")
    with pytest.raises(KeyboardInterrupt):
        build(folder, "stopped", fresh=True, stop=KeyboardInterrupt())
    (partial_folder(folder) / "result.json").rename(partial_folder(folder) / "kept")
    build(folder, "second", fresh=True)
    assert sorted(os.listdir(folder)) == ["kept", "result.json"]
    build(folder, "third", fresh=True)
    assert os.listdir(folder) == ["result.json"]


def test_the_old_result_stays_until_the_new_one_is_whole(folder: Path) -> None:
    build(folder, "old")
    with pytest.raises(RuntimeError):
        build(folder, "new", fresh=True, stop=RuntimeError())
    assert (folder / "result.json").read_text() == "old"
    build(folder, "new", fresh=True)
    assert (folder / "result.json").read_text() == "new"
    assert [name for name in os.listdir(folder.parent) if not name.endswith(".lock")] == ["7"]


def test_two_processes_do_not_build_one_cell(folder: Path) -> None:
    with building(folder, fresh=False) as partial:
        (partial / "result.json").write_text("{}")
        with pytest.raises(BenchError, match=f"another process is working on '{folder}'; wait for it, or name another"):
            build(folder, "other", fresh=True)
        assert (partial / "result.json").exists()
    assert finished(folder)


def test_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write results to '.*file.*': .*irectory; name another") as caught:
        build(CELL.folder(tmp_path / "file"), "{}")
    assert "\n" not in str(caught.value)


def test_refusals_of_the_system_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "runs"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BenchError, match=f"cannot write results to '{tmp_path}/runs': Permission denied"):
        build(CELL.folder(tmp_path), "{}")


def test_an_error_of_the_work_itself_keeps_its_face(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build(folder, "{}", stop=FileNotFoundError("a plugin's own business"))
    with pytest.raises(BenchError, match="No space left"), writable(folder):
        raise OSError(28, "No space left on device")


def test_json_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"b": 0.1 + 0.2, "a": [None, "ä"]})
    assert json.loads(path.read_text()) == {"b": 0.1 + 0.2, "a": [None, "ä"]}
    assert list(json.loads(path.read_text())) == ["b", "a"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write_json(path, {"c": 1})
    assert json.loads(path.read_text())["b"] == 0.1 + 0.2
