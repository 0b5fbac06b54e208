"""The published rows of two kinds of model, and what the pages say of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.results.read import Result, load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "toys-backbones"
SCHEMES = ["textual/title", "semantic/rqkmeans", "numeric/category+independent", "set/setrec"]


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Result]:
    return {(result.scheme.name, str(result.contract["backbone"])): result for result in load(STORED)}


def test_they_differ_in_the_model_alone(rows: dict[tuple[str, str], Result]) -> None:
    assert set(rows) == {(scheme, model) for scheme in SCHEMES for model in ("mini", "qwen-mini")}
    contracts = [{**result.contract, "backbone": ""} for result in rows.values()]
    assert all(contract == contracts[0] for contract in contracts)
    for scheme in SCHEMES:
        one, other = (rows[scheme, model].costs.parameters for model in ("mini", "qwen-mini"))
        assert one == pytest.approx(other, rel=0.01)


def test_the_page_says_what_is_stored(
    rows: dict[tuple[str, str], Result], bench: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "pages" / "decoder-only.md").read_text()
    assert bench("report", "--results", STORED, "--out", tmp_path / "report.md").code == 0
    tables = table((tmp_path / "report.md").read_text(), 9)
    reported = {(cells[1], cells[2]): cells for cells in reversed(tables)}  # of the first, which is of quality
    letters = dict(re.findall(r"([AB]) is ([0-9a-f]{8})", (tmp_path / "report.md").read_text()))
    contract_of = {found: letter for letter, found in letters.items()}
    shown = [cells for cells in table(page, 7) if cells[1].strip("`") in SCHEMES]
    assert len(shown) == len(SCHEMES)
    for cells in shown:
        scheme = cells[1].strip("`")
        for model, score, costs in (("mini", *cells[2:4]), ("qwen-mini", *cells[4:6])):
            result = rows[scheme, model]
            assert score == reported[scheme, contract_of[result.path.split("/")[3][:8]]][3].replace("*", "")
            assert costs == f"{result.costs.steps:,.0f}, {result.costs.processor_seconds:.0f}"


def test_the_readme_says_what_is_stored(rows: dict[tuple[str, str], Result]) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    for scheme, kind in zip(SCHEMES, ("words", "codes", "categories", "sets"), strict=True):
        t5, decoder = (rows[scheme, model].metrics["strict"]["ndcg@10"] for model in ("mini", "qwen-mini"))
        assert f"{decoder:.4f} against {t5:.4f} with {kind}" in readme


def table(text: str, columns: int) -> list[list[str]]:
    lines = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines if len(cells) == columns]
