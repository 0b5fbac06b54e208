"""The stored rows of models on data that they have not seen, and what the pages say of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.results.read import Result, load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "zero-shot"
TARGETS = {"toys": "ml-100k+beauty+yelp", "beauty": "ml-100k+toys+yelp"}
BUDGET = {"budget": "8m", "training": "shared"}


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str, str], Result]:
    """By data set, scheme, and what it was trained on: empty for the data set itself."""
    return {
        (run.dataset.name, run.scheme.name, str(run.contract.get("trained_on", "")).partition("@")[0]): run
        for run in load(STORED)
    }


def test_models_were_trained_on_the_other_data_for_eight_minutes(rows: dict[tuple[str, str, str], Result]) -> None:
    for data, others in TARGETS.items():
        assert {name for name, _, on in rows if on == others} == {data}
        title = rows[data, "textual/title", others]
        assert {line: title.contract[line] for line in BUDGET} == BUDGET
        assert {run.seed for run in rows.values()} == {0}


def test_the_page_says_what_is_stored(rows: dict[tuple[str, str, str], Result]) -> None:
    page = (ROOT / "docs" / "pages" / "transfer.md").read_text()
    section = page[page.index("## What transfers") : page.index("## How long identifiers")]
    shown = re.findall(r"^\| `([\w/]+)`, (fitted|unseen)[^|]*\|([^|]*)\|([^|]*)\|$", section, re.M)
    assert len(shown) == 8
    for name, how, *cells in shown:
        for (data, others), cell in zip(TARGETS.items(), cells, strict=True):
            run = rows[data, name, others if how == "unseen" else ""]
            assert cell.split()[0] == f"{run.metrics['strict']['ndcg@10']:.4f}", (name, how, data)
    readme = " ".join((ROOT / "README.md").read_text().split())
    for name in ("graph", "unisrec/inductive", "textual/title"):
        assert f"{rows['toys', name, TARGETS['toys']].metrics['strict']['ndcg@10']:.4f}" in readme
