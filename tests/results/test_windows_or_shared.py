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
