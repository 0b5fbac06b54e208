"""A run is whole or it is not there; one process at a time may build it; nothing half-written survives."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import files
from bench.errors import BenchError
from bench.results import digests, store
from bench.results.store import (
    Begun,
    begun_as,
    building,
    finished,
    partial_folder,
    readable,
    recover,
    writable,
    write_json,
)

BEGUN = Begun({"scheme": "one", "seed": 7}, {"bench": "c0ffee"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"


WRITING = """
import os, signal, sys
from pathlib import Path
from bench.files import atomic_write
with atomic_write(Path(sys.argv[1])) as partial:
    partial.write_text("hal")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def build(folder: Path, content: str, begun: Begun = BEGUN, stop: BaseException | None = None) -> None:
    with building(folder, begun) as partial:
        (partial / "result.json").write_text(content)
        if stop is not None:
            raise stop


def interrupt(folder: Path, begun: Begun = BEGUN) -> None:
    """Leave a partial folder with a checkpoint."""
    with contextlib.suppress(KeyboardInterrupt), building(folder, begun) as partial:
        (partial / "stage-0.safetensors").write_text("half")
        raise KeyboardInterrupt


FORCED = replace(BEGUN, forced=True)


def test_a_run_appears_when_it_is_whole(folder: Path) -> None:
    with building(folder, BEGUN) as partial:
        assert partial == partial_folder(folder)
        (partial / "result.json").write_text("{}")
        assert not finished(folder)
    assert finished(folder)
    assert not partial.exists()


def test_what_was_stopped_is_there_when_it_is_resumed(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(folder, "first", stop=KeyboardInterrupt())
    assert not folder.exists()
    with building(folder, BEGUN) as partial:
        assert (partial / "result.json").read_text() == "first"
        os.rename(partial / "result.json", partial / "kept")
    assert os.listdir(folder) == ["kept"]


def test_a_fresh_start_finds_nothing(folder: Path) -> None:
    interrupt(folder)
    build(folder, "second", FORCED)
    assert os.listdir(folder) == ["result.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": {"bench": "other"}}, "code of bench c0ffee and other"),
        ({"code": {"bench": "c0ffee", "torch": "3"}}, "code of torch absent and 3"),
        ({"identity": {"scheme": "two", "seed": 7}}, "scheme one and two"),
    ],
)
def test_what_was_begun_otherwise_is_not_resumed_without_a_word(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    interrupt(folder)
    other = replace(BEGUN, **change)
    with pytest.raises(BenchError, match=f"was begun with other settings or code: {said}; --force") as caught:
        build(folder, "{}", other)
    assert "\n" not in str(caught.value)
    assert (partial_folder(folder) / "stage-0.safetensors").exists()
    assert begun_as(folder) == BEGUN
    build(folder, "{}", replace(other, forced=True))
    assert os.listdir(folder) == ["result.json"]


def test_a_forced_run_that_was_begun_otherwise_starts_afresh(folder: Path) -> None:
    interrupt(folder, FORCED)
    with building(folder, replace(FORCED, code={"bench": "other"})) as partial:
        assert os.listdir(partial) == [store.BEGUN]
        (partial / "result.json").write_text("{}")


def test_a_partial_folder_that_does_not_say_what_it_is_starts_afresh(folder: Path) -> None:
    interrupt(folder)
    (partial_folder(folder) / store.BEGUN).write_text("{")
    build(folder, "{}")
    assert os.listdir(folder) == ["result.json"]


def test_what_was_being_written_when_a_process_was_killed_is_thrown_away(folder: Path) -> None:
    interrupt(folder)
    partial = partial_folder(folder)
    half = subprocess.run(
        [sys.executable, "-c", WRITING, str(partial / "log.jsonl")], capture_output=True, text=True, check=False
    )
    assert (half.returncode, len(os.listdir(partial))) == (-signal.SIGKILL, 3)
    (partial / ".ipynb_checkpoints").mkdir()
    (partial / ".hidden").write_text("a person's")
    (partial / "log.jsonl").write_text("whole")
    build(folder, "{}")
    assert sorted(os.listdir(folder)) == [".hidden", ".ipynb_checkpoints", "log.jsonl", "result.json"]


def test_a_link_in_an_unfinished_run_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """Whoever makes a results folder could have bench write, or remove, files elsewhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".profile").write_text("mine")
    partial_folder(folder).parent.mkdir(parents=True)
    partial_folder(folder).symlink_to(tmp_path / "home")
    with pytest.raises(BenchError, match=r"has a symbolic link, '.*', which bench does not follow; remove the link"):
        build(folder, "{}")
    partial_folder(folder).unlink()
    interrupt(folder)
    (partial_folder(folder) / "log.jsonl").symlink_to(tmp_path / "home" / ".profile")
    with pytest.raises(BenchError, match=r"has a symbolic link, '.*log.jsonl'"):
        build(folder, "{}")
    assert {path.name: path.read_text() for path in (tmp_path / "home").iterdir()} == {".profile": "mine"}


def test_everything_is_on_the_disk_before_it_gets_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renaming may reach the disk before the content does: a power cut would then leave empty files."""
    synced: list[Path] = []

    def look(step: str, path: Path) -> None:
        if step == "sync":
            synced.append(path)
        if step == "rename" and path == folder:
            below = {found for found in partial_folder(folder).rglob("*") if found.name != store.BEGUN}
            assert below <= set(synced)
            assert partial_folder(folder) in synced

    monkeypatch.setattr(files, "hook", look)
    with building(folder, BEGUN) as partial:
        (partial / "deep").mkdir()
        for name in ("result.json", "deep/tensors"):
            (partial / name).write_text("{}")
    assert synced[-1] == folder.parent


def test_checkpoints_go_only_when_the_run_is_in_its_place(folder: Path) -> None:
    interrupt(folder)
    with building(folder, BEGUN) as partial:
        assert (partial / "stage-0.safetensors").read_text() == "half"
        (partial / "result.json").write_text("{}")
    assert os.listdir(folder) == ["result.json"]


def test_a_run_killed_before_its_renaming_is_whole(folder: Path) -> None:
    partial_folder(folder).mkdir(parents=True)
    (partial_folder(folder) / "result.json").write_text("{}")
    recover(folder)
    assert not finished(folder), "without its seal it may still be under way"
    digests.seal(partial_folder(folder))
    recover(folder)
    assert finished(folder)
    assert not partial_folder(folder).exists()


def test_a_run_killed_between_its_renamings_keeps_the_new_result(folder: Path) -> None:
    for place, text in ((folder.with_name(f".{folder.name}.old"), "old"), (partial_folder(folder), "new")):
        place.mkdir(parents=True)
        (place / "result.json").write_text(text)
        digests.seal(place)
    assert readable(folder.parents[3]) == [partial_folder(folder) / "result.json"]
    recover(folder)
    assert readable(folder.parents[3]) == [folder / "result.json"]
    assert (folder / "result.json").read_text() == "new"
    assert sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) == [folder.name]


