"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError


@contextlib.contextmanager
def replacing(path: Path, what: str) -> Iterator[Path]:
    """A file beside ``path`` to write to, which becomes ``path`` when the block ends well and is removed otherwise.

    BenchError, naming ``what`` was to be written, where the operating system refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise BenchError(f"cannot write {what} to '{path}': {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
