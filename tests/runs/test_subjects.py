"""Plugins are found by name without importing anybody's package, and a broken one is named in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.evaluation.baseline import Baseline
from bench.ids.scheme import IdScheme
from bench.runs.subjects import SCHEMES, load_baseline, load_scheme, names, refuse_taken_name, settings

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from bench.evaluation.baseline import Baseline
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary

@dataclass(frozen=True)
class Settings:
    width: int = 5

class Alphabetical(IdScheme):
    name = "mine/alphabetical"
    Settings = Settings

    def fit(self, train):
        vocabulary = Vocabulary.private("0123456789")
        numbers = np.argsort(np.argsort(train.items.ids))
        codes = [vocabulary.ids(f"{number:0{self.settings.width}d}") for number in numbers]
        return TokenIds.from_lists(codes, vocabulary)

class Flat(Baseline):
    name = "flat"

    def fit(self, train):
        self.items = len(train.items)

    def score(self, histories):
        return np.zeros((len(histories), self.items), np.float32)

class Unfinished(IdScheme):
    name = "mine/unfinished"

class Nameless(Alphabetical):
    name = None

class Loose(Alphabetical):
    Settings = dict

class Sly(Alphabetical):
    leaks = True

class Open(Alphabetical):
    name = "mine/leaky"
    leaks = True

class SlyFlat(Flat):
    leaks = True

class Worded(Alphabetical):
    version = "two"

class Blind(Alphabetical):
    def fit(self):
        return None

class Unset(Alphabetical):
    def __init__(self):
        pass

class Staged(Alphabetical):
    def stages(self, train):
        yield

class Unasked(Flat):
    def score(self):
        return None

class Free(Alphabetical):
    @staticmethod
    def fit(train):
        return None

    def stages(self, *given, **named):
        yield
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, package: str, source: str, **entries: str) -> None:
    """What pip leaves behind, as far as entry points go."""
    (folder / f"{package}.py").write_text(source)
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{SCHEMES}]", *lines]))
    if str(folder) not in sys.path:
        monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, package, raising=False)


def test_names_are_read_without_importing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_explosive", "raise SystemExit(3)", explosive="bench_explosive:Boom")
    assert names(SCHEMES)["explosive"].value == "bench_explosive:Boom"
    assert "bench_explosive" not in sys.modules


def test_an_installed_scheme_is_loaded_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_outside", SOURCE, outside="bench_outside:Alphabetical")
    found = load_scheme("outside")
    assert issubclass(found, IdScheme)
    assert found.name == "mine/alphabetical"


def test_a_scheme_is_loaded_from_a_file_and_from_a_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_scheme(f"{file}:Alphabetical").name == "mine/alphabetical"
    monkeypatch.chdir(file.parent)
    assert load_scheme("./mine.py:Alphabetical").name == "mine/alphabetical"
    monkeypatch.syspath_prepend(file.parent)
    assert load_scheme("mine:Alphabetical").__module__ == "mine"
    monkeypatch.delitem(sys.modules, "mine")


def test_a_baseline_is_loaded_from_a_file(file: Path) -> None:
    assert issubclass(load_baseline(f"{file}:Flat"), Baseline)


def test_two_files_of_one_name_keep_their_own_settings(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(SOURCE.replace("width: int = 5", "width: float = 0.5"))
    first, second = load_scheme(f"{file}:Alphabetical"), load_scheme(f"{other}:Alphabetical")
    assert settings(first, {"width": "7"}).width == 7
    assert settings(second, {"width": "7.5"}).width == 7.5


def test_an_unknown_name_comes_with_a_suggestion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_outside", SOURCE, outside="bench_outside:Alphabetical")
    with pytest.raises(BenchError, match=r"unknown identifier scheme 'outsied'; did you mean 'outside'\? known: "):
        load_scheme("outsied")
    with pytest.raises(BenchError, match=r"unknown baseline 'outside'; it is .* run with --id-scheme outside$"):
        load_baseline("outside")
    with pytest.raises(BenchError, match=r"unknown identifier scheme 'pop'; it is a baseline, .* with --baseline pop$"):
        load_scheme("pop")
    with pytest.raises(BenchError, match=r"unknown baseline 'nothing_like_it'"):
        load_baseline("nothing_like_it")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library' ({}, line 1)"),
        ("a = 0\n1 / a", "ZeroDivisionError: division by zero ({}, line 2)"),
        ("Other = 1", "AttributeError: module 'bench_broken' has no attribute 'Wanted'"),
    ],
)
def test_a_broken_package_is_named_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, cause: str
) -> None:
    install(monkeypatch, tmp_path, "bench_broken", source, broken="bench_broken:Wanted")
    with pytest.raises(BenchError) as caught:
        load_scheme("broken")
    where = "identifier scheme 'broken' of package bench_broken (bench_broken:Wanted)"
    assert str(caught.value) == f"{where} can't be loaded: {cause.format('bench_broken.py')}"


@pytest.mark.parametrize(
    ("attribute", "complaint"),
    [
        ("Flat", r"must be a subclass of bench\.ids\.scheme\.IdScheme; got <class"),
        ("SOURCE", r"can't be loaded: \S+/mine\.py has no 'SOURCE'; its classes: Alphabetical, Flat, "),
        ("Unfinished", "with all its methods; fit missing"),
        ("Nameless", "must have a name"),
        ("Loose", "must have a dataclass as Settings; got <class 'dict'>"),
        ("Worded", "must have a whole number as version; got 'two'"),
        ("Blind", r"mine\.py:Blind: fit must take \(self, train\); got \(self\)$"),
        ("Unset", r"mine\.py:Unset: __init__ must take \(self, settings\); got \(self\)$"),
        ("Staged", r"mine\.py:Staged: stages must take \(self, train, ids\); got \(self, train\)$"),
        ("Sly", "fitted on validation and test .* name must say 'leak'; got 'mine/alphabetical'"),
    ],
)
def test_what_is_no_scheme_is_refused(file: Path, attribute: str, complaint: str) -> None:
    with pytest.raises(BenchError, match=complaint):
        load_scheme(f"{file}:{attribute}")


def test_methods_are_called_as_the_interface_says(file: Path) -> None:
    with pytest.raises(BenchError, match=r"Unasked: score must take \(self, histories\); got \(self\)$"):
        load_baseline(f"{file}:Unasked")
    assert load_scheme(f"{file}:Free").name == "mine/alphabetical"


def test_what_leaks_must_say_so_in_its_name(file: Path) -> None:
    assert load_scheme(f"{file}:Open").leaks
    assert not load_scheme(f"{file}:Alphabetical").leaks
    with pytest.raises(BenchError, match=r"baseline .*SlyFlat is fitted on validation and test .*; got 'flat'"):
        load_baseline(f"{file}:SlyFlat")


def test_a_class_nearly_named_is_suggested(file: Path) -> None:
    with pytest.raises(
        BenchError, match=r"/mine\.py has no 'Alphabetcal'; did you mean 'Alphabetical'\? its classes: "
    ):
        load_scheme(f"{file}:Alphabetcal")


def test_a_file_that_is_not_there_and_a_file_without_class(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"there is no file .*absent\.py"):
        load_scheme(f"{tmp_path}/absent.py:Mine")
    with pytest.raises(BenchError, match=r"is a file; name the class in it too: \./mine\.py:Class"):
        load_scheme("./mine.py")


def test_two_packages_with_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_one", "", contested="bench_one:A")
    install(monkeypatch, tmp_path, "bench_two", "", contested="bench_two:A")
    with pytest.raises(BenchError, match=r"of package bench_one and .* of package bench_two both offer 'contested'"):
        load_scheme("contested")


def test_a_conflict_hurts_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_one", SOURCE, contested="bench_one:Alphabetical", mine="bench_one:Open")
    install(monkeypatch, tmp_path, "bench_two", SOURCE, contested="bench_two:Alphabetical")
    assert load_scheme("mine").name == "mine/leaky"
    assert load_scheme("textual").name == "textual/idgenrec"
    assert load_scheme("bench_two:Alphabetical").__module__ == "bench_two"
    assert names(SCHEMES)["contested"].value == "bench_one:Alphabetical"


def test_a_name_is_that_of_one_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inherits = "from numeric_ids import Random\nclass Mine(Random): ..."  # and so calls itself as that does
    install(monkeypatch, tmp_path, "bench_heir", inherits, heir="bench_heir:Mine")
    with pytest.raises(BenchError, match=r"'numeric/random' is taken by an installed plugin of bench\.id_schemes"):
        refuse_taken_name(load_scheme("heir"))
    for name in ("numeric/random", "numeric", "numeric_ids.numbering:Random"):
        refuse_taken_name(load_scheme(name))


def test_of_two_packages_with_one_name_either_is_had_by_its_class(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for package in ("bench_one", "bench_two"):
        install(monkeypatch, tmp_path, package, SOURCE, **{"mine/alphabetical": f"{package}:Alphabetical"})
    for package in ("bench_one", "bench_two"):  # as the error of the conflict advises
        refuse_taken_name(load_scheme(f"{package}:Alphabetical"))


def test_a_package_that_ends_the_process_is_only_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "bench_explosive", "raise SystemExit(3)", explosive="bench_explosive:Boom")
    with pytest.raises(BenchError, match=r"can't be loaded: SystemExit: 3 \(.*, line 1\)$"):
        load_scheme("explosive")


def test_settings_are_the_schemes_own(file: Path) -> None:
    scheme = load_scheme(f"{file}:Alphabetical")
    assert settings(scheme, {}).width == 5
    with pytest.raises(BenchError, match=r"unknown setting of mine/alphabetical 'widht'; did you mean 'width'\?"):
        settings(scheme, {"widht": "3"})


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("numeric_ids:Sequential", "numeric/sequential"),
        ("numeric_ids:Random", "numeric/random"),
        ("textual_ids:Title", "textual/title"),
    ],
)
def test_our_own_families_load(asked: str, name: str) -> None:
    assert load_scheme(asked).name == name


def test_finding_plugins_is_light() -> None:
    script = "import sys, bench.runs.subjects; sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    paths = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", script], env=paths, check=False).returncode == 0
