"""Files by their content: packed or not, in whatever encoding, and those that are no data."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from bench.data.formats.opening import look, reading, text_of
from bench.errors import BenchError

TEXT = "user,item\nä,ö\n" * 3


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_content_is_the_text_however_it_is_stored(tmp_path: Path, packed: str, encoding: str) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(PACKERS[packed](TEXT.encode(encoding)))
    source = look(path)
    assert text_of(source) == TEXT
    assert source.head.decode() == TEXT
    assert (source.compression, source.encoding) == (packed, encoding.replace("-sig", ""))
    assert (source.sha256, source.size) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    with reading(source) as file:
        assert file.read().decode("utf-8-sig") == TEXT


@pytest.mark.parametrize("packed", [name for name in PACKERS if name])
def test_a_file_that_is_cut_short_is_no_shorter_file(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "cut"
    path.write_bytes(PACKERS[packed](TEXT.encode() * 1000)[:-9])
    with pytest.raises(BenchError, match=r"cannot be read: .*; is it whole\?"):
        look(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"PK\x03\x04rest", "is a ZIP archive or a spreadsheet; unpack it, or save its sheet as CSV"),
        (b"  <!DOCTYPE html><html>", "is a web page, as a failed download leaves it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"SQLite format 3\0", "is an SQLite database"),
        (b"a,b\n1,\0\n", r"holds a NUL byte; .* UTF-16 \(--encoding utf-16-le\)"),
    ],
)
def test_what_is_no_data_is_told_as_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(BenchError, match=said):
        look(tmp_path / "f.csv")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(BenchError, match="cannot be read"):
            look(path)


def test_an_encoding_that_is_asked_for_is_held_to(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("日本,語\n".encode("shift_jis"))
    assert text_of(look(tmp_path / "f", "shift_jis")) == "日本,語\n"
    with pytest.raises(BenchError, match="is not in the encoding utf-8"):
        look(tmp_path / "f", "utf-8")
    with pytest.raises(BenchError, match="unknown encoding 'utf-9'"):
        look(tmp_path / "f", "utf-9")


def test_a_letter_that_is_cut_at_the_end_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("aé".encode()[:-1])
    assert look(tmp_path / "f").encoding == "cp1252"
