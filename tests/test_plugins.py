"""What can be told of an entry point without importing anybody's package."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import plugins
from bench.versions import DISTRIBUTION


def fault(value: str) -> str:
    return plugins.fault(EntryPoint("mine", value, plugins.SCHEMES))


def test_a_package_that_is_there_is_believed_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench_not_imported.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    assert fault("bench_not_imported:Mine") == ""
    assert "bench_not_imported" not in sys.modules


@pytest.mark.parametrize("value", ["bench_absent:Mine", "bench_absent.part:Mine"])
def test_a_package_that_is_not_there(value: str) -> None:
    assert fault(value) == "there is no module 'bench_absent'"


@pytest.mark.parametrize("value", ["", "no module:Mine", ":Mine", "one.:Mine", "1/0", "json", "json:"])
def test_what_is_no_entry_point(value: str) -> None:
    assert fault(value) == f"'{value}' is not of the form module:attribute"


def test_all_of_our_own_is_sound() -> None:
    ours = [entry for group in (plugins.SCHEMES, plugins.BASELINES) for entry in plugins.names(group).values()]
    assert len(ours) > 20
    assert {plugins.fault(entry) for entry in ours if entry.dist and entry.dist.name == DISTRIBUTION} == {""}


def test_where_a_module_comes_from_does_not_depend_on_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "json", sys)
    spec = plugins.top_level("json.decoder")
    assert spec is not None
    assert str(spec.origin).endswith("json/__init__.py")
    assert plugins.top_level("bench_absent") is None


def test_what_a_package_says_it_needs_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "needy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: needy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bench.needs]\nneedy = bench_absent\ncontent = json\n")
    monkeypatch.syspath_prepend(tmp_path)

    def lacks(value: str) -> str:
        return plugins.lacks(EntryPoint("mine", value, plugins.BASELINES))

    assert lacks("needy:Mine") == lacks("needy.part:Mine") == "bench_absent"
    assert lacks("content:Mine") == lacks("other:Mine") == ""
