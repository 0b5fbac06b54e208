"""No two results of unequal making share a folder or pass for one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.results.identity import Run, differences, folder_name
from bench.results.schema import DatasetFacts, SchemeFacts

TOYS = DatasetFacts("toys", "0123456789abcdef", 9, 9, 99)
TITLE = SchemeFacts("textual/title", 2, {"words": 4}, "scheme")
RUN = Run(TOYS, TITLE, {"protocol": 2, "epochs": 8}, 7)


def test_a_run_has_a_folder_that_can_be_read(tmp_path: Path) -> None:
    folder = RUN.folder(tmp_path).relative_to(tmp_path).as_posix()
    assert folder == f"runs/toys/textual.title@2/{RUN.contract_id}-012345/7"
    assert RUN.title == "textual/title on toys, seed 7"
    assert replace(RUN, contract={"trained_on": "toys+park@0123"}).title.endswith(", trained on toys+park, seed 7")


CHANGES: list[dict[str, Any]] = [
    {"dataset": replace(TOYS, name="beauty")},
    {"dataset": replace(TOYS, fingerprint="f" * 16)},
    {"scheme": replace(TITLE, name="textual/other")},
    {"scheme": replace(TITLE, name="textual-title")},
    {"scheme": replace(TITLE, name="textual.title")},
    {"scheme": replace(TITLE, version=3)},
    {"scheme": replace(TITLE, settings={"words": 6}), "changed": {"words": 6}},
    {"scheme": replace(TITLE, inputs="ab" * 32)},
    {"contract": {"protocol": 3, "epochs": 8}},
    {"contract": {"protocol": 2, "epochs": 9}},
    {"seed": 8},
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_a_score_makes_another_folder_and_another_identity(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    other = replace(RUN, **change)
    assert other.folder(tmp_path) != RUN.folder(tmp_path)
    assert differences(RUN.identity, other.identity)


def test_counts_and_code_are_no_identity() -> None:
    same = replace(RUN, dataset=replace(TOYS, users=8), scheme=replace(TITLE, source="other"))
    assert differences(RUN.identity, same.identity) == []


def test_settings_make_a_folder_whatever_their_order(tmp_path: Path) -> None:
    first, second, third = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1})
    folders = [replace(RUN, changed=changed).folder(tmp_path) for changed in (first, second, third)]
    assert folders[0] == folders[1] != folders[2]


def test_differences_name_both_values() -> None:
    stored = replace(RUN, scheme=replace(TITLE, version=1, settings={}), contract={"protocol": 1, "epochs": 8})
    assert differences(stored.identity, RUN.identity) == [
        "version 1 and 2",
        "contract protocol 1 and 2",
        "setting words absent and 4",
    ]


@given(st.text(), st.text())
def test_no_two_names_share_a_folder(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) is (one == other)


@given(st.text(alphabet="ab/.-%A@+~ ", max_size=6), st.text(alphabet="ab/.-%A@+~ ", max_size=6))
def test_no_two_names_of_awkward_signs_share_a_folder(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) is (one == other)
    assert len(Path(folder_name(one)).parts) == 1
