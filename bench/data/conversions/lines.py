"""Lines of raw files, packed or not, and the forms they are written in. Whatever is wrong is named by file and line."""

from __future__ import annotations

import ast
import contextlib
import csv
import functools
import gzip
import json
import math
import tarfile
import zipfile
import zlib
from calendar import timegm
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from bench.data.download import NoProgress, Progress
from bench.errors import BenchError, said

Line = tuple[str, str]  # where it stands, for errors, and what it says
Record = tuple[str, Mapping[str, Any]]  # the same, by field
BOM = "\ufeff"
TELL_EVERY = 5_000  # lines
CORRUPT = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError)


def lines(path: Path, member: str = "", encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Line]:
    """Every line that isn't blank, without its end. ``member`` names a file inside an archive (``.zip``, ``.tar``,
    ``.tgz``), by its path or the end of it; ``.gz`` is unpacked on the way. A corrupt file is a BenchError.
    """
    progress, number = progress or NoProgress(), 0
    name = path.name if member in ("", path.name) else f"{path.name} ({member})"
    try:
        with _opened(path, member) as (file, raw):
            size = path.stat().st_size
            for number, data in enumerate(file, start=1):
                if number % TELL_EVERY == 0:
                    progress.update(raw.tell(), size)
                text = data.decode(encoding).rstrip("\r\n")
                text = text.removeprefix(BOM) if number == 1 else text
                if text.strip():
                    yield f"{name}, line {number:,}", text
    except UnicodeDecodeError as error:
        raise BenchError(f"{name}, line {number:,} is not {encoding}: {said(error)}") from error
    except CORRUPT as error:
        raise BenchError(f"{name} is corrupt after line {number:,}: {said(error)}; get it again") from error
    except RuntimeError as error:  # of a ZIP: a password, or a way of packing that Python lacks
        hint = "give it as it was published, without a password"
        raise BenchError(f"{name} cannot be unpacked: {said(error)}; {hint}") from error
    except OSError as error:
        raise BenchError(f"'{path}' cannot be read: {said(error)}") from error


def json_lines(source: Iterator[Line]) -> Iterator[Record]:
    """Each line as a JSON object; whole numbers stay whole, however long."""
    for where, text in source:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BenchError(f"{where}: not JSON ({said(error)})") from error
        yield where, _mapping(where, record)


def python_lines(source: Iterator[Line]) -> Iterator[Record]:
    """Each line as a Python dictionary of literals, as Amazon 2014 and Steam write them; nothing is executed."""
    for where, text in source:
        try:
            record = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise BenchError(f"{where}: not a Python literal ({said(error)[:200]})") from error
        yield where, _mapping(where, record)


def csv_records(source: Iterator[Line], columns: Sequence[str]) -> Iterator[Record]:
    """Each row by column. The header may be missing, as in early revisions of Amazon 2023: then ``columns`` is it."""
    header = list(columns)
    for number, (where, text) in enumerate(source):
        cells = next(csv.reader([text]))
        if number == 0 and cells[0] == columns[0]:
            header = cells
            if lacking := [column for column in columns if column not in header]:
                raise BenchError(f"{where}: no column {', '.join(lacking)}; got {', '.join(header)}")
            continue
        yield where, _row(where, cells, header)


def separated(source: Iterator[Line], separator: str, columns: Sequence[str]) -> Iterator[Record]:
    """Each row of a file without header whose cells are divided by a tab, ``|`` or ``::``."""
    for where, text in source:
        yield where, _row(where, text.split(separator), columns)


def value(where: str, record: Mapping[str, Any], field: str) -> str:
    """A field that must be there, as text: ids stay as they are written."""
    found = record.get(field)
    if found is None or not str(found).strip():
        raise BenchError(f"{where}: no {field}; got {', '.join(map(str, record))}")
    return str(found)


def whole(where: str, record: Mapping[str, Any], field: str) -> int:
    """A time stamp that must be there. It is never a float on the way: 17 digits would lose their order."""
    found = record.get(field)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    with contextlib.suppress(ValueError):
        if isinstance(found, str):
            return int(found)
    raise BenchError(f"{where}: {field} is {found!r}; expected a whole number")


def rating(found: object) -> float:
    """NaN for what is no number."""
    try:
        return float(str(found))
    except ValueError:
        return math.nan


def moment(where: str, record: Mapping[str, Any], field: str, form: str) -> int:
    """A date, by ``form`` of ``strptime``, in seconds since 1970; dates without a zone are taken as UTC."""
    text = value(where, record, field)
    try:
        return _seconds(text, form)
    except ValueError as error:
        raise BenchError(f"{where}: {field} is {text!r}; expected a date as {form}") from error


@functools.lru_cache(maxsize=1 << 16)  # most sources are dated by the day
def _seconds(text: str, form: str) -> int:
    return timegm(datetime.strptime(text, form).timetuple())


def _mapping(where: str, record: object) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise BenchError(f"{where}: a {type(record).__name__} where a record with named fields is needed")
    return record


def _row(where: str, cells: Sequence[str], columns: Sequence[str]) -> Mapping[str, Any]:
    if len(cells) != len(columns):
        raise BenchError(f"{where}: {len(cells)} cells; expected {len(columns)}: {', '.join(columns)}")
    return dict(zip(columns, cells, strict=True))


@contextlib.contextmanager
def _opened(path: Path, member: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """What to read lines from, and the file on disk, whose position says how far that is."""
    with path.open("rb") as raw:
        if path.suffix == ".zip":
            with zipfile.ZipFile(raw) as packed, packed.open(_inside(path, member, packed.namelist())) as file:
                yield file, raw
        elif path.suffix in (".tar", ".tgz") or path.name.endswith(".tar.gz"):
            with tarfile.open(fileobj=raw) as archive:
                found = archive.extractfile(_inside(path, member, archive.getnames()))
                if found is None:
                    raise BenchError(f"{path.name}: {member} is not a file")
                with found as file:
                    yield file, raw
        elif path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked, raw  # type: ignore[misc]
        else:
            yield raw, raw


def _inside(path: Path, member: str, names: Sequence[str]) -> str:
    """The full name of an archive's file; archives differ in the folder that holds everything."""
    found = [name for name in names if name == member or name.endswith(f"/{member}")]
    if not member or len(found) != 1:
        there = ", ".join(names[:10]) or "nothing"
        raise BenchError(f"{path.name}: expected one file {member or '(unnamed)'}; the archive holds {there}")
    return found[0]
