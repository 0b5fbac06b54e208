"""`make test` gives one result on every Python that is supported, and on any number of threads."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10", "3.13")


def interpreter(version: str) -> str:
    """A Python of this version; empty where the machine has none."""
    homes = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    candidates = [f"python{version}", *map(str, homes)]
    return next((found for name in candidates if (found := shutil.which(name)) and runs(found, version)), "")


def runs(python: str, version: str) -> bool:
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def clone(target: Path) -> Path:
    """The commit that is checked out, as somebody else would get it, with its data beside it where there is any."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(target / "clone")], check=True)
    if (ROOT.parent / "shared").is_dir():
        (target / "shared").symlink_to(ROOT.parent / "shared")
    return target / "clone"


@pytest.mark.long
@pytest.mark.parametrize("version", PYTHONS)
def test_the_whole_suite_on_another_python(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if not python:
        pytest.skip(f"there is no Python {version} on this machine")
    done = subprocess.run(["make", f"PYTHON={python}", "test"], cwd=clone(tmp_path), check=False)
    assert done.returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_whole_suite_on_so_many_threads(threads: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    done = subprocess.run([".venv/bin/python", "-m", "pytest", "-q"], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0
