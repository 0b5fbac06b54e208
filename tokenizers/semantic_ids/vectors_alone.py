"""Quantizers of vectors alone: what they keep, and the codes of items that come later."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench import faiss_library
from semantic_ids.autoencoder import AutoEncoder
from semantic_ids.quantizers import Quantized, Vectors, checked

State = dict[str, NDArray[Any]]
PARTS = ("encoder", "decoder", "quantizer")  # modules of an auto-encoder


def codebooks_state(found: Quantized, rotation: Vectors | None = None) -> State:
    state: State = {f"codebook.{level}": codebook for level, codebook in enumerate(found.codebooks)}
    return state if rotation is None else {**state, "rotation": rotation}


def encoded(state: State, vectors: Vectors, way: Literal["residual", "product"]) -> Quantized:
    """The nearest codes, level by level of what is left over or block by block."""
    vectors = checked(vectors)
    if "rotation" in state:
        matrix = state["rotation"]
        vectors = np.ascontiguousarray(vectors[:, : matrix.shape[1]] @ matrix.T)
    codebooks = [state[f"codebook.{level}"] for level in range(sum(name.startswith("codebook.") for name in state))]
    blocks = np.array_split(np.arange(vectors.shape[1]), len(codebooks))
    codes, part, left = [], vectors, vectors
    for codebook, block in zip(codebooks, blocks, strict=True):
        part = left if way == "residual" else np.ascontiguousarray(vectors[:, block])
        code = faiss_library.nearest(part, codebook)
        codes.append(code)
        left = part - codebook[code]
    return Quantized(np.stack(codes, 1), len(codebooks[-1]), part, codebooks[-1], float("nan"), tuple(codebooks))


def network_state(model: AutoEncoder) -> State:
    modules = {part: getattr(model, part) for part in PARTS if hasattr(model, part)}
    return {
        f"{part}.{name}": tensor.detach().cpu().numpy().copy()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


def load_network(model: AutoEncoder, state: State) -> None:
    """Into a model of the same shape."""
    for part in PARTS:
        own = {name.removeprefix(f"{part}."): array for name, array in state.items() if name.startswith(f"{part}.")}
        if own:
            getattr(model, part).load_state_dict({name: torch.from_numpy(array.copy()) for name, array in own.items()})


def blank(state: State) -> Vectors:
    """Vectors from which a model of the shape of ``state`` is begun: zeros, as many as there are codes."""
    codes = state["quantizer.codebook"].shape[1] if "quantizer.codebook" in state else 1
    width = next(array.shape[1] for name, array in state.items() if name.startswith("encoder.") and array.ndim == 2)
    return np.zeros((codes, width), np.float32)
