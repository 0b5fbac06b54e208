"""What makes the pages: the files of docs/, which is no package, as modules; and scores counted anew beside them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as parquet

from bench.results.read import Result

DOCS = Path(__file__).resolve().parents[1] / "docs"


def module(name: str) -> ModuleType:
    """``docs/NAME.py``, loaded anew; what it imports of docs/ is found there."""
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    found = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert found
    assert found.loader
    made = importlib.util.module_from_spec(found)
    sys.modules[found.name] = made
    found.loader.exec_module(made)
    return made


def strict_gains(run: Result) -> np.ndarray:
    """NDCG@10 of every user, from the stored ranks."""
    ranks = parquet.read_table(run.folder / "per_user.parquet")["rank"].to_numpy()
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1.0), 0.0)
