"""Files of identifiers, read: whatever the format, for each key either its tokens or its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import arrays
from bench.data.idmaps import HEADS, lines_of, parsed
from bench.errors import BenchError
from bench.ids.identifiers import Template
from bench.vocabulary import Vocabulary

BRACKETED = re.compile(r"(?:<[^<>\s]+>\s*)+")
NUMBER = re.compile(r"\d+")
WHOLE = re.compile(r"\d+(?:\s+\d+)+")
CODED = re.compile(r"[\[(]?\s*\d+(?:[\s,;:|/_-]+\d+)+\s*[\])]?|[\[(]\s*\d+\s*[\])]")  # no words at all
LONGEST = 18  # digits of a number of a code, which is counted in 64 bits
IN_FOLDERS = ("ids.parquet", "*index.json", "*.sem_ids", "item_*ind*.txt", "*.npy", "*.tsv")
FORMATS = "index.json, .sem_ids, a text index ('key words'), .npy or Parquet"


@dataclass(frozen=True, eq=False)
class Found:
    """What a file says: for each of its ``keys`` the ``tokens``, or else the ``words``, both empty where it has none.

    ``numbered``: the keys are the numbers of its rows. ``reading`` says how texts are read that could be codes. A table
    that was written with its ``vocabulary`` has that, and how a history is written.
    """

    keys: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...] = ()
    words: tuple[str, ...] = ()
    numbered: bool = False
    reading: str = ""
    vocabulary: Vocabulary | None = None
    template: Template | None = None
    codebooks: tuple[int, ...] = ()

    @property
    def values(self) -> Sequence[tuple[str, ...] | str]:
        return self.tokens or self.words


def locate(asked: str) -> Path:
    """The file that is named, or the one in the folder that is named which holds identifiers."""
    path = Path(asked).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise BenchError(f"no file '{path}' (asked for as file:{asked}); give {FORMATS}, or a folder with one of them")
    for pattern in IN_FOLDERS:
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            names = ", ".join(file.name for file in found[:5])
            raise BenchError(f"the folder '{path}' holds several files of identifiers ({names}); name one of them")
        if found:
            return found[0]
    raise BenchError(f"the folder '{path}' holds no file of identifiers; looked for {', '.join(IN_FOLDERS)}")


def content(path: Path) -> bytes:
    """The bytes of a file, of which there must be some."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read '{path}': {error.strerror or error}") from error
    if not data.strip():
        raise BenchError(f"'{path}' is empty; give {FORMATS}")
    return data


def read(path: Path, data: bytes) -> Found:
    """The identifiers in ``data``, the content of ``path``. BenchError where it is none of the formats, or broken."""
    readers: dict[bytes, Callable[[Path, bytes], Found]] = {b"\x93NUMPY": _numpy, b"PAR1": _parquet}
    reader = next((reader for magic, reader in readers.items() if data.startswith(magic)), None)
    if reader is None:
        is_json = path.suffix == ".json" or text_of(path, data).lstrip().startswith(("{", "["))
        reader = _json if is_json else _text
    found = reader(path, data)
    if not any(found.values):
        raise BenchError(f"'{path}' holds no identifier: it names {len(found.keys):,} items and says nothing of them")
    twice = _repeated(found.keys)
    if twice:
        raise BenchError(f"'{path}' names {len(twice):,} items twice, the first is '{twice[0]}'; keep one line of each")
    return found


