"""What is said of bf16 and compiled training is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.results.read import load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "precisions"
SEEDS = (0, 1, 2)


def pairs(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((STORED / f"{name}.json").read_text())
    assert [line["seed"] for line in found] == list(SEEDS)
    return found


def row(label: str, lines: list[dict[str, Any]], value: str, other: str = "") -> str:
    scores = np.array([line["ndcg"][value] for line in lines])
    cells = [label, *(f"{score:.4f}" for score in scores), ""]
    if other:
        differences = scores - [line["ndcg"][other] for line in lines]
        half = stats.t.ppf(0.975, len(lines) - 1) * stats.sem(differences)
        cells[-1] = f"{differences.mean():+.4f} ± {half:.4f}"
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def test_the_page_says_what_is_stored() -> None:
    page = (ROOT / "docs" / "pages" / "budgets.md").read_text()
    precision, compiled = pairs("precision"), pairs("compile")
    assert row("`precision=fp32`", precision, "fp32") in page
    assert row("`precision=bf16`", precision, "bf16", "fp32") in page
    assert row("the same with `compile=true`", compiled, "true", "false") in page


def test_the_runs_differ_in_these_lines_alone() -> None:
    runs = load(STORED)
    ways = {(run.contract["precision"], run.contract["compile"], run.seed) for run in runs}
    assert ways == {(*way, seed) for way in (("fp32", False), ("bf16", False), ("bf16", True)) for seed in SEEDS}
    others = [
        {line: value for line, value in run.contract.items() if line not in ("precision", "compile")} for run in runs
    ]
    assert all(other == others[0] for other in others)
    assert others[0]["target_examples"] == 328_083
    assert others[0]["learning_rate"] == 0.0015


def test_the_pages_say_what_ranking_in_bf16_and_the_control_gave() -> None:
    pages = {
        name: " ".join((ROOT / "docs" / "pages" / f"{name}.md").read_text().split()) for name in ("budgets", "faq")
    }
    found = json.loads((STORED / "decoding.json").read_text())
    low, high = found["all"]["interval"]
    assert (
        f"{found['users']:,} test users of Toys: {found['all']['difference']:+.5f} ({low:+.5f} to {high:+.5f})"
        in pages["budgets"]
    )
    assert len(found["runs"]) == len(SEEDS)
    control = json.loads((ROOT / "results" / "control" / "toys.json").read_text())
    ours, theirs = control["ndcg"]["bench"], control["ndcg"]["control"]
    low, high = control["interval"]
    assert f"NDCG@10 {ours:.4f} here and {theirs:.4f} there" in pages["faq"]
    assert (
        f"difference {ours - theirs:+.4f} [{low:+.4f}, {high:+.4f}] over the same {control['users']:,} validation"
        in pages["faq"]
    )
