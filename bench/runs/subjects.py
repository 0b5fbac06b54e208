"""Plugins by name: identifier schemes and baselines, installed (``bench.plugins``) or in a file.

What is not installed is named as ``module:Class`` or ``./path/file.py:Class``. ``file:PATH`` are identifiers that exist
already.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from bench import plugins
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.ids import imported
from bench.ids.scheme import IdScheme
from bench.plugins import BASELINES, SCHEMES, names
from bench.settings import parse

__all__ = [
    "BASELINES",
    "SCHEMES",
    "AnySubject",
    "installed_baseline",
    "installed_scheme",
    "is_baseline",
    "is_file",
    "load_baseline",
    "load_scheme",
    "names",
    "refuse_taken_name",
    "settings",
    "source_digest",
]

T = TypeVar("T", bound="IdScheme | AnyBaseline")
AnySubject = IdScheme | AnyBaseline

IDENTIFIERS = "file:"  # what names of identifiers in a file begin with


def load_scheme(name: str) -> type[IdScheme]:
    """The scheme class named by an entry point, ``module:Class`` or ``file.py:Class``, or of identifiers in a file."""
    if name.startswith(IDENTIFIERS):
        return imported.scheme_of(name.removeprefix(IDENTIFIERS))
    return _load(name, SCHEMES, "identifier scheme", IdScheme)  # type: ignore[type-abstract]


def load_baseline(name: str) -> type[Baseline | TrainedBaseline]:
    """The baseline class named by an entry point, ``module:Class`` or ``file.py:Class``."""
    return _load(name, BASELINES, "baseline", Baseline, TrainedBaseline)


def installed_scheme(name: str) -> type[IdScheme]:
    """The scheme class of a name that a stored file holds. BenchError for one that is not installed: the file may be a
    stranger's, and a module or a path in it would be his to choose, and run.
    """
    return load_scheme(plugins.find(name, SCHEMES, "identifier scheme").name)


def installed_baseline(name: str) -> type[Baseline | TrainedBaseline]:
    """The same of a baseline."""
    return load_baseline(plugins.find(name, BASELINES, "baseline").name)


def is_baseline(name: str) -> bool:
    """Whether a name stands for a baseline where either may be meant. What is in a file or module is loaded for it; of
    what nobody knows a scheme is missed. BenchError where it can't be loaded, or is neither.
    """
    if name.startswith(IDENTIFIERS):
        return False
    if not name.rpartition(":")[1] and not name.endswith(".py"):
        return name in plugins.offers(BASELINES) and name not in plugins.offers(SCHEMES)
    found, what = plugins.load(name, SCHEMES, "scheme or baseline")
    if not (isinstance(found, type) and issubclass(found, IdScheme | AnyBaseline)):
        raise BenchError(f"{what} must be a subclass of {_bases(IdScheme, Baseline, TrainedBaseline)}; got {found!r}")
    return issubclass(found, AnyBaseline)


def settings(cls: type[IdScheme] | type[AnyBaseline], overrides: Mapping[str, str]) -> Any:
    """The settings of a scheme or baseline, its defaults replaced by ``overrides`` (field name -> text)."""
    return parse(cls.Settings, overrides, f"setting of {cls.name}")


def is_file(cls: type) -> bool:
    """Whether a class comes from a file that was named, and so is likely being worked on."""
    return cls.__module__.startswith(plugins.FILE_MODULE)


def refuse_taken_name(cls: type[IdScheme] | type[AnyBaseline]) -> None:
    """No class may call itself like another that is installed: their results would share a folder."""
    offered = ((group, plugins.offers(group).get(cls.name, [])) for group in (SCHEMES, BASELINES))
    taken = [group for group, found in offered if found and not any(_may_be(cls, entry) for entry in found)]
    if taken:
        raise BenchError(f"the name '{cls.name}' is taken by an installed plugin of {taken[0]}; give yours another")


def _may_be(cls: type, entry: EntryPoint) -> bool:
    """Whether an entry point stands for a class. Of one that isn't loaded only the package is compared."""
    module = sys.modules.get(entry.module)
    if module is None:
        return cls.__module__.partition(".")[0] == entry.module.partition(".")[0]
    try:
        return attrgetter(entry.attr)(module) is cls
    except AttributeError:
        return False


def source_digest(cls: type) -> str:
    """8 hex digits over the module that defines a class and the package around it: other code, other digest."""
    module = sys.modules[cls.__module__]
    package = sys.modules.get(cls.__module__.rpartition(".")[0], module)
    files = [Path(inspect.getfile(module))]
    if hasattr(package, "__path__"):
        files = sorted(path for root in package.__path__ for path in Path(root).rglob("*.py"))
    return hashlib.sha256(b"\x00".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _load(name: str, group: str, kind: str, *bases: type[T]) -> type[T]:
    found, what = plugins.load(name, group, kind)
    _check(found, bases, what)
    return found  # type: ignore[return-value]


def _check(found: object, bases: tuple[type[T], ...], what: str) -> None:
    wanted = f"a subclass of {_bases(*bases)}"
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise BenchError(f"{what} must be {wanted}; got {found!r}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise BenchError(f"{what} must be {wanted} with all its methods; {missing} missing")
    if not isinstance(getattr(found, "name", None), str):
        raise BenchError(f'{what} must have a name, such as `name = "family/variant"`')
    if found.leaks and "leak" not in found.name:
        raise BenchError(
            f"{what} is fitted on validation and test (leaks = True), so its name must say 'leak'; got '{found.name}'"
        )
    if not dataclasses.is_dataclass(found.Settings):
        raise BenchError(f"{what} must have a dataclass as Settings; got {found.Settings!r}")
    if not isinstance(found.version, int):
        raise BenchError(f"{what} must have a whole number as version; got {found.version!r}")
    base = next(base for base in bases if issubclass(found, base))
    for method, ours in inspect.getmembers(base, inspect.isfunction):
        if not method.startswith("_") or method == "__init__":
            _check_callable(found, method, inspect.signature(ours), what)


def _bases(*bases: type) -> str:
    return " or ".join(f"{base.__module__}.{base.__name__}" for base in bases)


def _check_callable(cls: type, name: str, wanted: inspect.Signature, what: str) -> None:
    """BenchError where a method cannot be called as that of the interface is."""
    bound = isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
    given = [None for _ in list(wanted.parameters)[bound:]]
    try:
        own = inspect.signature(getattr(cls, name))
    except (TypeError, ValueError):  # a callable that says nothing of itself
        return
    try:
        own.bind(*given)
    except TypeError:
        must = ", ".join(wanted.parameters)
        raise BenchError(f"{what}: {name} must take ({must}); got {own}") from None
