"""A file is there whole or as it was, whatever stops its writing, and the system's refusal is one line."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bench import files, processes
from bench.errors import BenchError
from bench.files import atomic_write, replacing, require_readable, write_json

Forbidden = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The operating system refuses to write more bytes than these to any file, as where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.json"
    path.write_text("old")
    return path


def untouched(path: Path) -> bool:
    return path.read_text() == "old" and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("way", [atomic_write, lambda path: replacing(path, "results")])
def test_the_old_file_stays_until_the_new_one_is_whole(
    path: Path, way: Callable[[Path], contextlib.AbstractContextManager[Path]]
) -> None:
    with way(path) as partial:
        partial.write_text("ne")
        assert path.read_text() == "old"
        assert partial.parent == path.parent, "on another disk it could not be renamed"
        assert partial.name.startswith("."), "no glob finds it"
        partial.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


def test_folders_are_made(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a" / "b" / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, BenchError])
def test_what_stops_the_block_goes_on_as_it_is(path: Path, stop: type[BaseException]) -> None:
    def write() -> None:
        with replacing(path, "results") as partial:
            partial.write_text("ne")
            raise stop("of its own")

    with pytest.raises(stop, match=r"^of its own$"):
        write()
    assert untouched(path)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_file_has_the_rights_of_any_new_file_however_it_was_written(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for name, write in {
            "text": lambda partial: partial.write_text("new"),
            "tensors": lambda partial: save_file({"a": np.ones(3)}, partial),  # by way of a private temporary file
        }.items():
            with atomic_write(tmp_path / name) as partial:
                write(partial)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)


def test_a_file_that_may_not_be_read_is_told_from_one_that_is_not_there(path: Path, forbidden: Forbidden) -> None:
    require_readable(path)
    require_readable(path.with_name("missing"))
    require_readable(path.parent)
    with forbidden(path), pytest.raises(BenchError) as caught:
        require_readable(path)
    assert str(caught.value) == (
        f"'{path}' may not be read by this user (Permission denied); ask its owner to allow it, e.g. with chmod a+r"
    )


def test_two_processes_do_not_share_the_file_beside(path: Path) -> None:
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert str(os.getpid()) in partial.name


def test_a_block_that_writes_nothing_is_an_error(path: Path) -> None:
    with (
        pytest.raises(BenchError, match=r"cannot write results to '.*file.json': .*No such file"),
        replacing(path, "results"),
    ):
        pass
    assert untouched(path)


def test_a_full_disk_leaves_the_old_file(path: Path) -> None:
    with pytest.raises(OSError, match="too large"), files_of_at_most(100), atomic_write(path) as partial:
        partial.write_text("x" * 200)
    assert untouched(path)
    with pytest.raises(BenchError) as caught, files_of_at_most(100), replacing(path, "results") as partial:
        partial.write_text("x" * 200)
    assert str(caught.value) == f"cannot write results to '{path}': [Errno 27] File too large"
    assert untouched(path)


def test_a_full_disk_under_safetensors_is_the_same_one_line(path: Path) -> None:
    """It raises no OSError: the system's word stands in an exception of the library's own."""
    arrays = {"a": np.ones(1000)}
    with (
        pytest.raises(
            BenchError, match=r"cannot write vectors to '.*file.json': .*File too large.*; free some"
        ) as caught,
        files_of_at_most(100),
        replacing(path, "vectors", "free some space") as partial,
    ):
        save_file(arrays, partial)
    assert "\n" not in str(caught.value)
    assert untouched(path)
    with replacing(path, "vectors", "free some space") as partial:
        save_file(arrays, partial)
    assert load_file(path)["a"].tolist() == arrays["a"].tolist()


def test_a_folder_that_cannot_be_and_a_folder_in_the_way_are_named(tmp_path: Path, path: Path) -> None:
    refused = f"cannot write results to '{path}/deep': .*File exists: '{path}'; try another"
    with pytest.raises(BenchError, match=refused), replacing(path / "deep", "results", "try another") as partial:
        partial.write_text("new")
    assert untouched(path)
    (tmp_path / "folder").mkdir()
    refused = r"cannot write results to '[^']*folder': \[Errno 21\] Is a directory$"  # and no temporary name
    with pytest.raises(BenchError, match=refused), replacing(tmp_path / "folder", "results") as partial:
        partial.write_text("new")
    assert sorted(os.listdir(tmp_path)) == ["file.json", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_the_right_to_write_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(BenchError, match="Permission denied"), replacing(tmp_path / "locked" / "file", "it") as partial:
        partial.write_text("new")


def test_json_is_read_back_as_it_was_and_half_of_it_is_never_seen(path: Path) -> None:
    value = {"b": [1, 0.1 + 0.2], "a": {"none": None}}
    write_json(path, value)
    read = json.loads(path.read_text())
    assert (read, list(read)) == (value, ["b", "a"])
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    assert json.loads(path.read_text()) == value
    assert list(path.parent.iterdir()) == [path]


def test_what_a_process_was_writing_is_left_behind_when_it_is_dead_and_not_waited_for(tmp_path: Path) -> None:
    """A container whose first process waits for nobody keeps dead ones in its table for good."""
    child = os.fork()
    if not child:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        path = tmp_path / f".a.json.{files.place()}-{child}-{processes.start_of(child):.0f}-01234567.tmp"
        path.touch()
        assert files.left_behind(path)
    finally:
        os.waitpid(child, 0)


def test_a_name_that_does_not_say_when_its_process_began_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / f".a.json.{files.place()}-999999999-01234567.tmp"
    path.touch()
    assert not files.is_temporary(path)
    assert files.remove_left_behind(tmp_path, alone=True) == []
    assert files.is_temporary(path.with_name(path.name.replace("-0123", "-5-0123")))


def test_a_name_that_is_too_long_is_one_readable_line(tmp_path: Path) -> None:
    said = r"'x{40}…' is a name of 300 letters, which is too long for a file here; .*; give a shorter name"
    with pytest.raises(BenchError, match=said) as caught:
        files.refuse_long(tmp_path / ("x" * 300) / "results")
    assert len(str(caught.value)) < 200
    for write in (files.replacing(tmp_path / ("x" * 300), "it"), files.output(tmp_path / ("x" * 300), "it")):
        with pytest.raises(BenchError, match=f"cannot write it: {said}"), write as partial:
            partial.write_text("something")
    files.refuse_long(tmp_path / "x" / "results")
    with pytest.raises(BenchError, match=said):
        files.refuse_long(tmp_path / "not" / "yet" / ("x" * 300) / "there")


def test_what_another_process_of_the_same_number_was_writing_is_left_behind(tmp_path: Path) -> None:
    path = files.beside(tmp_path / "a.json")
    path.touch()
    os.utime(path, (1e9, 1e9))  # as a file server may have it whose clock is behind
    assert not files.left_behind(path)
    start = f"{processes.start_of(os.getpid()):.0f}"
    other = path.with_name(path.name.replace(f"-{start}-", f"-{int(start) - 1}-"))
    assert other != path
    assert files.left_behind(other)


def test_times_of_files_are_compared_with_the_clock_of_their_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.now(tmp_path / "not" / "there" / "yet")
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert before <= files.now(tmp_path) < before + 60
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(PermissionError))
    assert files.now(tmp_path) == before - 3600, "where nothing can be written, and so nobody can be at work"


def test_who_is_alone_in_a_folder_removes_whatever_was_being_written_there(tmp_path: Path) -> None:
    path = files.beside(tmp_path / "a.json")
    for each in (path, tmp_path / ".hidden.tmp"):
        each.touch()
    assert files.remove_left_behind(tmp_path) == []
    assert files.remove_left_behind(tmp_path, alone=True) == [path]
    assert [each.name for each in tmp_path.iterdir()] == [".hidden.tmp"]


def killed_within_safetensors(folder: Path) -> list[Path]:
    """What a process leaves that is killed while safetensors writes."""
    code = "import sys, numpy, safetensors.numpy as s; s.save_file({'x': numpy.zeros(1 << 24)}, sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", code, folder / "x.safetensors"]) as writer:
        while not any(folder.iterdir()) and writer.poll() is None:
            pass
        writer.kill()
    return list(folder.iterdir())


def test_what_safetensors_was_writing_is_left_behind_after_a_day_or_for_who_is_alone(tmp_path: Path) -> None:
    """It writes under a name of its own and renames that: a process that is killed in between leaves it."""
    for _ in range(20):
        if (tmp_path / "x.safetensors") not in (found := killed_within_safetensors(tmp_path)):
            break
        (tmp_path / "x.safetensors").unlink()  # it was quicker
    (path,) = found
    assert files.is_temporary(path), path.name
    assert files.remove_left_behind(tmp_path) == []
    os.utime(path, (1e9, 1e9))
    assert files.left_behind(path)
    assert files.remove_left_behind(tmp_path, alone=True) == [path]


def test_a_folder_is_there_whole_with_the_rights_of_new_files_or_not_at_all(tmp_path: Path) -> None:
    left = tmp_path / f".out.{files.place()}-999999999-1-01234567.tmp"
    (left / "model").mkdir(parents=True)
    busy = files.beside(tmp_path / "out")
    busy.mkdir()
    mask = os.umask(0o027)
    try:
        with files.new_folder(tmp_path / "out") as partial:
            (partial / "below").mkdir()
            save_file({"a": np.zeros(3)}, partial / "below" / "a.safetensors")
            assert not left.exists()
    finally:
        os.umask(mask)
    assert (tmp_path / "out" / "below" / "a.safetensors").stat().st_mode & 0o777 == 0o640
    with pytest.raises(ValueError, match="no"), files.new_folder(tmp_path / "out", tmp_path / ".old"):
        raise ValueError("no")
    with files.new_folder(tmp_path / "out", tmp_path / ".old") as partial:
        (partial / "new").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"out", "new", busy.name}


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", "1" * 10_000])
def test_whatever_is_wrong_with_json_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        files.read_json(tmp_path / "a.json")
