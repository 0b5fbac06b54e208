"""The requirements of ``bench check`` as tests of a package of your own:

    import pytest
    from bench.testing import Requirement, requirements

    @pytest.mark.parametrize("requirement", requirements("my_scheme"))
    def test_requirement(requirement: Requirement) -> None:
        requirement.check()

``baseline_requirements`` are those of a baseline. Either is named as for ``bench run`` (installed, ``module:Class``, or
``file.py:Class``) or given as a class at the top level of its module. All tests of one share its fits and its training,
and so take seconds together.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import plugins
from bench.conformance.request import CheckRequest
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.conformance.baseline_fixtures import BaselineFixtures
    from bench.conformance.fixtures import Fixtures
    from bench.evaluation.baseline import AnyBaseline
    from bench.ids.scheme import IdScheme

__all__ = ["Requirement", "baseline_requirements", "check_baseline", "check_scheme", "requirements"]


@dataclass(frozen=True)
class Requirement:
    """One requirement, to be checked when asked; its name is the id that pytest gives the test."""

    name: str
    asked: CheckRequest

    @property
    def __name__(self) -> str:
        return self.name

    def check(self) -> None:
        """AssertionError where it is broken, saying what, on which item, and what to do; SkipTest where it is not one
        for this scheme or baseline to keep.
        """
        from bench.conformance.requirements import check_requirement

        result = check_requirement(self.name, _fixtures(self.asked))
        if result.state == "skipped":
            raise unittest.SkipTest(f"{self.name}: {result}")
        if result.state == "failed":
            raise AssertionError(f"{self.asked.subject} fails the requirement '{self.name}': {result}")


def requirements(
    scheme: str | type[IdScheme], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> list[Requirement]:
    """Every requirement of a scheme, for ``pytest.mark.parametrize``; nothing is imported or run yet.

    ``settings`` are ``key=value`` texts as of ``bench run --set``.
    """
    return _all(CheckRequest(_named(scheme), dataset, tuple(settings), seed))


def baseline_requirements(
    baseline: str | type[AnyBaseline], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> list[Requirement]:
    """The same of a baseline."""
    return _all(CheckRequest(_named(baseline), dataset, tuple(settings), seed, baseline=True))


def check_scheme(
    scheme: str | type[IdScheme], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> None:
    """All requirements in one call: AssertionError at the first that is broken."""
    _check(requirements(scheme, dataset, settings, seed))


def check_baseline(
    baseline: str | type[AnyBaseline], dataset: str = "ml-100k", settings: tuple[str, ...] = (), seed: int = 0
) -> None:
    """The same of a baseline."""
    _check(baseline_requirements(baseline, dataset, settings, seed))


def _all(asked: CheckRequest) -> list[Requirement]:
    return [Requirement(name, asked) for name in asked.names]


def _check(wanted: list[Requirement]) -> None:
    for requirement in wanted:
        with contextlib.suppress(unittest.SkipTest):
            requirement.check()


def _named(subject: str | type[IdScheme] | type[AnyBaseline]) -> str:
    return subject if isinstance(subject, str) else reference(subject)


def reference(cls: type[IdScheme] | type[AnyBaseline]) -> str:
    """A class as a name by which another process finds it. BenchError for one that is made inside a function."""
    if "<locals>" in cls.__qualname__:
        raise BenchError(f"{cls.__qualname__} is made inside a function; move it to the top level of its module")
    file = Path(inspect.getfile(sys.modules[cls.__module__]))
    importable = cls.__module__ != "__main__" and file in _candidates(cls.__module__)
    return f"{cls.__module__ if importable else file}:{cls.__qualname__}"


def _candidates(module: str) -> set[Path]:
    """The files that another process would make a module of."""
    spec, (_, *below) = plugins.top_level(module), module.split(".")
    roots = [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
    files = {Path(spec.origin)} if spec and spec.origin and not below else set()
    found = (root.joinpath(*below) for root in roots if below)
    return files | {path for inner in found for path in (inner.with_suffix(".py"), inner / "__init__.py")}


@functools.lru_cache(maxsize=4)
def _fixtures(asked: CheckRequest) -> Fixtures | BaselineFixtures:
    from bench.conformance.requirements import fixtures_of

    return fixtures_of(asked)
