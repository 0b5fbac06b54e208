"""What ``--json`` prints: one JSON value on standard output, for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from bench.console import nobody_reads


def show(value: Any) -> None:
    """Print plain values as JSON; numbers that JSON doesn't have (NaN, infinity) become null."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # another encoding, or halves of characters: escaped, nothing is lost
        text = json.dumps(_plain(value), indent=1, allow_nan=False)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nobody_reads(sys.stdout)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
