"""SHA-256 of the files of a run: ``result.json`` holds that of every other one, and who reads a file compares it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bench import files
from bench.errors import BenchError, CorruptError

RESULT = "result.json"
SEAL = "result.sha256"  # the digest of result.json, as `sha256sum --check` reads it
TABLE = "ids.parquet"  # the identifiers that were tested, for people and other programs
HINT = "run it again with --force"
MISSING = f"copy it again, or {HINT}"  # where a file is not there: a run that was copied or joined is whole elsewhere


def of_file(path: Path) -> str:
    """64 hex digits over the content of a file. Raises what the operating system raises."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def of_folder(folder: Path, without: frozenset[str]) -> dict[str, str]:
    """Of every file below a folder by its path there, sorted; without ``result.json`` and its seal, what is hidden and
    the entries ``without``.
    """
    found = {}
    for path in sorted(files.below(folder)):
        parts = path.relative_to(folder).parts
        if path.is_file() and parts[0] not in without and not any(part.startswith(".") for part in parts):
            found["/".join(parts)] = of_file(path)
    for name in (RESULT, SEAL):
        found.pop(name, None)
    return found


def seal(folder: Path) -> None:
    """Write the digest of ``result.json`` beside it: the last file of a run. Raises what the system raises."""
    files.write_text(folder / SEAL, f"{of_file(folder / RESULT)}  {RESULT}\n")


def require_sealed(folder: Path, content: bytes, needed: bool) -> None:
    """BenchError where the content of ``result.json`` is not what was stored, or a seal is ``needed`` and missing.

    Runs that an older bench has stored have none.
    """
    path = folder / SEAL
    files.require_readable(path)
    try:
        known = path.read_bytes()
    except FileNotFoundError:
        if needed:
            raise BenchError(f"'{folder}' was copied in part: it has no {SEAL}", MISSING) from None
        return
    except OSError as error:
        raise BenchError(f"cannot read '{path}': {error.strerror or error}") from error
    if known != f"{hashlib.sha256(content).hexdigest()}  {RESULT}\n".encode():
        raise CorruptError(f"'{folder / RESULT}' is corrupt: its SHA-256 differs from the one in {SEAL}", HINT)


def _is_file(path: Path) -> bool:
    """False also for a name that no file can have: it may be a stranger's."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def check(folder: Path, name: str, known: Mapping[str, str]) -> Path:
    """The path of a file of a run. BenchError where it is missing, unreadable, of another run or not as stored."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise CorruptError(f"'{folder / RESULT}' is corrupt: it names '{name}', which is not in its folder", HINT)
    files.require_readable(path)
    if not _is_file(path):
        raise CorruptError(f"'{path}' is missing beside its {RESULT}", MISSING)
    if name not in known:
        raise CorruptError(f"'{path}' does not belong to its {RESULT}, which names {', '.join(known) or 'none'}", HINT)
    if of_file(path) != known[name]:
        raise CorruptError(f"'{path}' is corrupt: its SHA-256 differs from the one in {RESULT}", HINT)
    return path
