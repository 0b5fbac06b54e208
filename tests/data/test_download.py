"""Downloads from a real server on the loopback interface that cuts, refuses, lies, and changes its mind."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.data import download
from bench.data.download import RetryPolicy, fetch
from bench.errors import BenchError

QUICK = RetryPolicy(attempts=4, first_wait=0.0, timeout=5.0)
BODY = random.Random(7).randbytes(1_000_003)


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.positions: list[tuple[int, int | None]] = []

    def start(self, what: str) -> None:
        pass

    def update(self, done: int, total: int | None) -> None:
        self.positions.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def target(web: Any, tmp_path: Path) -> Path:
    web.files["file"] = BODY
    return tmp_path / "folder" / "file"


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_file_arrives_whole_and_nothing_else_is_left(web: Any, target: Path) -> None:
    told = Told()
    fetch(web.url("file"), target, told, QUICK)
    assert target.read_bytes() == BODY
    assert leftovers(target) == []
    assert told.positions[-1] == (len(BODY), len(BODY))
    assert told.notes == []


def test_a_cut_connection_is_continued_where_it_was_cut(web: Any, target: Path) -> None:
    web.faults["file"] = [("cut", 300_000), ("cut", 1), ("cut", 400_000)]
    told = Told()
    fetch(web.url("file"), target, told, QUICK)
    assert target.read_bytes() == BODY
    assert [range_ for _, range_ in web.asked] == [None, "bytes=300000-", "bytes=300001-", "bytes=700001-"]
    assert len(told.notes) == 3
    assert "the connection ended after 300,000 of 1,000,003 bytes" in told.notes[0]


def test_a_file_of_unknown_length_arrives(web: Any, target: Path) -> None:
    web.lengths = False
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("lacking", ["ranges", "validators"])
def test_what_cannot_be_continued_begins_anew(web: Any, target: Path, lacking: str) -> None:
    setattr(web, lacking, False)
    web.faults["file"] = [("cut", 10_000), ("cut", 20_000)]
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY
    if lacking == "validators":  # nobody could tell whether it is still the same file
        assert [range_ for _, range_ in web.asked] == [None] * 3


def test_the_next_call_continues_and_versions_never_mix(web: Any, target: Path) -> None:
    once = RetryPolicy(attempts=1, first_wait=0.0)
    web.faults["file"] = [("cut", 500_000)]
    with pytest.raises(BenchError, match=r"500,000 bytes are kept: rerun to resume"):
        fetch(web.url("file"), target, None, once)
    assert not target.exists()
    web.files["file"] = BODY[::-1]  # a new version of the file
    web.faults["file"] = [("cut", 600_000)]
    with pytest.raises(BenchError, match="600,000 bytes are kept"):
        fetch(web.url("file"), target, None, once)
    fetch(web.url("file"), target, None, once)
    assert target.read_bytes() == BODY[::-1]
    assert [range_ for _, range_ in web.asked] == [None, "bytes=500000-", "bytes=600000-"]


def test_a_part_of_another_address_is_not_continued(web: Any, target: Path) -> None:
    web.files["other"] = BODY[:700_000]
    web.faults["file"] = [("cut", 500_000)]
    with pytest.raises(BenchError, match="are kept"):
        fetch(web.url("file"), target, None, RetryPolicy(attempts=1))
    fetch(web.url("other"), target, None, QUICK)
    assert target.read_bytes() == BODY[:700_000]
    assert web.asked[-1] == ("other", None)


def test_a_part_that_is_whole_already_is_taken(web: Any, target: Path) -> None:
    target.parent.mkdir()
    part = target.with_name("file.part")
    part.write_bytes(BODY)
    tag = f'"{hashlib.sha256(BODY).hexdigest()[:16]}"'
    part.with_name("file.part.json").write_text(json.dumps({"url": web.url("file"), "validator": tag}))
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY
    assert web.asked == [("file", f"bytes={len(BODY)}-")]
    assert leftovers(target) == []


def test_a_part_longer_than_the_file_is_thrown_away(web: Any, target: Path) -> None:
    target.parent.mkdir()
    part = target.with_name("file.part")
    part.write_bytes(BODY + b"more")
    tag = f'"{hashlib.sha256(BODY).hexdigest()[:16]}"'
    part.with_name("file.part.json").write_text(json.dumps({"url": web.url("file"), "validator": tag}))
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 3}'])
def test_a_part_whose_note_is_broken_begins_anew(web: Any, target: Path, note: str) -> None:
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"junk")
    target.with_name("file.part.json").write_text(note)
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY


def test_a_server_that_sends_another_part_is_not_believed(web: Any, target: Path) -> None:
    web.faults["file"] = [("cut", 1_000), ("range", "bytes 5-9/1000003")]
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY
    assert [range_ for _, range_ in web.asked] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(web: Any, target: Path, code: int) -> None:
    web.faults["file"] = [("status", code, {"Retry-After": "0"}), ("status", code, {})]
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY
    assert len(web.asked) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_does_not_pass_is_said_at_once(web: Any, target: Path, code: int) -> None:
    web.faults["file"] = [("status", code, {})] * 9
    with pytest.raises(BenchError, match=rf"cannot download {web.url('file')}: the server answers {code} "):
        fetch(web.url("file"), target, None, QUICK)
    assert len(web.asked) == 1
    assert list(target.parent.iterdir()) == []


def test_a_server_that_never_gets_well_is_given_up(web: Any, target: Path) -> None:
    web.faults["file"] = [("status", 503, {})] * 9
    with pytest.raises(BenchError, match=r"503 Service Unavailable \(4 attempts\)"):
        fetch(web.url("file"), target, None, QUICK)
    assert len(web.asked) == 4


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(
        BenchError, match=r"cannot download http://127.0.0.1:9/file: ConnectionRefusedError.*4 attempts"
    ):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", None, QUICK)


def test_a_redirection_is_followed_and_continued(web: Any, target: Path) -> None:
    to = ("status", 302, {"Location": web.url("file")})
    web.faults["moved"] = [to, to]
    web.faults["file"] = [("cut", 1_000)]
    fetch(web.url("moved"), target, None, QUICK)
    assert target.read_bytes() == BODY
    assert ("file", "bytes=1000-") in web.asked


def test_only_http_is_spoken(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("text")
    with pytest.raises(BenchError, match="must begin with https:// or http://"):
        fetch((tmp_path / "secret").as_uri(), tmp_path / "copy")


def test_waiting_doubles_to_a_bound_and_a_server_may_ask_for_more() -> None:
    retry = RetryPolicy(first_wait=1.0, longest_wait=10.0)
    assert [retry.wait(failures, 0.0) for failures in range(1, 6)] == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert retry.wait(1, 7.0) == 7.0
    assert retry.wait(1, 3600.0) == 10.0


def test_a_disk_without_room_is_found_before_the_download(
    web: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 999_999

    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(
        BenchError, match=r"1,000,003 bytes are needed and 999,999 are free; make room, or name another"
    ):
        fetch(web.url("file"), target, None, QUICK)


LIMITED = """
import resource, sys
from pathlib import Path
from bench.data.download import fetch
from bench.errors import BenchError
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    fetch(sys.argv[1], Path(sys.argv[2]))
except BenchError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits of POSIX")
def test_a_disk_that_fills_is_one_line_and_the_rest_follows_later(web: Any, target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, web.url("file"), target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout
    assert "make room and rerun to resume, or name another folder with --data-dir" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not target.exists()
    fetch(web.url("file"), target, None, QUICK)
    assert target.read_bytes() == BODY
    assert web.asked[-1][1] is not None


def test_a_folder_that_cannot_be_made_is_one_line(web: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write .* name another folder with --data-dir"):
        fetch(web.url("file"), tmp_path / "file" / "inside", None, QUICK)