def text_of(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchError(f"'{path}' is neither text in UTF-8 nor a format that bench reads; give {FORMATS}") from error
    if "\0" in text:
        raise BenchError(f"'{path}' holds a NUL character; it is corrupt, or not text in UTF-8")
    if "\r" in text and "\n" not in text.strip():
        raise BenchError(f"the lines of '{path}' end in carriage returns alone; save it with line feeds")
    return text


def by_position(code: Iterable[object]) -> tuple[str, ...]:
    """A token for each number of a code, of its position alone, as LC-Rec writes them: ``<a_7> <b_7>``."""
    return tuple(f"<{_letters(position)}_{number}>" for position, number in enumerate(code))


def _letters(position: int) -> str:
    """a to z, then aa, ab, ..."""
    return (_letters(position // 26 - 1) if position >= 26 else "") + chr(ord("a") + position % 26)


def _repeated(keys: Iterable[str]) -> list[str]:
    return [key for key, count in Counter(keys).items() if count > 1]


def _json(path: Path, data: bytes) -> Found:
    content: Any = parsed(path, text_of(path, data))
    numbered = isinstance(content, list)
    if not numbered and not isinstance(content, dict):
        raise BenchError(f"'{path}' must hold a map from items to identifiers, or a list; got {str(content)[:80]!r}")
    table: dict[str, Any] = {str(row): value for row, value in enumerate(content)} if numbered else content
    values = [[] if value is None else value for value in table.values()]
    if all(isinstance(value, str) or value == [] for value in values):
        return _of_texts(tuple(table), [value or "" for value in values], numbered)
    return Found(tuple(table), _all_tokens(path, tuple(table), values), numbered=numbered)


def _all_tokens(path: Path, keys: Sequence[str], values: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    """BenchError where some identifiers are tokens and some numbers: one code would be written in two ways."""
    tokens = tuple(_tokens(path, key, value) for key, value in zip(keys, values, strict=True))
    firsts = {isinstance(value[0], str): key for key, value in zip(keys, values, strict=True) if value}
    if len(firsts) > 1:
        raise BenchError(
            f"'{path}' has tokens for item '{firsts[True]}' and numbers for item '{firsts[False]}'; write all of them "
            "in one way"
        )
    return tokens


def _tokens(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BenchError(f"item '{key}' of '{path}' must have a list of tokens or numbers; got {value!r}")
    if all(isinstance(part, str) and part.strip() for part in value):
        return tuple(value)
    wrong = [part for part in value if isinstance(part, bool) or not isinstance(part, int) or part < 0]
    if wrong:
        raise BenchError(
            f"the identifier of item '{key}' of '{path}' must be all tokens or all whole numbers, 0 or above; "
            f"got {wrong[0]!r}"
        )
    return by_position(value)


def _text(path: Path, data: bytes) -> Found:
    lines = lines_of(text_of(path, data))
    rows = [line.split("\t", 1) if "\t" in line else line.split(maxsplit=1) for line in lines]
    if rows[0][0].strip() in HEADS:
        rows = rows[1:]
    single = sum(len(row) == 1 for row in rows)
    if single == len(rows):
        raise BenchError(
            f"'{path}' is none of the formats that bench reads ({FORMATS}): it has no line of a key and an identifier"
        )
    return _of_texts(tuple(row[0].strip() for row in rows), [" ".join(row[1:]).strip() for row in rows])


def _of_texts(keys: tuple[str, ...], texts: Sequence[str], numbered: bool = False) -> Found:
    """Words, unless all are tokens in angle brackets or all are two or more whole numbers: those are codes."""
    some = [text for text in texts if text]
    if all(BRACKETED.fullmatch(text) for text in some):
        return Found(keys, tuple(tuple(re.findall(r"<[^<>\s]+>", text)) for text in texts), numbered=numbered)
    if all(WHOLE.fullmatch(text) for text in some):
        long = next((text for text in some if any(len(number) > LONGEST for number in text.split())), None)
        if long is not None:
            raise BenchError(f"a code holds numbers of at most {LONGEST} digits; got '{long[:40]}'…")
        return Found(keys, tuple(by_position(map(int, text.split())) for text in texts), numbered=numbered)
    if some and all(CODED.fullmatch(text) for text in some):
        raise BenchError(
            f"identifiers such as '{some[0][:40]}' hold numbers and no words; write codes as '1 2 3', or in JSON as "
            "lists"
        )
    _refuse_mixed(keys, texts)
    read = ""
    if some and all(NUMBER.fullmatch(text) for text in some):
        read = f"identifiers such as '{some[0][:40]}' are read as words, in pieces of digits"
        if all(len(text) <= LONGEST for text in some):
            read += f"; [{int(some[0])}] in JSON is one token"  # where a number has no zeros before it
    return Found(keys, (), tuple(texts), numbered, read)


def _refuse_mixed(keys: tuple[str, ...], texts: Sequence[str]) -> None:
    """BenchError where most are codes of one notation: a line that is broken must not make words of all others."""
    some = [(key, text) for key, text in zip(keys, texts, strict=True) if text]
    for notation, what in ((BRACKETED, "tokens in angle brackets"), (WHOLE, "codes of whole numbers")):
        others = [(key, text) for key, text in some if not notation.fullmatch(text)]
        if len(others) < len(some) / 2:
            key, text = others[0]
            raise BenchError(
                f"{len(some) - len(others):,} identifiers are {what}, and {len(others):,} are not: that of item "
                f"'{key}' is '{text[:80]}'; write all of them in one way"
            )


def _numpy(path: Path, data: bytes) -> Found:
    try:
        codes = arrays.read(data)
    except ValueError as error:
        raise BenchError(f"'{path}' is corrupt, or holds Python objects, which are not read: {error}") from error
    if codes.ndim != 2 or not codes.size:
        raise BenchError(f"'{path}' must hold codes of shape [items, length]; got {list(codes.shape)}")
    if codes.dtype.kind not in "iu":
        gaps = f", {int(np.isnan(codes).sum()):,} of them NaN" if codes.dtype.kind == "f" else ""
        raise BenchError(f"'{path}' must hold whole numbers; got {codes.dtype}{gaps}")
    if codes.min() < 0:
        row = int(np.argwhere(codes < 0)[0][0])
        raise BenchError(f"'{path}' must hold codes of 0 or above; got {codes.min()}, first in row {row}")
    rows = codes.tolist()
    return Found(tuple(map(str, range(len(rows)))), tuple(by_position(row) for row in rows), numbered=True)


def _parquet(path: Path, data: bytes) -> Found:
    from bench.ids import exchange  # here, for it imports pandas

    columns, ids = exchange.read_parquet(path, data)
    keys = tuple(map(str, columns["item"]))
    if ids is not None:
        name = ids.vocabulary.tokenizer.id_to_token
        tokens = tuple(tuple(str(name(token)) for token in ids.code(row)) for row in range(len(ids)))
        return Found(keys, tokens, (), False, "", ids.vocabulary, ids.template, ids.codebooks)
    values = ["" if value is None else value for value in columns["identifier"]]
    if all(isinstance(value, str) for value in values):
        return _of_texts(keys, values)
    return Found(keys, _all_tokens(path, keys, [value or [] for value in values]))
