"""What a model has that its backbone's files do not hold, in a finished run's folder: written, and read back."""

from __future__ import annotations

from pathlib import Path

import torch

from bench import tensors
from bench.errors import BenchError
from bench.model.recommender import Recommender
from bench.results.digests import HINT, MISSING

HEAD = "head.safetensors"


def save(recommender: Recommender, folder: Path) -> None:
    """Write the head's own state; nothing where it has none."""
    state = recommender.extra_state()
    if state:
        tensors.write(folder / HEAD, state, {}, "the head")


def fill(recommender: Recommender, folder: Path) -> None:
    """Give the recommender the state that was saved. BenchError where it is missing, corrupt or of another model."""
    known = recommender.extra_state()
    if not known:
        return
    path = folder / HEAD
    if not path.is_file():
        raise BenchError(f"'{folder}' has no {HEAD}; {MISSING}")
    state, _ = tensors.read(path, "pt", "the head", HINT)
    if {name: tensor.shape for name, tensor in known.items()} != {name: t.shape for name, t in state.items()}:
        raise tensors.corrupt(path, "it belongs to other identifiers or another backbone", "the head", HINT)
    with torch.no_grad():
        for name, tensor in known.items():
            tensor.copy_(state[name])


def copy(source: Recommender, target: Recommender) -> None:
    """Give one recommender the head's state of another of its kind, over identifiers of other items."""
    state = source.extra_state()
    with torch.no_grad():
        for name, tensor in target.extra_state().items():
            tensor.copy_(state[name])
