"""Everything needed to go on exactly where training stopped, in one safetensors file written atomically.

The random state is not in it: every step seeds itself from (seed, step, process), see ``bench.training.loop``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import BenchError
from bench.files import replacing, require_readable
from bench.model.recommender import Work


@dataclass
class TrainingState:
    """Where training stands. ``batch`` counts batches done in ``epoch``, ``stale`` validations since the best.

    ``probabilities`` of the identifiers' variants hold for this epoch; ``mixture_state`` is what a mixture keeps for
    itself. Costs are those of all processes: seconds of the wall clock, ``processor_seconds`` of training and
    validation together, floating-point operations of training (None where a model does not count them), tokens.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    best_step: int = 0
    stale: int = 0
    training_seconds: float = 0.0
    validation_seconds: float = 0.0
    processor_seconds: float = 0.0
    training_flops: int | None = 0
    tokens_read: int = 0
    tokens_written: int = 0
    finished: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    mixture_state: dict[str, Any] = field(default_factory=dict)

    def count(self, work: Work) -> None:
        """Add what one more step did."""
        flops = None if self.training_flops is None or work.flops is None else self.training_flops + work.flops
        self.training_flops = flops
        self.tokens_read += work.tokens_read
        self.tokens_written += work.tokens_written


def save(path: Path, state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Write state and tensors to ``path``, all or nothing. BenchError where the disk refuses."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    stored = json.dumps(asdict(state))
    # safetensors writes several metadata keys in any order: one key, so that equal checkpoints are equal bytes
    metadata = {"bench": json.dumps({"state": stored, "sha256": _checksum(stored, plain)})}
    with replacing(path, "the checkpoint", "free some space or name another --results") as partial:
        save_file(plain, partial, metadata)


def load(path: Path) -> tuple[TrainingState, dict[str, Tensor]]:
    """Read a checkpoint back. A corrupt file is a BenchError that names it."""
    require_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("bench", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, ValueError, SafetensorError) as error:
        raise _damaged(path, str(error)) from error
    stored = metadata.get("state", "")
    if metadata.get("sha256") != _checksum(stored, tensors):
        raise _damaged(path, "its checksum does not match its content")
    return TrainingState(**json.loads(stored)), tensors


def _damaged(path: Path, reason: str) -> BenchError:
    return BenchError(
        f"the checkpoint '{path}' is corrupt ({reason}); delete it, or run with --force to start this cell afresh"
    )


def _checksum(state: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(model: Mapping[str, Tensor], optimizer: Mapping[str, Any], best: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One flat dictionary: weights, Adam's moments and step counts by parameter number, and the best weights so far."""
    moments = {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, values in optimizer["state"].items()
        for name, value in values.items()
    }
    weights = {f"model.{name}": tensor for name, tensor in model.items()}
    return weights | moments | {f"best.{name}": tensor for name, tensor in best.items()}


def unpack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[int, dict[str, Tensor]], dict[str, Tensor]]:
    """The three parts that ``pack`` joined."""
    model = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    best = {name.removeprefix("best."): t for name, t in tensors.items() if name.startswith("best.")}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            moments.setdefault(int(number), {})[key] = tensor
    return model, moments, best
