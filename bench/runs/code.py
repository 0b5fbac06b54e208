"""Which code computes a run: what an interrupted one was begun with, it is resumed with."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import bench
from bench.runs.subjects import AnySubject, source_digest
from bench.versions import installed

COMPUTING = ("data", "ids", "backbone", "evaluation", "model", "training", "runs")  # packages of bench
LIBRARIES = (
    *("numpy", "scipy", "tokenizers", "scikit-learn", "torch"),
    *("faiss-cpu", "faiss-gpu", "sentence-transformers"),
)  # that identifiers depend on, and what is trained
OF_ADAPTERS = ("peft", "bitsandbytes")  # which no identifier is made with


def code_of(subject: AnySubject) -> dict[str, str]:
    """Digests and versions by name: of the subject's package, of the harness, of libraries."""
    libraries = {name: installed(name) or "absent" for name in (*LIBRARIES, *OF_ADAPTERS)}
    return {subject.name: source_digest(type(subject)), "bench": _harness(), **libraries}


@lru_cache
def _harness() -> str:
    root, digest = Path(bench.__file__).parent, hashlib.sha256()
    inner = (path for package in COMPUTING for path in (root / package).rglob("*.py"))
    for path in sorted([*root.glob("*.py"), *inner]):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]
