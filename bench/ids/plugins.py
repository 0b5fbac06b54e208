"""Plugins by name: identifier schemes and baselines, installed or in a file.

A package offers a scheme with two lines in its ``pyproject.toml``:

    [project.entry-points."bench.id_schemes"]
    "mine/best" = "my_package:Best"

Names are read from the packages' metadata; a package is imported only when something in it is asked for. What is not
installed is named as ``module:Class`` or ``./path/file.py:Class``. ``file:PATH`` are identifiers that exist already.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from bench.errors import BenchError, unknown
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.ids import imported
from bench.ids.scheme import IdScheme
from bench.runs.settings import parse

T = TypeVar("T", bound="IdScheme | AnyBaseline")

SCHEMES, BASELINES = "bench.id_schemes", "bench.baselines"
IDENTIFIERS = "file:"  # what names of identifiers in a file begin with
FILE_MODULE = "bench_plugin_"  # what modules made from named files are called


def names(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, sorted; no package is imported. Two packages with one name are a BenchError."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise BenchError(f"{_where(other)} and {_where(entry)} both offer '{entry.name}'; uninstall one of them")
    return found


def load_scheme(name: str) -> type[IdScheme]:
    """The scheme class named by an entry point, ``module:Class`` or ``file.py:Class``, or of identifiers in a file."""
    if name.startswith(IDENTIFIERS):
        return imported.scheme_of(name.removeprefix(IDENTIFIERS))
    return _load(name, SCHEMES, "identifier scheme", IdScheme)  # type: ignore[type-abstract]


def load_baseline(name: str) -> type[Baseline | TrainedBaseline]:
    """The baseline class named by an entry point, ``module:Class`` or ``file.py:Class``."""
    return _load(name, BASELINES, "baseline", Baseline, TrainedBaseline)


def settings(cls: type[IdScheme] | type[AnyBaseline], overrides: Mapping[str, str]) -> Any:
    """The settings of a scheme or baseline, its defaults replaced by ``overrides`` (field name -> text)."""
    return parse(cls.Settings, overrides, f"setting of {cls.name}")


def is_file(cls: type) -> bool:
    """Whether a class comes from a file that was named, and so is likely being worked on."""
    return cls.__module__.startswith(FILE_MODULE)


def refuse_taken_name(cls: type[IdScheme] | type[AnyBaseline]) -> None:
    """A class from a file may not call itself like something installed: their results would share a place."""
    taken = [group for group in (SCHEMES, BASELINES) if is_file(cls) and cls.name in names(group)]
    if taken:
        raise BenchError(f"the name '{cls.name}' is taken by an installed plugin of {taken[0]}; give yours another")


def source_digest(cls: type) -> str:
    """8 hex digits over the module that defines a class and the package around it: other code, other digest."""
    module = sys.modules[cls.__module__]
    package = sys.modules.get(cls.__module__.rpartition(".")[0], module)
    files = [Path(inspect.getfile(module))]
    if hasattr(package, "__path__"):
        files = sorted(path for root in package.__path__ for path in Path(root).rglob("*.py"))
    return hashlib.sha256(b"\x00".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _load(name: str, group: str, kind: str, *bases: type[T]) -> type[T]:
    place, colon, attribute = name.rpartition(":")
    if not colon:
        entry = _installed(name, group, kind)
        place, attribute, name = entry.module, entry.attr, _where(entry)
    try:
        found = getattr(_module(place), attribute)
    except Exception as error:  # whatever a stranger's module raises while it is imported
        raise BenchError(f"{kind} {name} can't be loaded: {type(error).__name__}: {error}") from error
    _check(found, bases, f"{kind} {name}")
    return found  # type: ignore[no-any-return]


def _installed(name: str, group: str, kind: str) -> EntryPoint:
    if name.endswith(".py"):
        raise BenchError(f"{kind} '{name}' is a file; name the class in it too: {name}:Class")
    installed = names(group)
    if name not in installed:
        raise unknown(kind, name, installed)
    return installed[name]


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve(strict=True)
    # Two files of one name must not replace each other; dataclasses look their module up in sys.modules.
    name = f"{FILE_MODULE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _check(found: object, bases: tuple[type[T], ...], what: str) -> None:
    wanted = f"a subclass of {' or '.join(f'{base.__module__}.{base.__name__}' for base in bases)}"
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise BenchError(f"{what} must be {wanted}; found {found!r}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise BenchError(f"{what} must be {wanted} with all its methods; {missing} missing")
    if not isinstance(getattr(found, "name", None), str):
        raise BenchError(f'{what} must have a name, such as `name = "family/variant"`')
    if found.leaks and "leak" not in found.name:
        raise BenchError(
            f"{what} is fitted on validation and test (leaks = True), so its name must say 'leak'; found '{found.name}'"
        )
    if not dataclasses.is_dataclass(found.Settings):
        raise BenchError(f"{what} must have a dataclass as Settings; found {found.Settings!r}")


def _where(entry: EntryPoint) -> str:
    package = f" of package {entry.dist.name}" if entry.dist else ""
    return f"'{entry.name}'{package} ({entry.value})"
