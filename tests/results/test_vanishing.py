"""Who reads a results folder in which others publish, tidy and remove is told nothing of what goes meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BusyError
from bench.report.seeds import _readable
from bench.results import digests, store
from bench.results.storage import pieces
from bench.results.store import Begun, building
from bench.results.unfinished import unfinished

BEGUN = Begun({"scheme": "one", "seed": 7})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run, beside an unfinished one whose training has folders of its own."""
    folder = tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"
    with building(folder, BEGUN) as partial:
        (partial / "result.json").write_text("{}")
    trial = folder.with_name(".8.partial-1") / "context" / "trial-0"
    trial.mkdir(parents=True)
    (trial / "latest.pth").write_text("a checkpoint")
    (tmp_path / "cache" / "ids").mkdir(parents=True)
    return folder


LOOKS: dict[str, Callable[[Path], Any]] = {
    "readable": lambda results: store.readable(results / "runs"),
    "unfinished": unfinished,
    "pieces": pieces,
    "report": _readable,
    "tidy": store.tidy,
    "recover": lambda results: store.recover(results / "runs/toys/one@1/c0ffee00-012345/8"),
    "take": lambda results: store.remove(results / "runs/toys/one@1/c0ffee00-012345/8", finished_too=False),
    "digests": lambda results: digests.of_folder(results / "runs/toys/one@1/c0ffee00-012345/.8.partial-1", frozenset()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_folder_that_goes_before_it_is_looked_into_is_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """Another process removes or renames each folder of a run right before its turn, whoever looks."""
    scandir, seen = os.scandir, list[str]()

    def vanishing(path: Any = ".") -> Any:
        name = "" if isinstance(path, int) else os.fspath(path)
        if os.path.basename(name) in ("7", "trial-0", "ids"):
            seen.append(name)
            with monkeypatch.context() as calm:
                calm.setattr(os, "scandir", scandir)
                shutil.rmtree(path, ignore_errors=True)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    LOOKS[look](tmp_path)
    assert seen or look == "unfinished"  # it looks at what lies beside runs alone


def test_a_run_that_another_process_has_replaced_while_it_was_found_corrupt_stays(folder: Path) -> None:
    """Its files were compared while a forced run took its place: half of the old one, half of the new one."""
    seen = store.stamp(folder)
    with building(folder, Begun(BEGUN.identity, forced=True)) as partial:
        (partial / "result.json").write_text('{"new": 1}')
    os.utime(folder / "result.json", ns=(1, 1))
    with pytest.raises(BusyError, match="another process has just replaced"):
        store.set_aside(folder, seen)
    assert (folder / "result.json").read_text() == '{"new": 1}'
    assert store.set_aside(folder, 1).is_dir()
    assert not folder.exists()
