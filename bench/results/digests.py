"""SHA-256 of the files of a run: ``result.json`` holds that of every other one, and who reads a file compares it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bench.errors import BenchError
from bench.files import require_readable

RESULT = "result.json"
TABLE = "ids.parquet"  # the identifiers that were tested, for people and other programs
HINT = "run it again with --force"


def of_file(path: Path) -> str:
    """64 hex digits over the content of a file. Raises what the operating system raises."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def of_folder(folder: Path, without: frozenset[str]) -> dict[str, str]:
    """Of every file below a folder by its path there, sorted; without ``result.json``, what is hidden and the entries
    ``without``.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and parts[0] not in without and not any(part.startswith(".") for part in parts):
            found["/".join(parts)] = of_file(path)
    found.pop(RESULT, None)
    return found


def check(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """The path of a file of a run. BenchError where it is missing, unreadable, of another run or not as stored."""
    path = folder / name
    require_readable(path)
    if not path.is_file():
        raise BenchError(f"'{path}' is missing beside its {RESULT}; {HINT}")
    if name not in files:
        raise BenchError(f"'{path}' does not belong to its {RESULT}, which names {', '.join(files) or 'none'}; {HINT}")
    if of_file(path) != files[name]:
        raise BenchError(f"'{path}' is corrupt: its SHA-256 differs from the one in {RESULT}; {HINT}")
    return path