def test_an_old_result_without_a_successor_comes_back(folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    old.mkdir(parents=True)
    (old / "result.json").write_text("old")
    recover(folder)
    assert (folder / "result.json").read_text() == "old"


def test_a_forced_run_that_was_stopped_is_resumed(folder: Path) -> None:
    build(folder, "first")
    with pytest.raises(KeyboardInterrupt):
        build(folder, "stopped", FORCED, stop=KeyboardInterrupt())
    (partial_folder(folder) / "result.json").rename(partial_folder(folder) / "kept")
    build(folder, "second", FORCED)
    assert sorted(os.listdir(folder)) == ["kept", "result.json"]
    build(folder, "third", FORCED)
    assert os.listdir(folder) == ["result.json"]


def test_the_old_result_stays_until_the_new_one_is_whole(folder: Path) -> None:
    build(folder, "old")
    with pytest.raises(RuntimeError):
        build(folder, "new", FORCED, stop=RuntimeError())
    assert (folder / "result.json").read_text() == "old"
    build(folder, "new", FORCED)
    assert (folder / "result.json").read_text() == "new"
    assert [name for name in os.listdir(folder.parent) if "lease" not in name] == ["7"]


def test_two_processes_do_not_build_one_run(folder: Path) -> None:
    with building(folder, BEGUN) as partial:
        (partial / "result.json").write_text("{}")
        with pytest.raises(BenchError, match=f"another process .* is working on '{folder}'; wait for it"):
            build(folder, "other", FORCED)
        assert (partial / "result.json").exists()
    assert finished(folder)


def test_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write results to '.*file.*': .*irectory; name another") as caught:
        build(tmp_path / "file" / "runs" / "7", "{}")
    assert "\n" not in str(caught.value)


def test_refusals_of_the_system_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "runs"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BenchError, match=f"cannot write results to '{tmp_path}/runs': Permission denied"):
        build(tmp_path / "runs" / "7", "{}")


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

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write_json(path, {"c": 1})
    assert json.loads(path.read_text())["b"] == 0.1 + 0.2
