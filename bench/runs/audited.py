"""The audit of a data set, made once and kept by content: every result says what its data can and cannot measure."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from bench import files
from bench.data.dataset import Dataset, fingerprint
from bench.runs.progress import Display


def audited(dataset: Dataset, results: Path, display: Display) -> dict[str, Any]:
    """What ``bench.data.audit.findings`` finds, as plain values, from the cache below ``results`` where it is there."""
    from bench.data.audit.findings import VERSION, audit  # here, for it imports scipy

    rows = "" if dataset.file_rows is None else dataset.file_rows.astype("<i8").tobytes().hex()
    key = fingerprint(dataset.name, dataset.dated_fingerprint, rows, str(VERSION))
    path = results / "cache" / "audit" / f"{key}.json"
    found = _read(path)
    if found is None:
        display.say(f"{dataset.name}: auditing the data, once (see bench data audit)")
        found = audit(dataset).plain()
        with contextlib.suppress(OSError):  # a cache saves time and nothing else
            files.write_json(path, found)
    return found


def _read(path: Path) -> dict[str, Any] | None:
    """None where it isn't there, or is no audit: it is then made again."""
    try:
        found = files.read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "conclusion" in found else None
