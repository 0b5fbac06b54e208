"""Which item identifier is best? Generative-recommendation identifiers compared under one recommender."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.results.saved import Saved

__version__ = "0.1.0"


def load(
    run: str | Path,
    results: str | Path = "results",
    dataset: str | None = None,
    seed: int | None = None,
    index: str | None = None,
) -> Saved:
    """A finished run to recommend with: ``bench.load("textual", dataset="toys").recommend(["B00BCDQLAC"], k=10)``.

    ``run`` is the folder of a cell, or the name of a scheme that has results in the folder ``results``, as
    ``bench compare`` takes it. ``index`` has items that are vectors searched by faiss, such as ``Flat`` (exact) or
    ``IVF1024,Flat``. BenchError where there is no such run, or where its model wasn't kept.
    """
    from bench.results import saved  # here, for it imports torch

    return saved.load(run, Path(results), dataset, seed, index)
