"""What is stored of cornac's models beside ours, and what the study says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "results" / "cornac" / "toys.json").read_text(encoding="utf-8"))
    return found


def test_all_rows_are_of_one_task(stored: dict[str, Any]) -> None:
    assert (stored["users"], stored["items"], stored["examples"]) == (19_412, 11_924, 3 * 109_361)
    assert stored["steps"] == 3 * -(-109_361 // stored["batch_size"])
    assert {row["steps"] for row in stored["rows"]} == {stored["steps"]}
    assert stored["rows"][0]["row"] == "bench"


def test_differences_are_those_of_the_scores(stored: dict[str, Any]) -> None:
    first, *others = stored["rows"]
    assert others
    for row in others:
        assert row["difference"] == pytest.approx(row["ndcg"] - first["ndcg"], abs=2e-6)
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]


def test_what_the_study_says_of_them_is_so(stored: dict[str, Any]) -> None:
    rows = {row["row"]: row for row in stored["rows"]}
    page = (ROOT / "docs" / "pages" / "study.md").read_text(encoding="utf-8")
    said = " ".join(page[page.index("## Beside a peer") : page.index("## What is not known")].split())
    assert f"{stored['examples']:,} target examples" in said
    level, ours = rows["bench-vocabulary"], rows["bench"]
    for name, row in rows.items():
        if name.startswith("bench"):
            continue
        assert row["interval"][1] < 0  # the default is ahead of all
        assert row["to_vocabulary"][0] == pytest.approx(row["ndcg"] - level["ndcg"], abs=2e-6)
        assert 15 < row["inference_seconds"] / ours["inference_seconds"] < 18
        assert row["training_seconds"] > 2.5 * ours["training_seconds"]
        assert row["peak_memory_mb"] < ours["peak_memory_mb"]
    for name in ("tiger", "tiger-codes"):
        assert rows[name]["to_vocabulary"][1] < 0 < rows[name]["to_vocabulary"][2]
    letter = rows["letter-codes"]["to_vocabulary"]
    assert letter[1] > 0
    assert letter[0] / level["ndcg"] < 1.96 * 2**0.5 * 0.07  # of two models that were trained once each
