"""What a user names as a place for output is written through: links, pipes and devices stay what they are."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench import files
from bench.errors import BenchError
from bench.files import is_stream, output

WRITE = """
import sys
from pathlib import Path
from bench.files import output
print("before")
with output(Path(sys.argv[1]), "the report") as path:
    path.write_text("report\\n")
"""


def write(path: Path, text: str = "new") -> None:
    with output(path, "the report") as unfinished:
        unfinished.write_text(text)


def written_by_process(path: str, shell: str = "") -> str:
    command = [sys.executable, "-c", WRITE, path]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_loop_of_links_is_refused_and_stays(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).symlink_to(other)
    with pytest.raises(BenchError, match="Too many levels of symbolic links"), output(tmp_path / "a", "the report"):
        pass
    assert (tmp_path / "a").is_symlink()


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    real, link, second = tmp_path / "kept" / "real.md", tmp_path / "link.md", tmp_path / "second.md"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to("kept/real.md")
    second.symlink_to(link)
    write(second)
    assert (second.is_symlink(), link.is_symlink(), real.read_text()) == (True, True, "new")
    assert os.listdir(real.parent) == ["real.md"]


def test_a_link_to_nothing_makes_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("later.md")
    write(tmp_path / "link.md")
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "later.md").read_text() == "new"


def test_a_pipe_gives_its_reader_everything(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe.md", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    text = "a line\n" * 50_000  # more than the system keeps of a pipe
    write(pipe, text)
    reader.join(30)
    assert read == [text]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_that_nobody_reads_is_one_line_and_no_wait_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READER_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(BenchError, match=r"^cannot write the report to .*: nobody has opened the pipe for reading"):
        write(tmp_path / "pipe.md")
    assert stat.S_ISFIFO((tmp_path / "pipe.md").stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    write(null)
    assert stat.S_ISCHR(null.stat().st_mode)
    full = tmp_path / "full"
    os.mknod(full, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    with pytest.raises(BenchError, match=r"cannot write the report to .*No space left"):
        write(full)
    assert stat.S_ISCHR(full.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_after_what_was_printed(name: str, tmp_path: Path) -> None:
    assert written_by_process(name) == "before\nreport\n"
    log = tmp_path / "log"
    written_by_process(name, f"> '{log}'")
    assert log.read_text() == "before\nreport\n", "a file behind standard output is written to, not replaced"


def test_a_link_to_standard_output_is_that(tmp_path: Path) -> None:
    (tmp_path / "out.md").symlink_to("/dev/stdout")
    assert written_by_process(str(tmp_path / "out.md")) == "before\nreport\n"
    assert (tmp_path / "out.md").is_symlink()


def test_nothing_is_written_where_the_block_fails(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.md"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def fail() -> None:
        with output(pipe, "the report") as unfinished:
            unfinished.write_text("half")
            raise ValueError("of its own")

    with pytest.raises(ValueError, match=r"^of its own$"):
        fail()
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_what_is_a_stream_and_what_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    streams = [tmp_path / "pipe", Path("/dev/null"), Path("/dev/stdout"), Path("/dev/fd/1")]
    assert all(map(is_stream, streams))
    assert not any(map(is_stream, [tmp_path, tmp_path / "file", tmp_path / "absent", tmp_path / "file" / "under"]))
