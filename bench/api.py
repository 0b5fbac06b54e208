"""What the command line does, in Python: ``import bench; bench.load("textual", dataset="toys")``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.results.saved import AnySaved


def load(
    run: str | Path,
    results: str | Path = "results",
    dataset: str | None = None,
    seed: int | None = None,
    index: str | None = None,
) -> AnySaved:
    """A finished run to recommend with: ``bench.load("textual", dataset="toys").recommend(["B00BCDQLAC"], k=10)``.

    ``run`` is the folder of a run, or the name of a scheme or a baseline that has results in the folder ``results``, as
    ``bench compare`` takes it; of several seeds the first. ``index`` has items that are vectors searched by faiss, such
    as ``Flat`` (exact) or ``IVF1024,Flat``. BenchError where there is no such run, or where its model wasn't kept.
    """
    from bench.report import find  # here, for they import pandas and torch
    from bench.results.saved import Saved
    from bench.runs.saved_baseline import SavedBaseline

    found = find.find(Path(results), str(run), dataset, seed).first
    return SavedBaseline(found, index) if found.scheme.kind == "baseline" else Saved(found, index)
