"""The data sets that ``bench data get`` knows: ``sources.toml`` lists them.

``$BENCH_SOURCES`` names another list of that form, of data sets of one's own or of mirrors. It is asked first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bench import toml
from bench.errors import BenchError, unknown

T = TypeVar("T")
LIST = Path(__file__).with_name("sources.toml")
KINDS = {int: "a whole number", str: "a text", bool: "true or false"}
REPEATS = ("keep", "earliest")
PLAIN = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")  # a name that is one part of a path


@dataclass(frozen=True)
class Counts:
    """Of a data set after its conversion."""

    users: int
    items: int
    interactions: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.items:,} items, {self.interactions:,} interactions"


@dataclass(frozen=True)
class RawFile:
    """A file as its publisher offers it. ``urls`` is empty where it is fetched by hand, a digest where nobody says it;
    ``megabytes`` is about what is downloaded, 0 where that is not known.
    """

    role: str
    name: str
    urls: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""
    megabytes: int = 0


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and what is made of it: the columns of ``sources.toml``."""

    name: str
    description: str
    page: str
    licence: str
    conversion: str
    version: int
    text: tuple[str, ...]
    files: tuple[RawFile, ...]
    must_accept: bool = False
    by_hand: str = ""
    revision: str = ""
    k_core: int = 0
    repeats: str = "keep"
    expected: Counts | None = None

    @property
    def megabytes(self) -> int:
        """About what is downloaded; 0 where that of one file is not known."""
        sizes = [file.megabytes for file in self.files]
        return sum(sizes) if all(sizes) else 0


def load(own: Path | None = None) -> Mapping[str, Source]:
    """All data sets, in the order of the lists. BenchError where one is not of the form that ``sources.toml`` tells."""
    if own is None and os.environ.get("BENCH_SOURCES"):
        own = Path(os.environ["BENCH_SOURCES"]).expanduser()
    return {**_read(LIST), **(_read(own) if own else {})}


@cache
def _read(path: Path) -> Mapping[str, Source]:
    try:
        tables = toml.read(path)
    except BenchError as error:
        raise BenchError(f"the list of sources {error}") from error
    return {name: _source(path, name, table) for name, table in tables.items()}


def find(name: str, own: Path | None = None) -> Source:
    """One data set by name; BenchError with the nearest name where no list has it."""
    sources = load(own)
    if name not in sources:
        raise unknown("data set to get", name, sources)
    return sources[name]


def _source(path: Path, name: str, table: Any) -> Source:
    try:
        files = tuple(_file(entry, table.get("revision", "")) for entry in table["files"])
        expected = _typed(Counts(**table["expected"])) if "expected" in table else None
        given = {**table, "files": files, "expected": expected, "text": _texts("text", table["text"])}
        source = _typed(Source(name=name, **given))
    except (TypeError, KeyError, AttributeError) as error:
        known = ", ".join(field.name for field in fields(Source))
        raise BenchError(f"'{path}', [{name}]: {error}; a source has {known}") from error
    if not all(PLAIN.fullmatch(each) for each in (name, *(file.name for file in files))):
        raise BenchError(f"'{path}', [{name}]: names of sources and files are single names, without / and not .. or .")
    if source.repeats not in REPEATS:
        raise BenchError(f"'{path}', [{name}]: {unknown('rule for repeats', source.repeats, REPEATS)}")
    return source


def _file(entry: Mapping[str, Any], revision: str) -> RawFile:
    urls = tuple(url.replace("{revision}", revision) for url in _texts("urls", entry.get("urls", [])))
    return _typed(RawFile(**{**entry, "urls": urls}))


def _texts(name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise TypeError(f"{name} must be a list of texts; got {given!r}")
    return tuple(given)


def _typed(made: T) -> T:
    """TypeError where a field that is a number, a text or a truth value is none."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        if kind in KINDS and type(value) is not kind:
            raise TypeError(f"{name} must be {KINDS[kind]}; got {value!r}")
    return made
