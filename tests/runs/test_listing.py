"""`bench ls`: what can be run and what is finished, without waiting for torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.runs.listing import finished

Bench = Callable[..., SimpleNamespace]


def test_all_that_can_be_named_is_listed(
    bench: Bench, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "toys.inter").touch()
    said = bench("ls", "--results", tmp_path, "--data-dir", tmp_path)
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.strip()}
    assert {"numeric", "numeric/random", "textual/title", "pop", "random", "smoke", "cpu", "standard"} <= rows.keys()
    assert "the same as numeric/sequential" in rows["numeric"]
    assert "the same as textual/idgenrec" in rows["textual"]
    assert "textual_ids:Title" in rows["textual/title"]
    assert "the same as sasrec/ce" in rows["sasrec"]
    assert str(tmp_path / "toys") in rows["toys"]
    assert "not found: Amazon 2014 reviews, 5-core, Beauty" in rows["beauty"]
    assert "none yet" in said.out

    run = ["run", "--baseline", "pop", "--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench(*run).code == 0
    assert "toy/pop@1/" in bench("ls", "--results", tmp_path, "--data-dir", tmp_path).out


def test_unfinished_cells_are_not_listed(tmp_path: Path) -> None:
    for name in ("1", ".2.partial", ".3.old"):
        folder = tmp_path / "runs" / "toys" / "pop@1" / "abc" / name
        folder.mkdir(parents=True)
        (folder / "result.json").touch()
    (tmp_path / "runs" / "toys" / "pop@1" / "abc" / "4").mkdir()
    assert finished(tmp_path) == [Path("toys/pop@1/abc/1")]
    assert finished(tmp_path / "missing") == []


def test_listing_imports_neither_torch_nor_a_plugin(tmp_path: Path) -> None:
    code = (
        "import sys; from bench.cli import main\n"
        f"sys.argv = ['bench', 'ls', '--results', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'textual_ids', 'numeric_ids', 'trivial_baselines'}\n"
        "heavy |= {'recbole', 'recbole_baselines'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "textual/title" in done.stdout
