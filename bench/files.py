"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bench.errors import BenchError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which becomes ``path`` when the block ends well and is removed otherwise.

    So a reader finds the old file or the new one, and never half of it, and may read it as any file made here. Raises
    what the operating system raises.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_of_new(partial)
        yield partial
        partial.chmod(mode)  # safetensors writes a temporary file, which nobody else may read, and renames it
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _mode_of_new(path: Path) -> int:
    """The rights that the umask leaves a new file; asking for the umask itself would change it for a moment."""
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


def require_readable(path: Path) -> None:
    """BenchError where a file is there and this user may not read it: libraries call it corrupt, or no file at all."""
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise BenchError(
            f"'{path}' may not be read by this user ({error.strerror}); ask its owner to allow it, e.g. with chmod a+r"
        ) from error
    except OSError:
        return  # whoever reads it will say what is wrong


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """As ``whole``; keys keep their order, numbers their full precision."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def replacing(path: Path, what: str, hint: str = "") -> Iterator[Path]:
    """As ``whole``; a refusal to write is a BenchError that names ``what`` was to be written, and may end in a hint."""
    try:
        with atomic_write(path) as partial:
            yield partial
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says in an error of its own
        refused = f"cannot write {what} to '{path}': {error}"
        raise BenchError(f"{refused}; {hint}" if hint else refused) from error
