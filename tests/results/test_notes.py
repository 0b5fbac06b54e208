"""A note that is not whole is as good as none, whatever is in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.results import budgets
from bench.results.holders import Holder
from bench.results.leases import failure
from bench.results.notes import read_note
from bench.results.store import Begun, begun_as, partial_folder

BEGUN = Begun({"scheme": "one"}, {"bench": "c0ffee"}, threads=2, budget={"steps": 5})


def test_what_was_noted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text(json.dumps(asdict(BEGUN)))
    assert read_note(path, Begun) == BEGUN
    path.write_text('{"host": "here", "began": 7}')
    assert read_note(path, Holder) == Holder(host="here", began=7)
    assert read_note(tmp_path / "absent", Holder) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "[" * 100_000, "{", '{"identity": {}, "more": 1}', '{"code": {}}'),
        *('{"identity": [1]}', '{"identity": "text"}', '{"identity": {}, "code": "x"}'),
        *('{"identity": {}, "threads": 1.5}', '{"identity": {}, "threads": true}', '{"identity": {}, "forced": 1}'),
        *('{"identity": {}, "budget": null}', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
    ],
)
def test_what_is_not_whole_is_not_there(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "7"
    partial_folder(folder).mkdir()
    (partial_folder(folder) / "begun.json").write_text(text)
    assert begun_as(folder) is None
    (tmp_path / ".7.lease-1").write_text(text)
    assert failure(folder) is None
    folder.mkdir()
    (folder / "result.json").write_text(text)
    assert budgets.known(folder) == {}


@pytest.mark.parametrize("time", ["NaN", "Infinity", "null", "true", '"1"'])
def test_a_time_is_a_finite_number(tmp_path: Path, time: str) -> None:
    (tmp_path / "note").write_text(f'{{"host": "here", "began": {time}}}')
    assert read_note(tmp_path / "note", Holder) is None
