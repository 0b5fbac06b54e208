"""The LaTeX tables in a paper, set by a real LaTeX: nothing sticks out of a column or a page, in whatever class."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.latex import latex
from bench.report.rows import sections
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]

COMPILER = shutil.which("pdflatex")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(COMPILER is None, reason="there is no pdflatex here"),
]
PAPERS = {
    "one column": "\\documentclass{article}",
    "two columns": "\\documentclass[twocolumn]{article}",
    "small": "\\documentclass[9pt,twocolumn]{extarticle}",
}


def fill(store: Store) -> None:
    """Awkward names, two contracts, seeds, marks, a leak, thirty rows, a second data set under a smoke preset."""
    for seed in range(3):
        store("100%_odd & {new}#1 ~ ^$\\", seed=seed, quality=0.9, shared=3)
    store("codes<|>", quality=0.4)
    store("semantic/residual-quantized-codes-with-a-long-name", quality=0.35)
    store("p5-leak", quality=0.95, leaks=True)
    for family in ("numeric", "semantic", "textual", "set"):
        for variant in range(5):
            store(f"{family}/variant{'x' * variant}", quality=0.2 + 0.02 * variant)
    store("other", quality=0.3, contract={"beam": 50})
    for name in ("pop", "sasrec", "gru4rec", "itemknn", "markov"):
        store(name, kind="baseline", quality=0.05)
    for name in ("textual/title", "numeric/random"):
        store(name, dataset="beauty", quality=0.3, preset="smoke")


@pytest.mark.parametrize("paper", PAPERS)
def test_it_compiles_and_nothing_is_too_wide(paper: str, store: Store, tmp_path: Path) -> None:
    fill(store)
    found = load(tmp_path)
    tables = latex(chapters(found), sections(found))
    body = f"{PAPERS[paper]}\\usepackage{{booktabs}}\\begin{{document}}\nText.\n{tables}\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(body)
    words = [str(COMPILER), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert not re.findall(r"Overfull.*", log)
    assert tables.count("\\begin{table") == 5  # all data sets; two for each of them
