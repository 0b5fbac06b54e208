"""What a recommender has beside its backbone, in a finished cell's folder: written, and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import BenchError
from bench.files import atomic_write, require_readable
from bench.model.recommender import Recommender

HEAD = "head.safetensors"


def save(recommender: Recommender, folder: Path) -> None:
    """Write the head's own state; nothing where it has none."""
    state = recommender.extra_state()
    if state:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        with atomic_write(folder / HEAD) as partial:
            save_file(plain, partial, {"sha256": _checksum(plain)})


def fill(recommender: Recommender, folder: Path) -> None:
    """Give the recommender the state that was saved. BenchError where it is missing, corrupt or of another model."""
    known = recommender.extra_state()
    if not known:
        return
    path = folder / HEAD
    if not path.is_file():
        raise BenchError(f"'{folder}' has no {HEAD}; run that cell again with --force")
    require_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            stored = (file.metadata() or {}).get("sha256")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if stored not in (None, _checksum(state)):  # an older bench stored none
            raise ValueError("its checksum differs")
        if {name: tensor.shape for name, tensor in known.items()} != {name: t.shape for name, t in state.items()}:
            raise ValueError("it belongs to other identifiers or another backbone")
    except Exception as error:  # safetensors raises a family of its own
        cause = " ".join(str(error).split())
        raise BenchError(f"'{path}' is corrupt ({cause}); run that cell again with --force") from error
    with torch.no_grad():
        for name, tensor in known.items():
            tensor.copy_(state[name])


def copy(source: Recommender, target: Recommender) -> None:
    """Give one recommender the head's state of another of its kind, over identifiers of other items."""
    state = source.extra_state()
    with torch.no_grad():
        for name, tensor in target.extra_state().items():
            tensor.copy_(state[name])


def _checksum(state: Mapping[str, Tensor]) -> str:
    """Over every number, whose names and shapes the recommender itself tells."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
