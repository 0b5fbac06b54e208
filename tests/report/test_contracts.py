"""Which rows may be compared, and how their contracts are told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.protocol import PROTOCOL
from bench.report.compare import difference
from bench.report.contracts import comparable, contracts, differences, other_code, settings, varying
from bench.report.markdown import markdown
from bench.report.rows import Row, sections
from bench.report.table import strong
from bench.report.tables import chapters
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


def test_unequal_protocols_never_compare_whatever_else_agrees(store: Store, tmp_path: Path) -> None:
    store("old", quality=0.4, contract={"protocol": 1})
    store("new", quality=0.3)
    store("floor", kind="baseline", contract={"protocol": 1})
    found = rows(tmp_path)
    assert other_code(found["old"].first, found["new"].first) == f"protocol 1 and protocol {PROTOCOL}"
    assert not comparable(found["old"], found["new"])
    assert not comparable(found["floor"], found["new"])
    assert comparable(found["floor"], found["old"])
    text = markdown(chapters(load(tmp_path)))
    assert f"**protocol**=1 (A), {PROTOCOL} (B)" in text
    assert "old against new" not in text
    assert "new against" not in text
    with pytest.raises(BenchError, match=f"other code computed them, protocol 1 and protocol {PROTOCOL}; run"):
        difference(found["old"], found["new"])


def test_versions_of_one_scheme_never_compare_and_the_report_says_so(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("one", quality=0.4, version=2)
    store("two", quality=0.3)
    found = rows(tmp_path)
    assert set(found) == {"one@1", "one@2", "two"}
    assert not comparable(found["one@1"], found["one@2"])
    assert comparable(found["one@1"], found["two"])
    text = markdown(chapters(load(tmp_path)))
    assert "**computed by different code and not compared**: one@1, one@2" in text
    assert "one@1 against one@2" not in text
    assert "one@2 against one@1" not in text
    with pytest.raises(BenchError, match="version 1 and version 2 of one"):
        difference(found["one@1"], found["one@2"])


def test_one_scheme_that_has_read_other_files_has_another_row(store: Store, tmp_path: Path) -> None:
    for number, digest in enumerate(("aa" * 32, "bb" * 32)):
        store("set/given", quality=0.3 + number / 10, settings={"vectors": "v.npy"}, inputs=digest)
    assert set(rows(tmp_path)) == {"set/given (files=aaaaaaaa)", "set/given (files=bbbbbbbb)"}


def test_letters_follow_the_rows_and_baselines_take_all_that_fit(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.4)
    store("two", quality=0.3, contract={"beam": 50})
    store("three", quality=0.2)
    store("pop", kind="baseline", quality=0.1)
    store("longer", kind="baseline", quality=0.05, contract={"max_history": 50})
    found = contracts(sections(load(tmp_path))[0].rows)
    assert found.letters == ("A", "B", "A", "A, B", "C")
    assert found.by_letter["B"].contract["beam"] == 50
    assert found.mixed


def test_baselines_alone_stand_under_their_own_contract(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.2)
    store("random", kind="baseline")
    found = contracts(sections(load(tmp_path))[0].rows)
    assert found.letters == ("A", "A")
    assert not found.mixed


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


def test_the_version_of_bench_is_told_where_an_environment_has_none(store: Store, tmp_path: Path) -> None:
    environment = {"bench": None, "torch": "2.13.0", "device": "cpu"}
    store("one", environment=environment)
    store("two", environment=environment)
    found = load(tmp_path)
    assert f"bench={found[0].bench}" in markdown(chapters(found))
    assert "bench=none" not in markdown(chapters(found))
