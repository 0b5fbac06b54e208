"""Files of interactions and of catalogues, in and out. A data set is stored as ``atomic``."""

from __future__ import annotations

from bench.data.formats.atomic import is_atomic, read_atomic
from bench.data.formats.writing import write_atomic

__all__ = ["is_atomic", "read_atomic", "write_atomic"]
