"""Pickled dictionaries: what NumPy writes is read, what a forger writes is refused and never run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.formats import pickled
from bench.data.formats.opening import look
from bench.errors import BenchError

KEYS = st.integers(-(2**40), 2**40) | st.text(max_size=5)
CELLS = st.lists(st.integers(0, 2**40) | st.text(max_size=5) | st.floats(allow_nan=False), max_size=5)


def saved(path: Path, value: Any) -> Path:
    np.save(path, value, allow_pickle=True)
    return path


def forged(path: Path, program: bytes) -> Path:
    """A ``.npy`` whose header promises an object, and whose body is this pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(header.getvalue() + program)
    return path


def read(path: Path) -> Any:
    return pickled.read(look(path))


@given(st.dictionaries(KEYS, CELLS, min_size=1, max_size=5))
def test_dictionaries_are_those_that_numpy_reads(
    tmp_path_factory: pytest.TempPathFactory, held: dict[Any, Any]
) -> None:
    path = saved(tmp_path_factory.mktemp("npy") / "d.npy", np.array(held, dtype=object))
    expected = np.load(path, allow_pickle=True).item()
    assert read(path) == {str(key): value for key, value in expected.items()}


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_the_shapes_that_people_save(tmp_path: Path, protocol: int) -> None:
    """Dictionaries of lists, arrays and sets, with numbers of Python or NumPy for keys, in every protocol."""
    lists = defaultdict(list, {1: [3, 4], np.int64(2): np.array([5, 6])})
    ordered = OrderedDict([("a", {4, 2}), ("b", (1.5, True, None))])
    body = pickle.dumps(np.array({"l": dict(lists), "o": ordered}, dtype=object), protocol)
    if protocol < 5:  # in which NumPy hands buffers over, which a file on disk has no use for
        found = read(forged(tmp_path / "p.npy", body))
        assert found == {"l": {"1": [3, 4], "2": [5, 6]}, "o": {"a": [2, 4], "b": [1.5, True, None]}}
    assert read(saved(tmp_path / "d.npy", np.array(lists, dtype=object))) == {"1": [3, 4], "2": [5, 6]}
    assert read(saved(tmp_path / "a.npy", np.arange(6).reshape(2, 3))) == [[0, 1, 2], [3, 4, 5]]


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


CALLS = [
    (os.system, "touch RAN"),
    (eval, "open('RAN', 'w')"),
    (exec, "open('RAN', 'w')"),
    (open, "RAN", "w"),
    (getattr, "", "join"),
    (np.load, "x"),
    (np.fromfile, "x"),
    (pickle.loads, b""),
    (__import__, "os"),
    (bytearray, 10),
    (object,),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0].__name__)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_refused_by_name_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[Any, ...], protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = forged(tmp_path / "evil.npy", pickle.dumps({"a": Evil(*call)}, protocol))
    with pytest.raises(BenchError, match=r"nothing in it was run: it asks for") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.npy"]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_one_thing_that_is_named_often_cannot_fill_the_memory(tmp_path: Path, protocol: int) -> None:
    value: Any = list(range(50))
    for _ in range(5):
        value = [value] * 50  # 50 ** 6 values in some two thousand bytes
    with pytest.raises(BenchError, match="more than 16 values for each of its bytes"):
        read(forged(tmp_path / "bomb.npy", pickle.dumps({"u": value}, protocol)))
    shared = {str(user): ["item"] * 30 for user in range(100)}  # as people save them
    assert read(forged(tmp_path / "fine.npy", pickle.dumps(shared, protocol))) == shared


def test_many_empty_lists_cannot_either(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**12, 0)})
    (tmp_path / "empty.npy").write_bytes(header.getvalue())
    with pytest.raises(BenchError, match="more than 16 values for each of its bytes"):
        read(tmp_path / "empty.npy")
    with pytest.raises(BenchError, match="more than 16 values for each of its bytes"):
        read(forged(tmp_path / "forged.npy", array_of(b"i8", b"", b"(I1000000\nI1000000\nI0\nt")))


