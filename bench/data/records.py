"""What the first download of a data set was like, where its publisher does not say: digests of files, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.data.registry import Counts, Source
from bench.errors import BenchError
from bench.files import read_json, write_json

NAME = "first_downloads.json"


class Records:
    """The records of one data folder. Another revision or conversion of a source is recorded anew."""

    def __init__(self, root: Path) -> None:
        self.path = root / NAME

    def digest(self, source: Source, file: str) -> str:
        """The SHA-256 of the first file of this name; empty where none is recorded."""
        record = self._of(source)
        return str(record.get("files", {}).get(file, "")) if record.get("revision") == source.revision else ""

    def counts(self, source: Source) -> Counts | None:
        record = self._of(source)
        same = (record.get("revision"), record.get("version")) == (source.revision, source.version)
        return Counts(**record["counts"]) if same else None

    def keep(self, source: Source, digests: Mapping[str, str], counts: Counts) -> None:
        """Add what is not recorded yet."""
        kept = {name: self.digest(source, name) or digest for name, digest in digests.items()}
        record = {
            "revision": source.revision,
            "version": source.version,
            "files": kept,
            "counts": asdict(self.counts(source) or counts),
        }
        with FileLock(self.path.with_name(f".{NAME}.lock")):  # other data sets may arrive at the same time
            write_json(self.path, {**self._all(), source.name: record})

    def _of(self, source: Source) -> Mapping[str, Any]:
        found = self._all().get(source.name, {})
        return found if isinstance(found, dict) else {}

    def _all(self) -> dict[str, Any]:
        try:
            found = read_json(self.path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise BenchError(f"'{self.path}', the record of first downloads, cannot be read: {error}") from error
        return found if isinstance(found, dict) else {}
