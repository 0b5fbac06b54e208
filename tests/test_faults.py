"""Broken entry points are seen without importing anything, and sound ones are left in peace."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import plugins
from bench.faults import fault, is_there, lacking, origin


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own name for every test: what was found of a module is remembered."""
    folder = tmp_path / f"pkg_{tmp_path.name}".replace("-", "_").replace("[", "").replace("]", "")
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def found(package: Path, attribute: str = "Mine", module: str = "", **sources: str) -> str:
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    place = f"{package.name}{module}"
    text = fault(EntryPoint("mine", f"{place}:{attribute}", plugins.SCHEMES))
    assert package.name not in sys.modules, "it was imported"
    return text


@pytest.mark.parametrize(
    "source",
    [
        "class Mine: ...",
        "def Mine(): ...",
        "Mine = Other = 3",
        "(Mine, other), *rest = [(1, 2)]",
        "from json import loads as Mine",
        "import json as Mine",
        "import sys, math, _thread\nclass Mine: ...",
        "from json import *",
        "def __getattr__(name): ...",
        "try:\n    import absent_library\nexcept ImportError:\n    Mine = None\nelse:\n    Mine = 1",
        "if True:\n    class Mine: ...\nelse:\n    import absent_library",
        "with open(__file__) as Mine: pass",
        "def late():\n    import absent_library\nclass Mine: ...",
        "from . import helper as Mine",
        "from .helper import Mine",
        "from .helper import *\nMine = 1",
    ],
)
def test_nothing_is_wrong(package: Path, source: str) -> None:
    assert found(package, __init__=source, helper="Mine = 1") == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Yours: ...", "module '{package}' has no 'Mine'"),
        ("class Mine:\n  def", "__init__.py can't be read: invalid syntax (__init__.py, line 2)"),
        ("\nimport absent_library\nMine = 1", "__init__.py imports 'absent_library', which is not installed"),
        ("from absent.part import Mine", "__init__.py imports 'absent.part', which is not installed"),
        ("from .helper import Other as Mine", "module '{package}.helper' has no 'Other'"),
        ("from .absent import Mine", "there is no module '{package}.absent'"),
        ("from .broken import Mine", "broken.py imports 'absent_library', which is not installed"),
        ("Mine = 1\nraise OSError('no GPU')", "__init__.py says in line 2: raise OSError('no GPU')"),
    ],
)
def test_what_is_wrong_is_said(package: Path, source: str, said: str) -> None:
    text = found(package, __init__=source, helper="Mine = 1", broken="import absent_library\nMine = 1")
    assert text == said.format(package=package.name)


def test_modules_that_import_each_other(package: Path) -> None:
    one, two = "from .two import Mine", "from .one import Mine"
    assert found(package, __init__=two, one=one, two=two) == ""


def test_a_module_within_a_package_is_found_without_importing_the_package(package: Path) -> None:
    assert found(package, __init__="raise SystemExit(3)", module=".inner", inner="Mine = 1") == ""
    assert found(package, module=".absent") == f"there is no module '{package.name}.absent'"


def test_an_attribute_of_an_attribute(package: Path) -> None:
    assert found(package, "Mine.Inner", __init__="class Mine:\n    class Inner: ...") == ""


def test_a_compiled_module_is_believed() -> None:
    assert fault(EntryPoint("mine", "_thread:Mine", plugins.SCHEMES)) == ""


@pytest.mark.parametrize("value", ["", "no module:Mine", ":Mine", "one.:Mine", "1/0"])
def test_what_is_no_entry_point(value: str) -> None:
    assert fault(EntryPoint("mine", value, plugins.SCHEMES)) != ""


def test_all_of_our_own_is_sound() -> None:
    ours = [entry for group in (plugins.SCHEMES, plugins.BASELINES) for entry in plugins.names(group).values()]
    assert len(ours) > 20
    assert [fault(entry) for entry in ours if entry.dist and entry.dist.name == "bench"] == [""] * len(ours)


def test_whether_a_module_is_there() -> None:
    assert is_there("json")
    assert is_there("json.decoder")
    assert not is_there("json.absent")
    assert not is_there("absent_library")
    assert origin("bench.faults").endswith("bench/faults.py")
    assert origin("absent_library") == ""


def test_what_a_package_says_it_needs_is_looked_for(package: Path) -> None:
    sources = {
        "__init__": "from .base import Base\nfrom . import other\nclass Mine(Base): ...",
        "base": "from .deep import Base\nNEEDED = ('json', 'absent_one', 'absent_two')",
        "deep": "NEEDED = ['absent_one', 'absent_three']\nclass Base: ...",
        "other": "NEEDED = ()",
        "apart": "NEEDED = ('absent_four',)",
    }
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    entry = EntryPoint("mine", f"{package.name}:Mine", plugins.SCHEMES)
    assert sorted(lacking(entry)) == ["absent_one", "absent_three", "absent_two"]
    assert package.name not in sys.modules, "it was imported"


@pytest.mark.parametrize("source", ["NEEDED = names()", "NEEDED = 3", "def (", "Mine = 3"])
def test_what_says_nothing_lacks_nothing(package: Path, source: str) -> None:
    (package / "__init__.py").write_text(source)
    assert lacking(EntryPoint("mine", f"{package.name}:Mine", plugins.SCHEMES)) == []
    assert lacking(EntryPoint("mine", "absent_package:Mine", plugins.SCHEMES)) == []
