"""What a plugin says of itself is read from its source, as importing it would say, and nothing is imported."""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

from bench.summaries import summary
from bench.versions import DISTRIBUTION

OURS = [
    entry
    for group in ("bench.id_schemes", "bench.baselines")
    for entry in distribution(DISTRIBUTION).entry_points.select(group=group)
]


def entry(value: str) -> EntryPoint:
    return EntryPoint(name="mine", value=value, group="bench.id_schemes")


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: f"{entry.group}-{entry.name}")
def test_it_is_how_the_docstring_of_the_class_begins(entry: EntryPoint) -> None:
    text = " ".join((inspect.getdoc(entry.load()) or "").split()).replace("``", "")
    said = summary(entry)
    assert len(said) > 20
    assert text.startswith(f"{said}.")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with modules that import from one another, which nobody may run."""
    home = tmp_path / "said_by_source"
    (home / "deep").mkdir(parents=True)
    (home / "__init__.py").write_text(
        "1 / 0\nfrom .deep import Renamed as Shown\nfrom said_by_source.other import Round, Both\n"
        'class Plain:\n    """One sentence, of Lin et al. (2025). And more."""\n'
        "class Silent: ...\n"
        'class Twice:\n    """The first."""\nclass Twice:\n    """The last"""\n'
    )
    (home / "deep" / "__init__.py").write_text("from .inner import Inner as Renamed\n")
    (home / "deep" / "inner.py").write_text('class Inner:\n    """It lies\n    ``deep``.\n\n    More.\n    """\n')
    (home / "other.py").write_text("from . import Both\nfrom said_by_source import Round\n")
    (home / "broken.py").write_text("class Mine(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    return home


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("said_by_source:Plain", "One sentence, of Lin et al. (2025)"),
        ("said_by_source:Shown", "It lies deep"),
        ("said_by_source.deep.inner:Inner", "It lies deep"),
        ("said_by_source.deep:Renamed[extra]", "It lies deep"),
        ("said_by_source:Twice", "The last"),
        ("said_by_source:Silent", ""),
        ("said_by_source:Round", ""),  # imported in a circle
        ("said_by_source:Both", ""),
        ("said_by_source:Nothing", ""),
        ("said_by_source.broken:Mine", ""),
        ("said_by_source.absent:Mine", ""),
        ("no_such_package:Mine", ""),
        ("itertools:count", ""),  # written in C
        ("said_by_source", ""),
    ],
)
def test_names_are_followed_through_imports_and_nothing_is_run(package: Path, value: str, said: str) -> None:
    assert summary(entry(value)) == said
    assert package.name not in sys.modules
