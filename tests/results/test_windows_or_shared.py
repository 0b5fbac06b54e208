"""What is said of windows and shared training is what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench.results.read import load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "windows-or-shared"


def test_the_page_says_what_is_stored() -> None:
    page = (ROOT / "docs" / "pages" / "budgets.md").read_text()
    lines = json.loads((STORED / "validation.json").read_text())
    runs = {(run.dataset.name, run.scheme.name, str(run.contract["training"])): run for run in load(STORED)}
    assert len(runs) == 2 * len(lines) == 6
    for line in lines:
        windows, shared = line["ndcg"]["windows"], line["ndcg"]["shared"]
        low, high = line["interval"]
        seconds = [runs[line["dataset"], line["scheme"], way].costs.processor_seconds for way in ("windows", "shared")]
        cells = [
            f"{line['dataset'].title()}, `{line['scheme']}`",
            f"{windows:.4f}",
            f"{shared:.4f}",
            f"{shared - windows:+.4f} [{low:+.4f}, {high:+.4f}]",
            ", ".join(f"{each:,.0f}" for each in seconds),
        ]
        assert f"| {' | '.join(cells)} |" in page
    assert len(re.findall(r"^\| (?:Toys|Yelp), ", page, re.M)) == len(lines)


def test_the_page_says_what_a_smaller_rate_gives() -> None:
    page = " ".join((ROOT / "docs" / "pages" / "budgets.md").read_text().split())
    runs = [run for run in load(ROOT / "results" / "learning-rates") if run.contract["batch_size"] == 128]
    assert {run.contract["target_examples"] for run in runs} == {328_083}
    scores = {
        (run.contract["training"], run.contract["learning_rate"]): f"{run.metrics['strict']['ndcg@10']:.4f}"
        for run in runs
    }
    assert f"{scores['shared', 0.0015]} shared and {scores['windows', 0.0015]} over windows" in page
    assert f"at the usual rate {scores['shared', 0.003]} and {scores['windows', 0.003]}" in page
