"""What makes the pages: the files of docs/, which is no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
