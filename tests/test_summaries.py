"""What a plugin says of itself is read from its source, as importing it would say, and nothing is imported."""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

from bench.summaries import LONGEST, summary
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
    (home / "deepest.py").write_text("Mine = " + "-" * 100_000 + "1\n")
    (home / "forms.py").write_text(
        "import re\nPATTERN = '\\d'\n"
        'class Neural:\n    """Codes are purely neural. They cost little."""\n'
        'class Dotted:\n    """Codes, e.g. RQ-VAE ones! More."""\n'
        f'class Long:\n    """{"words " * 200}"""\n'
        "try:\n    from .deep import Renamed as Tried\nexcept ImportError:\n    Tried = None\n"
        "Alias = Neural\nWrapped = Neural\nWrapped = re.compile(Wrapped)\n"
    )
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
        ("said_by_source.deepest:Mine", ""),  # more than the parser can hold
        (f"said_by_source.{'x' * 300}:Mine", ""),  # no name of a file
        ("said_by_source.forms:Neural", "Codes are purely neural"),
        ("said_by_source.forms:Dotted", "Codes, e.g. RQ-VAE ones!"),
        ("said_by_source.forms:Tried", "It lies deep"),
        ("said_by_source.forms:Alias", "Codes are purely neural"),
        ("said_by_source.forms:Wrapped", ""),
        ("no_such_package:Mine", ""),
        ("itertools:count", ""),  # written in C
        ("said_by_source", ""),
    ],
)
def test_names_are_followed_through_imports_and_nothing_is_run(package: Path, value: str, said: str) -> None:
    assert summary(entry(value)) == said
    assert package.name not in sys.modules


def test_a_summary_has_an_end(package: Path) -> None:
    said = summary(entry("said_by_source.forms:Long"))
    assert len(said) <= LONGEST
    assert said.endswith(" \N{HORIZONTAL ELLIPSIS}")
