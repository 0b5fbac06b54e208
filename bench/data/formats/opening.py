"""Files opened by what they hold and not by what they are called: compression, encoding, and what is no data at all."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from bench.errors import BenchError

CHUNK = 1 << 22  # bytes
HEAD = 1 << 16  # bytes that tell what a file is
PARQUET, NUMPY = b"PAR1", b"\x93NUMPY"
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
TAR = (b"ustar\x0000", b"ustar  \0")  # in the middle of the first header; text may hold a "mustard" there
WIDEST = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
NO_DATA = {
    b"PK\x03\x04": "is a ZIP archive or a spreadsheet; unpack it, or save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old spreadsheet; save its sheet as CSV",
    b"version https://git-lfs": "is a Git LFS pointer and not the file itself; run git lfs pull",
    b"<!doctype": "is a web page, as a failed download leaves it",
    b"<html": "is a web page, as a failed download leaves it",
    b"%PDF": "is a PDF",
    b"SQLite format 3": "is an SQLite database; export its table as CSV",
}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


@dataclass(frozen=True)
class Source:
    """A file that was read once from end to end: its digest, how it is packed, and how its text is encoded.

    ``head`` is the beginning of its content, as UTF-8 where it is text; ``encoding`` is empty where it is none.
    """

    path: Path
    sha256: str
    size: int
    compression: str
    encoding: str
    head: bytes

    @property
    def name(self) -> str:
        return self.path.name


def look(path: Path, encoding: str = "") -> Source:
    """Read a file once. BenchError where it cannot be read, is cut short, empty, or nothing that holds a table."""
    with _said(path):
        digest, size, first = hashlib.sha256(), 0, b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                first = first or chunk[:HEAD]
                digest.update(chunk)
                size += len(chunk)
        packed = next((name for magic, name in COMPRESSIONS.items() if first.startswith(magic)), "")
        head, found = _content(path, packed, encoding)
    return Source(path, digest.hexdigest(), size, packed, found, head)


@contextmanager
def reading(source: Source) -> Iterator[BinaryIO]:
    """The content of a source: UTF-8 without a byte order mark where it is text."""
    with _said(source.path), _unpacked(source.path, source.compression) as file:
        if source.encoding in ("", "utf-8"):
            yield file
        else:
            yield io.BufferedReader(_Recoded(file, source.encoding), CHUNK)


def text_of(source: Source) -> str:
    """All of a source that is text."""
    with reading(source) as file:
        return file.read().decode("utf-8-sig")


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        cause = getattr(error, "strerror", None) or " ".join(str(error).split())[:160] or type(error).__name__
        hint = "" if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError) else "; is it whole?"
        raise BenchError(f"'{path}' cannot be read: {cause}{hint}") from error


@contextmanager
def _unpacked(path: Path, compression: str) -> Iterator[BinaryIO]:
    if compression == "zstd":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield stream
        return
    opener = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}.get(compression, open)
    with opener(path, "rb") as file:  # type: ignore[operator]
        yield file


def _content(path: Path, compression: str, asked: str) -> tuple[bytes, str]:
    """The beginning of the unpacked content and its encoding, "" where it is not text. Everything is read."""
    with _unpacked(path, compression) as file:
        first = file.read(CHUNK)
        _refuse(path, first)
        if first.startswith((PARQUET, NUMPY)):
            return first[:HEAD], ""
        encoding = asked or ("utf-32" if first.startswith(WIDEST) else WIDE.get(first[:2], "utf-8"))
        if not _decodes(path, encoding, first, file):
            if asked:
                raise BenchError(f"'{path}' is not in the encoding {asked}; drop --encoding, or name another")
            encoding = "cp1252"
    head = first[:HEAD].decode(encoding, errors="ignore")
    return head.removeprefix("\ufeff").encode(), encoding


def _refuse(path: Path, first: bytes) -> None:
    if not first.strip():
        raise BenchError(f"'{path}' is empty")
    if first[257:265] in TAR:
        raise BenchError(f"'{path}' is a TAR archive; unpack it")
    for magic, reason in NO_DATA.items():
        if first[:64].lstrip().lower().startswith(magic.lower()):
            raise BenchError(f"'{path}' {reason}")


def _decodes(path: Path, encoding: str, first: bytes, file: BinaryIO) -> bool:
    """Whether all of a file is text in this encoding. BenchError where it holds a NUL, which no text has."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise BenchError(
            f"unknown encoding '{encoding}'; give a name such as utf-8, cp1252, gb18030 or utf-16"
        ) from None
    wide, chunk = encoding.startswith(("utf-16", "utf-32")), first
    while chunk:
        if not wide and b"\0" in chunk:
            raise BenchError(f"'{path}' holds a NUL byte; it is corrupt, no text, or UTF-16 (--encoding utf-16-le)")
        following = file.read(CHUNK)
        try:
            decoder.decode(chunk, final=not following)
        except UnicodeDecodeError:
            return False
        chunk = following
    return True


class _Recoded(io.RawIOBase):
    """Bytes of another encoding, read as UTF-8. The five bytes that mean nothing in Windows-1252 become U+FFFD."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self.file, self.left = file, b""
        self.decoder = codecs.getincrementaldecoder(encoding)(errors="replace" if encoding == "cp1252" else "strict")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.left:
            chunk = self.file.read(CHUNK)
            self.left = self.decoder.decode(chunk, final=not chunk).encode()
            if not chunk and not self.left:
                return 0
        count = min(len(buffer), len(self.left))
        buffer[:count], self.left = self.left[:count], self.left[count:]
        return count
