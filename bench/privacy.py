"""Where things lie on a machine, and who works there, is nobody else's business: of a path its last part is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEPARATORS = ("=", ",", "+", ":")  # between paths in one word of a command line


def shortened(word: str) -> str:
    """A word of a command line, or a setting, with each path in it cut to its last part."""
    if _is_path(word):
        return Path(word).name or word
    for separator in SEPARATORS:
        if separator in word:
            return separator.join(map(shortened, word.split(separator)))
    return word


def shortened_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same of every text in a mapping."""
    return {name: shortened(value) if isinstance(value, str) else value for name, value in values.items()}


def _is_path(word: str) -> bool:
    """Absolute, of somebody's home, from here on, or simply there; ``name/model`` on a hub is none."""
    if word.startswith(("/", "~", "./", "../")):
        return len(word) > 1
    try:
        return os.sep in word and os.path.lexists(word)
    except (OSError, ValueError):
        return False


def without_folders(text: str, *folders: Path) -> str:
    """A log without these folders and the user's home."""
    named = [(str(folder), ".") for folder in folders]
    home = os.path.expanduser("~")
    if len(home) > 1:
        named.append((home, "~"))
    for folder, short in sorted(named, key=lambda each: -len(each[0])):
        text = text.replace(folder, short)
    return text
