"""A plugin that ends the process, as libraries for the command line do, fails like any other and ends no other run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from bench.results.unfinished import unfinished

EXITS = """
import sys
from bench.ids.scheme import IdScheme

class Exits(IdScheme):
    name = "mine/exits"

    def fit(self, train):
        sys.exit("no such option")
"""


def test_a_fit_that_ends_the_process_is_a_failed_run_and_ends_no_other(
    bench: Callable[..., SimpleNamespace],
    quick: list[str],
    run_folders: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(EXITS)
    results = tmp_path / "results"
    words = ["--id-scheme", f"{tmp_path / 'mine.py'}:Exits", "--baseline", "pop", *quick, "--results", results]
    said = bench("run", *words)
    assert said.code == 1
    assert "1 of 2 failed, the others are stored: mine/exits on toy, seed 0 (mine/exits failed in " in said.err
    assert len(run_folders(results)) == 1
    (left,) = unfinished(results)
    assert left.state == "failed"
    assert left.note.startswith("mine/exits failed in fit: SystemExit: no such option (mine.py, line 9)")
