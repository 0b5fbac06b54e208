"""What happens to files: bits that flip, ends that are cut off, editors, other programs, and people who mean it."""

from __future__ import annotations

import io
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Mutation = Callable[[bytes, random.Random], bytes]
NASTY = ["", "0", "-1", "1e400", "nan", "inf", "-0.0", "1" * 30, "9" * 5000, "9223372036854775808", "1_000", "0x10"]
NASTY += ["true", "None", "null", "é", "\u202eabc", "a\x00b", " i01 ", "[PAD]", '"', "'", "<a_1>", "../../etc", "1,5"]
VALUES: list[Any] = [None, True, -1, 0, 1.5, 10**6, 10**30, 1e300, float("nan"), float("inf"), "", "x", "1", [], {}]
VALUES += [{"a": {"b": 1}}, ["a", 1], "\ud800", [None], [[]], 2**63]


def flip(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def cut_start(content: bytes, draw: random.Random) -> bytes:
    return content[draw.randrange(1, len(content)) :]


def drop(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.randrange(1, 40) :]


def repeat(content: bytes, draw: random.Random) -> bytes:
    at, size = draw.randrange(len(content)), draw.randrange(1, 60)
    return content[: at + size] + content[at:]


def insert(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + draw.randbytes(draw.randrange(1, 20)) + content[at:]


def zero(content: bytes, draw: random.Random) -> bytes:
    at, size = draw.randrange(len(content)), draw.choice((1, 16, 512))
    return content[:at] + b"\0" * min(size, len(content) - at) + content[at + size :]


def append(content: bytes, draw: random.Random) -> bytes:
    return content + draw.choice((b"\0", b"\n", b"x", draw.randbytes(30), content))


def empty(content: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"", b"\n", b" ", b"\0"))


BYTES: list[Mutation] = [flip, flip, flip, cut, cut, cut_start, drop, repeat, insert, zero, append, empty]


def recoded(content: bytes, draw: random.Random) -> bytes:
    return content.decode().encode(draw.choice(("utf-16", "utf-8-sig", "utf-32", "utf-16-be")))


def ends(content: bytes, draw: random.Random) -> bytes:
    return content.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", b"\n ", "\u2028".encode())))


def word(content: bytes, draw: random.Random) -> bytes:
    """One cell, token or number becomes something else."""
    words = list(re.finditer(rb'[^\t\n,":\[\]{} ]+', content))
    chosen = draw.choice(words)
    return content[: chosen.start()] + draw.choice(NASTY).encode() + content[chosen.end() :]


def sign(content: bytes, draw: random.Random) -> bytes:
    """One separator becomes another, or goes."""
    signs = list(re.finditer(rb'[\t\n,":\[\]{}]', content))
    chosen = draw.choice(signs)
    other = draw.choice((b"", b"\t", b"\n", b",", b'"', b" ", b"\0"))
    return content[: chosen.start()] + other + content[chosen.end() :]


def line(content: bytes, draw: random.Random) -> bytes:
    """One line stands twice, is gone, moved, or is another's."""
    lines = content.split(b"\n")
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    how = draw.choice(("twice", "gone", "swap", "header"))
    if how == "twice":
        lines.insert(at, lines[at])
    elif how == "gone":
        del lines[at]
    elif how == "swap":
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines.insert(at, lines[0])
    return b"\n".join(lines)


TEXT: list[Mutation] = [*BYTES, recoded, ends, word, word, word, word, sign, sign, line, line]


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in children for found in _nodes(child, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = _replaced(copy[path[0]], path[1:], change)
    return copy


def node(content: bytes, draw: random.Random) -> bytes:
    """One value of a JSON becomes another."""
    value = json.loads(content)
    return json.dumps(_replaced(value, draw.choice(_nodes(value)), lambda _: draw.choice(VALUES))).encode()


def key(content: bytes, draw: random.Random) -> bytes:
    """One key of a JSON object is renamed, or gone, or a member of a list is."""
    value = json.loads(content)
    paths = [path for path in _nodes(value) if path]
    path = draw.choice(paths)

    def change(parent: Any) -> Any:
        if isinstance(parent, list):
            return [each for at, each in enumerate(parent) if at != path[-1]]
        rest = {name: each for name, each in parent.items() if name != path[-1]}
        return rest if draw.random() < 0.5 else {**rest, draw.choice(NASTY): parent[path[-1]]}

    return json.dumps(_replaced(value, path[:-1], change)).encode()


def deep(content: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"[" * 100_000, b'{"a":' * 50_000, b"[" * 500 + b"]" * 500, b"1" * 10_000, b"NaN", b'"', b"{}"))


JSON: list[Mutation] = [*TEXT, node, node, node, node, node, key, key, key, deep]


def npy_header(content: bytes, draw: random.Random) -> bytes:
    """Another header before the same numbers."""
    size = struct.unpack("<H", content[8:10])[0]
    shapes = ["(1000000000000, 4)", "(-1, 4)", "(30,)", "()", "(0, 4)", "(30, 4, 1)", "(4, 30)", "[30, 4]", "(True, 4)"]
    kinds = ["'|O'", "'<f8'", "'>f4'", "'<i8'", "'<U4'", "[('a', '<f4')]", "'|V16'", "'<c8'", "'<M8[s]'", "'|b1'"]
    header = f"{{'descr': {draw.choice(kinds)}, 'fortran_order': {draw.choice(('False', 'True', '2'))}, "
    header += f"'shape': {draw.choice(shapes)}, }}{draw.choice(('', '#', '.__class__'))}\n"
    return content[:8] + struct.pack("<H", len(header)) + header.encode() + content[10 + size :]


def npy_values(content: bytes, draw: random.Random) -> bytes:
    array = np.load(io.BytesIO(content)).copy()
    if array.dtype.kind == "f":
        array.flat[draw.randrange(array.size)] = draw.choice((np.nan, np.inf, -np.inf, 3e38, 1e-45))
    else:
        array.flat[draw.randrange(array.size)] = draw.choice((-1, np.iinfo(array.dtype).max, 0))
    array = draw.choice((array, array[:-1], array[:, :0], array.T, array[None], array.astype(object), array[::-1]))
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


NPY: list[Mutation] = [*BYTES, npy_header, npy_header, npy_header, npy_values, npy_values]


def tensors_header(content: bytes, draw: random.Random) -> bytes:
    """One value in the header of a safetensors file becomes another."""
    size = struct.unpack("<Q", content[:8])[0]
    header = draw.choice((node, key, word))(content[8 : 8 + size], draw)
    length = draw.choice((len(header), len(header), len(header), 2**60, 0, size))
    return struct.pack("<Q", length) + header + content[8 + size :]


TENSORS: list[Mutation] = [*BYTES, tensors_header, tensors_header, tensors_header]
