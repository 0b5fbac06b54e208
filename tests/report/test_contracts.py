"""Which rows may be compared, and how their contracts are told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.report.contracts import comparable, contracts, differences, settings, varying
from bench.report.rows import Row, sections
from bench.report.table import strong
from bench.results.read import load

Store = Callable[..., Path]


def rows(root: Path) -> dict[str, Row]:
    return {row.label: row for row in sections(load(root))[0].rows}


def test_schemes_compare_under_one_contract_only(store: Store, tmp_path: Path) -> None:
    store("one")
    store("two")
    store("three", contract={"beam": 50})
    found = rows(tmp_path)
    assert comparable(found["one"], found["two"])
    assert not comparable(found["one"], found["three"])


def test_a_baseline_compares_by_what_its_contract_holds(store: Store, tmp_path: Path) -> None:
    store("scheme")
    store("pop", kind="baseline")
    store("tuned", kind="baseline", contract={"hidden": 64})
    store("longer", kind="baseline", contract={"max_history": 50})
    found = rows(tmp_path)
    assert comparable(found["scheme"], found["pop"])
    assert comparable(found["tuned"], found["scheme"])
    assert not comparable(found["scheme"], found["longer"])
    assert not comparable(found["pop"], found["longer"])


def test_letters_follow_the_rows_and_baselines_take_all_that_fit(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.4)
    store("two", quality=0.3, contract={"beam": 50})
    store("three", quality=0.2)
    store("pop", kind="baseline", quality=0.1)
    store("longer", kind="baseline", quality=0.05, contract={"max_history": 50})
    found = contracts(sections(load(tmp_path))[0].rows)
    assert found.letters == ("A", "B", "A", "A, B", "C")
    assert found.by_letter["B"].contract["beam"] == 50
    assert found.several


def test_baselines_alone_stand_under_their_own_contract(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.2)
    store("random", kind="baseline")
    found = contracts(sections(load(tmp_path))[0].rows)
    assert found.letters == ("A", "A")
    assert not found.several


def test_settings_read_well() -> None:
    values = {"beam": 20, "exclude": True, "warm": False, "norm": None, "rate": 0.001}
    assert settings(values, without=["rate"]) == "beam=20, exclude=yes, warm=no, norm=none"


def test_differences_name_value_and_holders() -> None:
    named = {"A": {"beam": 20, "lr": 0.1}, "B": {"beam": 20, "lr": 0.2}, "C": {"beam": 50, "lr": 0.1}, "D": {"lr": 0.1}}
    found = varying(named)
    beam, lr = strong("beam"), strong("lr")
    assert differences(found) == f"{beam}=20 (A, B), 50 (C), absent (D); {lr}=0.1 (A, C, D), 0.2 (B)"
    assert varying(named, partial=["D"])["beam"] == {"20": ["A", "B"], "50": ["C"]}
    assert varying({"A": {"x": 1}, "B": {}}, partial=["B"]) == {}
