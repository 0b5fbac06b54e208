"""The tutorial is executed, in a fresh environment that has this tree's wheel and nothing else of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.conformance.request import NAMES
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids.identifiers import SlotIds, Template
from bench.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = (ROOT / "docs" / "pages" / "own-scheme.md").read_text(encoding="utf-8")
QUICK = "--set max_steps=2 --set validation_users=20 --set max_history=5"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """The environment variables of a new virtual environment, whose libraries are those of this one."""
    root = tmp_path / "environment"
    venv.create(root, symlinks=os.name != "nt")
    (site,) = (Path(path) for path in root.glob("lib/python*/site-packages"))
    libraries = sysconfig.get_path("purelib")
    (site / "libraries.pth").write_text(f"import site; site.addsitedir({libraries!r})\n")
    for tool in ("pip", "pytest"):
        script = root / "bin" / tool
        script.write_text(f'#!/bin/sh\nexec "{root}/bin/python" -m {tool} "$@"\n')
        script.chmod(0o755)
    unset = ("PYTHONPATH", "BENCH_DATA_DIR", "BENCH_RESULTS")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    pip = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
    path = os.pathsep.join([str(root / "bin"), os.environ["PATH"]])
    own = {"PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment = {**kept, **pip, **own}
    said(["pip", "install", str(ROOT)], environment, tmp_path)
    return environment


def said(command: list[str] | str, environment: dict[str, str], cwd: Path) -> str:
    shell = isinstance(command, str)
    done = subprocess.run(command, shell=shell, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial speaks to a POSIX shell")
def test_every_block_does_what_the_tutorial_says(fresh: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    output: dict[str, str] = {}
    for language, block in BLOCK.findall(TUTORIAL):
        if language == "python":
            file = work / block.splitlines()[0].removeprefix("# ")
            assert file.exists(), f"the tutorial changes {file}, which is not there"
            file.write_text(block)
        elif language == "sh":
            for line in block.splitlines():
                quick = f" {QUICK}" if line.startswith("bench run") else ""
                output[" ".join(line.split()[:2])] = said(line + quick, fresh, work)
        else:
            assert language in ("toml", "text")
    first = next(block for language, block in BLOCK.findall(TUTORIAL) if language == "toml")
    assert first in (work / "my_scheme" / "pyproject.toml").read_text()
    where = said(["python", "-c", "import bench, my_scheme; print(bench.__file__)"], fresh, work)
    assert where.startswith(str(tmp_path / "environment"))
    assert re.search(r"^my_scheme +my_scheme:MyScheme *$", output["bench ls"], flags=re.MULTILINE)
    assert re.search(r"my_scheme.* on ml-100k", output["bench ids"])
    assert output["bench check"].startswith("my_scheme@2 on 100 users")
    assert "10 passed" in output["bench check"]
    assert "1 passed" in output["pytest my_scheme"]
    assert re.search(r"^\| my_scheme +\|", (work / "results" / "report.md").read_text(), flags=re.MULTILINE)


def test_the_method_that_makes_slots_makes_them(toy: Dataset) -> None:
    (block,) = (block for language, block in BLOCK.findall(TUTORIAL) if language == "text")
    names: dict[str, Any] = {"np": np, "SlotIds": SlotIds, "Template": Template, "Vocabulary": Vocabulary}
    exec(f"from __future__ import annotations\n{block}", names)
    ids = names["fit"](None, leave_one_out(toy).train)
    assert (len(ids), ids.slots, len(set(ids.groups.tolist()))) == (30, 2, 30)


def test_the_table_names_every_requirement_in_order() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", TUTORIAL, flags=re.MULTILINE) == list(NAMES)
