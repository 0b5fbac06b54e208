"""Dictionaries that NumPy has pickled into a ``.npy``, as SETRec ships its data: read without running anything.

A pickle is a program. This reader knows the few instructions that build numbers, texts, lists, tuples, sets,
dictionaries and plain arrays; whatever else a file asks for is refused by name, before it is called. Not even NumPy's
own functions are called: an array with a forged data type would make them follow made-up pointers.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from bench.data.formats.opening import Source, reading
from bench.errors import BenchError

DEEPEST = 8  # of containers within one another
LONGEST_HEADER = 10_000  # bytes
PLAIN = "biufSU"  # kinds of arrays whose bytes mean what they say


class RefusedError(Exception):
    """What a file asks for and is not given."""


def read(source: Source) -> Any:
    """The value in a ``.npy``: a dictionary, list or array of builtins. BenchError for anything else."""
    try:
        with reading(source) as file:
            return _value(file.read())
    except Exception as error:  # a forged file can make every instruction fail in its own way
        cause = " ".join(str(error).split())[:160] or type(error).__name__
        raise BenchError(
            f"'{source.path}' is not a NumPy file of plain dictionaries, lists and arrays, and nothing in it was run: "
            f"{cause}"
        ) from error


def _value(data: bytes) -> Any:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file, max_header_size=LONGEST_HEADER)
    if not dtype.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False, max_header_size=LONGEST_HEADER).tolist()
    if dtype != np.dtype(object):
        raise RefusedError(f"an array of {dtype} holds objects in its fields")
    value = _plain(_Unpickler(file).load(), DEEPEST)
    return value[0] if shape == () and isinstance(value, list) and len(value) == 1 else value


class _Made:
    """Stands for an array or a data type until its bytes are known. Attributes other than these cannot be set."""

    __slots__ = ("array", "value")

    def __init__(self, array: bool, value: Any) -> None:
        self.array, self.value = array, value

    def __setstate__(self, state: Any) -> None:
        if self.array:
            _, shape, kind, fortran, data = state
            self.value = _array(shape, kind, fortran, data)
        elif state[1] in ("<", ">", "|", "=") and not any(state[2:5]):
            self.value = str(state[1]) + str(self.value).lstrip("<>|=")
        else:
            raise RefusedError("a data type with fields")


class _Function:
    """What a name in a pickle stands for. It has no attribute that a pickle could change for the next file."""

    __slots__ = ("name",)

    def __init__(self, name: tuple[str, str]) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        return ALLOWED[self.name](*arguments)


def _scalar(kind: Any, data: Any) -> Any:
    return _array((1,), kind, False, data)[0]


def _array(shape: Any, kind: Any, fortran: Any, data: Any) -> Any:
    """The nested list of an array. Objects come as a list, anything else as bytes of a plain type."""
    if not isinstance(kind, _Made) or kind.array:
        raise RefusedError("an array without a data type")
    if str(kind.value).lstrip("<>|=") in ("O", "O8") and isinstance(data, list):
        if len(shape) > 1:
            raise RefusedError("an array of objects with several dimensions")
        return data
    dtype = np.dtype(str(kind.value))
    if dtype.kind not in PLAIN or not isinstance(data, bytes):
        raise RefusedError(f"an array of {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").tolist()


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{
        (f"numpy.{core}.multiarray", name): call
        for core in ("core", "_core")
        for name, call in (("_reconstruct", lambda *_: _Made(True, None)), ("scalar", _scalar))
    },
    ("numpy", "dtype"): lambda kind, *_: _Made(False, str(kind)),
    ("numpy", "ndarray"): lambda *_: _Made(True, None),
    ("collections", "OrderedDict"): lambda *pairs: dict(*pairs),
    ("collections", "defaultdict"): lambda *_: {},
    ("builtins", "list"): lambda *args: list(*args),
    ("builtins", "set"): lambda *args: set(*args),
    ("builtins", "int"): lambda: 0,
    ("__builtin__", "list"): lambda *args: list(*args),
    ("__builtin__", "set"): lambda *args: set(*args),
    ("_codecs", "encode"): lambda text, encoding: str(text).encode({"latin1": "latin-1"}[encoding]),
}


# Instructions that plain data never need: objects of classes, objects kept elsewhere, buffers of any length.
NEVER = {
    code[0]
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.PERSID, pickle.BINPERSID, pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    )
}


class _Unpickler(pickle._Unpickler):
    """Python's own reader in Python, whose memo a forged number cannot blow up, with the names above and no others."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: call for code, call in pickle._Unpickler.dispatch.items() if code not in NEVER
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise RefusedError(f"it asks for {module}.{name}")
        return _Function((module, name))


def _plain(value: Any, depth: int) -> Any:
    """The value with builtins alone in it."""
    if depth == 0:
        raise RefusedError("containers within containers, too deep")
    if isinstance(value, _Made):
        return _plain(value.value, depth)
    if isinstance(value, dict):
        return {_key(key): _plain(entry, depth - 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, depth - 1) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(entry, depth - 1) for entry in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise RefusedError(f"a {type(value).__name__}")


def _key(value: Any) -> str:
    if not isinstance(value, str | int):
        raise RefusedError(f"a key that is a {type(value).__name__}")
    return str(value)
