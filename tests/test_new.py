"""`bench new` writes a package that is sound from the start, or nothing at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import BenchError
from bench.new import FILES, refuse, write
from bench.testing import check_scheme

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("wooden_horse", tmp_path_factory.mktemp("new"))


def test_a_package_says_what_to_do_next(bench: Bench, tmp_path: Path) -> None:
    said = bench("new", "wooden_horse", "--into", tmp_path)
    folder = tmp_path / "wooden_horse"
    assert said.code == 0
    assert said.out == f"{folder}: the scheme is in {folder}/src/wooden_horse/__init__.py\n"
    assert said.err == f"Now: pip install -e {folder}, then: bench check wooden_horse\n"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {path.format(name="wooden_horse") for path in FILES}
    assert "$" not in "".join((folder / path).read_text() for path in found)
    assert [path.name for path in tmp_path.iterdir()] == ["wooden_horse"]

    again = bench("new", "wooden_horse", "--into", tmp_path)
    assert again.code == 1
    assert again.err == f"bench: '{folder}' exists already; give another name, or another folder with --into\n"


def test_the_scheme_is_short(package: Path) -> None:
    lines = (package / "src" / "wooden_horse" / "__init__.py").read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 15


def test_the_scheme_meets_every_requirement(package: Path, toy_folder: Path, tiny: Path) -> None:
    scheme = f"{package}/src/wooden_horse/__init__.py:WoodenHorse"
    check_scheme(scheme, str(toy_folder), (f"backbone={tiny}", "epochs=4"))


@pytest.mark.parametrize("tool", [("ruff", "check"), ("ruff", "format", "--check")])
def test_the_package_is_clean(package: Path, tool: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool, "src", "tests"], cwd=package, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["My-scheme", "1st", "a__b", "class", "", "my scheme", "../mine", "äpfel", "a_"])
def test_a_name_must_be_one_for_a_package(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="can't be the name of a package: take lower-case words joined by '_'"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("textual", "an installed scheme or baseline"),
        ("pop", "an installed scheme or baseline"),
        ("numpy", "an installed Python module"),
        ("json", "an installed Python module"),
    ],
)
def test_a_name_must_be_free(name: str, taken: str) -> None:
    with pytest.raises(BenchError, match=f"the name '{name}' is taken by {taken}"):
        refuse(name)


def test_a_bad_name_comes_with_a_good_one() -> None:
    with pytest.raises(BenchError, match=r"such as 'my_scheme'$"):
        refuse("My-Scheme!")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write the package to"):
        write("wooden_horse", tmp_path / "file")
