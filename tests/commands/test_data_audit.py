"""``bench data audit`` on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.commands.data_audit import rows
from bench.data import sources
from bench.data.audit.findings import audit

Bench = Callable[..., SimpleNamespace]


def test_it_prints_every_finding_and_the_conclusion(bench: Bench, toy_folder: Path) -> None:
    said = bench("data", "audit", toy_folder)
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    found = audit(sources.find(str(toy_folder)))
    assert found.conclusion in text
    for label, value in rows(found):
        assert all(word in text for word in f"{label} {value}".split())
    for word in ("as in the data", "training order shuffled", "markov", "co-occurrence", "popularity"):
        assert word in text


def test_machines_get_the_same(bench: Bench, toy_folder: Path) -> None:
    held = json.loads(bench("data", "audit", toy_folder, "--json").out)
    assert held == audit(sources.find(str(toy_folder))).plain()


def test_ties_can_be_ordered_first(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    lines = [f"u{n % 9}\ti{(n * 7) % 31:02d}\t{n // 36}" for n in range(180)]
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(lines) + "\n")
    held = json.loads(bench("data", "audit", folder, "--ties", "id", "--json").out)
    assert held["order"]["ascending_in_ties"] == 1.0
    presumed = json.loads(bench("data", "audit", toy_folder, "--ties", "presumed", "--json").out)
    assert presumed["order"]["positional"]
    assert presumed["strength"]["ascending_pairs"] < 0.9


@pytest.mark.parametrize(
    ("ties", "said"), [("digest", "are positions, not times"), ("dige", "unknown rule of ties 'dige'; did you mean")]
)
def test_what_cannot_be_asked_is_one_line(ties: str, said: str, bench: Bench, toy_folder: Path) -> None:
    found = bench("data", "audit", toy_folder, "--ties", ties)
    assert found.code == 1
    assert said in found.err
    assert len(found.err.splitlines()) == 1


def test_info_says_that_time_stamps_say_nothing(bench: Bench, tmp_path: Path) -> None:
    lines = [f"u{n % 9}\ti{n % 31:02d}\t0" for n in range(90)]
    folder = tmp_path / "zeros"
    folder.mkdir()
    (folder / "zeros.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(lines) + "\n")
    assert "note: 100 % of the interactions have the same" in bench("data", "info", folder).out


def test_toys_takes_less_than_a_minute(bench: Bench, real_data: Path) -> None:
    begin = time.monotonic()
    said = bench("data", "audit", "toys", "--data-dir", real_data)
    assert said.code == 0, said.err
    assert time.monotonic() - begin < 60
