"""The promises of ``bench check`` as tests of a package of your own:

    import pytest
    from bench.testing import Promise, promises

    @pytest.mark.parametrize("promise", promises("my_scheme"))
    def test_promise(promise: Promise) -> None:
        promise.check()

A scheme is named as for ``bench run`` (installed, ``module:Class``, or ``file.py:Class``) or given as a class at the
top level of its module. All tests of one scheme share its fits and its training, and so take seconds together.
"""

from __future__ import annotations

import functools
import inspect
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.conformance.request import NAMES, CheckRequest
from bench.errors import BenchError
from bench.faults import origin

if TYPE_CHECKING:
    from bench.conformance.evidence import Evidence
    from bench.ids.scheme import IdScheme

__all__ = ["Promise", "check_scheme", "promises"]


@dataclass(frozen=True)
class Promise:
    """One promise of a scheme, to be checked when asked; its name is the id that pytest gives the test."""

    name: str
    asked: CheckRequest

    @property
    def __name__(self) -> str:
        return self.name

    def check(self) -> None:
        """AssertionError where it is broken, saying what, on which item, and what to do; SkipTest where it is not this
        scheme's to keep.
        """
        from bench.conformance.promises import judge

        verdict = judge(self.name, _evidence(self.asked))
        if verdict.state == "skipped":
            raise unittest.SkipTest(f"{self.name}: {verdict}")
        if verdict.state == "broken":
            raise AssertionError(f"{self.asked.scheme} breaks the promise '{self.name}': {verdict}")


def promises(
    scheme: str | type[IdScheme], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> list[Promise]:
    """Every promise of a scheme, for ``pytest.mark.parametrize``; nothing is imported or run yet.

    ``settings`` are ``key=value`` texts as of ``bench run --set``.
    """
    asked = CheckRequest(scheme if isinstance(scheme, str) else reference(scheme), dataset, tuple(settings), seed)
    return [Promise(name, asked) for name in NAMES]


def check_scheme(
    scheme: str | type[IdScheme], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> None:
    """All promises in one call: AssertionError at the first that is broken."""
    for promise in promises(scheme, dataset, settings, seed):
        try:
            promise.check()
        except unittest.SkipTest:
            continue


def reference(cls: type[IdScheme]) -> str:
    """A class as a name by which another process finds it. BenchError for one that is made inside a function."""
    if "<locals>" in cls.__qualname__:
        raise BenchError(f"{cls.__qualname__} is made inside a function; move it to the top level of its module")
    file = Path(inspect.getfile(sys.modules[cls.__module__]))
    importable = cls.__module__ != "__main__" and origin(cls.__module__) == str(file)
    return f"{cls.__module__ if importable else file}:{cls.__qualname__}"


@functools.lru_cache(maxsize=4)
def _evidence(asked: CheckRequest) -> Evidence:
    from bench.conformance.evidence import Evidence

    return Evidence(asked)