DTYPE = b"cnumpy\ndtype\n(X\x02\x00\x00\x00%sI0\nI1\ntR"
ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt"
    + b"c_codecs\nencode\n(X\x01\x00\x00\x00bX\x06\x00\x00\x00latin1tRtR"
)


def array_of(kind: bytes, state: bytes, shape: bytes = b"(I1\nt") -> bytes:
    """An array with a forged state: its data are ``state``, its type as told."""
    return b"\x80\x02" + ARRAY + b"(I1\n" + shape + DTYPE % kind + state + b"I00\n" + b"C\x08AAAAAAAAtb."


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (array_of(b"O8", b""), "objects whose pointers are made up"),
        (array_of(b"V8", b""), "a type of no meaning"),
        (
            array_of(b"i8", b"(I3\nX\x01\x00\x00\x00|N(X\x01\x00\x00\x00atN}I8\nI1\nI63\ntb"),
            "a forged type with fields",
        ),
        (array_of(b"i8", b"", b"(I1000000\nI1000000\nt"), "a shape that the data do not have"),
        (b"\x80\x02cos\nsystem\n.", "a name alone"),
        (b"\x80\x02P123\n.", "an object kept elsewhere"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "an object kept elsewhere, by value"),
        (b"\x80\x02\x82\x01.", "a registered extension"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**44) + b".", "a buffer of 16 terabytes"),
        (b"\x80\x02j\xff\xff\xff\x7f.", "a memo far away"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "a memo that would be filled up to there"),
        (b"(ios\nsystem\n.", "an instance, in the oldest way"),
        (b"\x80\x02c__builtin__\nlist\n}X\x01\x00\x00\x00aK\x01sb.", "attributes for what a name stands for"),
        (b"\x80\x02cnumpy\ndtype\nN}X\x08\x00\x00\x00__call__K\x01s\x86b.", "other attributes for it"),
        (b"\x80\x02]q\x00h\x00a.", "a list within itself"),
        (b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".", "lists without end"),
        (b"\x80\x02}(K\x01K\x02\x86K\x03u.", "a key that is no id"),
        (b"\x80\x02", "nothing"),
        (b"\x80\x02}", "no end"),
        (b"\xff\xff", "no pickle"),
        (b"\x80\x02G\x00", "half a number"),
        (b"\x80\x02cnumpy.core.multiarray\nscalar\n(K\x01C\x01Atq\x00R.", "a number without a type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_forgeries_are_one_line(tmp_path: Path, program: bytes, why: str) -> None:
    with pytest.raises(BenchError, match="is not a NumPy file of plain dictionaries") as caught:
        read(forged(tmp_path / "forged.npy", program))
    assert "\n" not in str(caught.value)
    assert why


def test_a_forgery_leaves_nothing_behind_for_the_next_file(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.npy", np.array({"u": np.array([1, 2])}, dtype=object))
    before = read(good)
    for program in (b"\x80\x02cnumpy\ndtype\nN}X\x04\x00\x00\x00nameK\x01s\x86b.", b"\x80\x02c__builtin__\nset\n}b."):
        with pytest.raises(BenchError):
            read(forged(tmp_path / "forged.npy", program))
    assert read(good) == before == {"u": [1, 2]}


@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_bytes_come_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, position: int
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    body = bytearray(pickle.dumps({1: [2, 3], "a": np.arange(3)}, 2))
    body[position % len(body) :] = noise
    with contextlib.suppress(BenchError):
        read(forged(folder / "n.npy", bytes(body)))


def test_headers_of_terabytes_and_cut_files_are_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    for body in (header.getvalue() + b"1234", header.getvalue()[:20], b"\x93NUMPY\x09\x00"):
        (tmp_path / "h.npy").write_bytes(body)
        with pytest.raises(BenchError):
            read(tmp_path / "h.npy")
