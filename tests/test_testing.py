"""The requirements as tests of other people's packages."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

import numeric_ids
import pytest

from bench.conformance.request import NAMES
from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.runs.subjects import load_scheme
from bench.testing import Requirement, check_scheme, reference, requirements

SCHEMES = Path(__file__).with_name("conformance") / "schemes.py"


def requirement(scheme: str, name: str, toy_folder: Path) -> Requirement:
    (found,) = (each for each in requirements(f"{SCHEMES}:{scheme}", str(toy_folder)) if each.name == name)
    return found


def test_a_failed_requirement_raises_and_says_all(toy_folder: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        requirement("Twins", "unique", toy_folder).check()
    assert str(caught.value) == (
        f"{SCHEMES}:Twins fails the requirement 'unique': 2 of 30 items share an identifier (item 'i00', red car; "
        "item 'i01', blue car). To do: tell them apart, e.g. by a last token that counts, or declare "
        "`allow_collisions = True`"
    )
    requirement("Twins", "length", toy_folder).check()


def test_one_call_stops_at_the_first_that_is_broken_and_passes_over_skipped_ones(toy_folder: Path) -> None:
    with pytest.raises(unittest.SkipTest, match="length: 'fits' failed"):
        requirement("Raising", "length", toy_folder).check()
    with pytest.raises(AssertionError, match="fails the requirement 'fits': fit failed: KeyError"):
        check_scheme(f"{SCHEMES}:Raising", str(toy_folder))


def test_pytest_names_and_collects_them_without_importing_anything(tmp_path: Path) -> None:
    test = "import pytest, sys\nfrom bench.testing import requirements\n"
    test += "def test_light(): assert not {'torch', 'pandas'} & sys.modules.keys()\n"
    test += "@pytest.mark.parametrize('requirement', requirements('absent'))\n"
    test += "def test_it(requirement): requirement.check()\n"
    (tmp_path / "test_mine.py").write_text(test)
    options = ("-p", "no:cacheprovider", "-vv", "--deselect", "test_mine.py::test_it[blind]", "-k", "light or blind")
    done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True)
    assert "test_light PASSED" in done.stdout
    assert f"1 passed, {len(NAMES)} deselected" in done.stdout  # the ids of tests are the names of requirements


class Here(IdScheme):
    name = "test/here"

    def fit(self, train: TrainView) -> TokenIds:
        raise NotImplementedError


def test_a_class_is_named_so_that_another_process_finds_it() -> None:
    assert reference(numeric_ids.Random) == "numeric_ids.numbering:Random"
    assert reference(Here) in (f"{__file__}:Here", "tests.test_testing:Here")  # as pytest was started
    assert load_scheme(reference(Here)).name == "test/here"
    assert requirements(Here)[0].asked.subject == reference(Here)


def test_a_class_within_a_function_is_refused() -> None:
    class Inner(Here):
        name = "test/inner"

    with pytest.raises(BenchError, match="Inner is made inside a function; move it to the top level of its module"):
        requirements(Inner)
