"""The published rows of two kinds of model, and what the pages say of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.results.read import Result, load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "toys-backbones"
WAYS, MODELS = ("windows", "shared"), ("mini", "qwen-mini")
SCHEMES = ["textual/title", "semantic/rqkmeans", "numeric/category+independent", "set/setrec"]


Rows = dict[tuple[str, ...], Result]


@pytest.fixture(scope="module")
def rows() -> Rows:
    lines = ("backbone", "training")
    return {(result.scheme.name, *(str(result.contract[line]) for line in lines)): result for result in load(STORED)}


def test_they_differ_in_the_model_and_in_the_way_of_training_alone(rows: Rows) -> None:
    assert set(rows) == set(itertools.product(SCHEMES, MODELS, WAYS))
    contracts = [{**result.contract, "backbone": "", "training": ""} for result in rows.values()]
    assert all(contract == contracts[0] for contract in contracts)
    for scheme, way in itertools.product(SCHEMES, WAYS):
        one, other = (rows[scheme, model, way].costs.parameters for model in MODELS)
        assert one == pytest.approx(other, rel=0.01)


def test_the_page_says_what_is_stored(rows: Rows, bench: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    page = (ROOT / "docs" / "pages" / "decoder-only.md").read_text()
    assert bench("report", "--results", STORED, "--out", tmp_path / "report.md").code == 0
    tables = table((tmp_path / "report.md").read_text(), 9)
    reported = {(cells[1], cells[2]): cells for cells in reversed(tables)}  # of the first, which is of quality
    letters = dict(re.findall(r"\b([A-D]) is ([0-9a-f]{8})", (tmp_path / "report.md").read_text()))
    contract_of = {found: letter for letter, found in letters.items()}
    shown = [cells for cells in table(page, 7) if cells[1].strip("`") in SCHEMES]
    assert len(shown) == len(WAYS) * len(SCHEMES)
    for number, cells in enumerate(shown):  # a table for each way, in their order
        scheme, way = cells[1].strip("`"), WAYS[number // len(SCHEMES)]
        for model, score, costs in (("mini", *cells[2:4]), ("qwen-mini", *cells[4:6])):
            result = rows[scheme, model, way]
            assert score == reported[scheme, contract_of[result.path.split("/")[3][:8]]][3].replace("*", "")
            assert costs == f"{result.costs.steps:,.0f}, {result.costs.processor_seconds:.0f}"


def test_the_readme_says_what_is_stored(rows: Rows) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = readme[readme.index("**Decoder-only.**") : readme.index("**Unseen catalogues.**")]
    for scheme, kind in zip(SCHEMES, ("With words it has", "with codes", "with categories"), strict=False):
        t5, decoder = (rows[scheme, model, "shared"].metrics["strict"]["ndcg@10"] for model in MODELS)
        assert f"{kind} {decoder:.4f} against {t5:.4f}" in said
    t5, decoder = (rows[SCHEMES[3], model, "shared"].metrics["strict"]["ndcg@10"] for model in MODELS)
    assert (SCHEMES[3], t5 < decoder < 1.2 * t5) == ("set/setrec", True)  # within the noise of one seed


def test_the_page_of_budgets_says_what_is_stored(rows: Rows) -> None:
    """What training from one reading brings in equal time."""
    page = (ROOT / "docs" / "pages" / "budgets.md").read_text()
    shown = {cells[1].strip("`"): cells[2:6] for cells in table(page[page.index("equal time") :], 7)}
    for scheme in SCHEMES:
        scores = [rows[scheme, model, way].metrics["strict"]["ndcg@10"] for model in MODELS for way in WAYS]
        assert shown[scheme] == [f"{score:.4f}" for score in scores]


def table(text: str, columns: int) -> list[list[str]]:
    lines = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines if len(cells) == columns]
