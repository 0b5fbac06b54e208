"""Models by folder or by name: on disk, or downloaded once from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import outside
from bench.errors import BenchError, said, shortened


def locate(asked: str, what: str, wanted: Sequence[str], hint: str) -> Path:
    """The folder of a model: a local path, or ``name[@revision]`` on the hub, of which ``wanted`` patterns are fetched.

    A model that is not available is a BenchError that says ``what`` was asked for and ends in ``hint``; no other model
    ever replaces it.
    """
    if Path(asked).is_dir():
        return Path(asked)
    if asked.startswith((".", "/")):
        raise BenchError(f"no folder '{asked}' (asked for as {what}); {hint}")
    from huggingface_hub import snapshot_download

    name, _, revision = asked.partition("@")
    try:
        with outside.waiting():
            return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(wanted)))
    except Exception as error:  # the hub client raises from a dozen families, all meaning 'not available'
        raise BenchError(
            f"{what} '{asked}' is no folder here, and not available from the Hugging Face hub "
            f"({shortened(said(error))}); {hint}"
        ) from error
