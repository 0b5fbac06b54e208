"""A reader of files, and what is right of what it reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import BYTES, JSON, NPY, TENSORS, TEXT, Mutation

SECONDS = 30  # after which an input hangs
KINDS = {".json": JSON, ".npy": NPY, ".safetensors": TENSORS, ".parquet": BYTES, ".sha256": BYTES}


@dataclass(frozen=True)
class Reader:
    """``files`` by name, of which those of ``mutable`` get something wrong. ``read`` and ``truth`` are given the
    folder; where both come to a value, these are equal. ``before`` is a folder whose files are there too.
    """

    name: str
    files: Mapping[str, bytes]
    mutable: Sequence[str]
    read: Callable[[Path], Any]
    truth: Callable[[Path], Any]
    before: Path | None = None

    def place(self, folder: Path) -> None:
        if self.before:
            shutil.copytree(self.before, folder)
        folder.mkdir(exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def mutations(self, name: str) -> Sequence[Mutation]:
        return KINDS.get(Path(name).suffix, TEXT)
