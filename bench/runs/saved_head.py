"""What a model has that Transformers' T5 does not, beside it in a finished cell's folder: written, and read back."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bench.errors import BenchError
from bench.ids import storage
from bench.model import huggingface
from bench.model.recommender import Recommender, recommender_for

HEAD, IDENTIFIERS = "head.safetensors", "identifiers.safetensors"


def save(recommender: Recommender, folder: Path) -> None:
    """Write the head's own state and, as it means nothing without them, the identifiers; nothing where it has none."""
    state = recommender.extra_state()
    if state:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(plain, folder / HEAD, {"format": "pt"})
        storage.save(recommender.ids, folder / IDENTIFIERS, {})


def restore(folder: Path) -> Recommender:
    """The recommender of a finished cell that has a head of its own, in ``eval`` mode, ranking as when it was tested.

    BenchError where a file is missing, damaged or of another model.
    """
    for name in (HEAD, IDENTIFIERS, "result.json"):
        if not (folder / name).is_file():
            raise BenchError(f"'{folder}' has no {name}; give the folder of a finished cell whose items are vectors")
    ids, _ = storage.load(folder / IDENTIFIERS)
    try:
        contract = json.loads((folder / "result.json").read_text(encoding="utf-8"))["contract"]
        t5, state = huggingface.load(folder), load_file(folder / HEAD)
        recommender = recommender_for(ids, t5, contract["max_tokens"], prompts=contract.get("prompts", "scheme"))
        known = recommender.extra_state()
        if {name: tensor.shape for name, tensor in known.items()} != {name: t.shape for name, t in state.items()}:
            raise ValueError(f"{HEAD} belongs to other identifiers or another T5")
    except BenchError:
        raise
    except Exception as error:  # safetensors raises a family of its own
        cause = " ".join(str(error).split())
        raise BenchError(f"the model in '{folder}' is damaged ({cause}); run that cell again with --force") from error
    with torch.no_grad():
        for name, tensor in known.items():
            tensor.copy_(state[name])
    return recommender.eval()
