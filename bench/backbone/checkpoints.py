"""Files of a model folder that are alike for every kind of backbone: configuration, tensors, whole-word embeddings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.backbone.protocol import Backbone
from bench.errors import BenchError
from bench.files import atomic_write, read_json, require_readable

WHOLE_WORDS = "whole_words.safetensors"  # a file of its own: Transformers' models have no such table
TABLE = "whole_words.weight"
# Tables of old checkpoints that are computed or were never used.
UNUSED = ("rotary_emb.inv_freq", "EncDecAttention.relative_attention_bias")
SHARED = "bench-shared-"  # before the model type of what reads causally by item: others would read it with another mask


def read_config(path: Path, kinds: Collection[str]) -> dict[str, Any]:
    """The fields of a ``config.json``, the model type as if it were read with any mask. BenchError where it describes
    none of these ``kinds`` of model.
    """
    try:
        raw = read_json(path)
    except (OSError, ValueError) as error:
        raise BenchError(f"cannot read the model configuration '{path}': {error}") from error
    kind = raw.get("model_type", "t5") if isinstance(raw, dict) else type(raw).__name__
    if str(kind).removeprefix(SHARED) not in kinds:
        raise BenchError(f"'{path}' describes a '{kind}' model; bench reads {', '.join(kinds)}")
    return {**raw, "model_type": kind.removeprefix(SHARED)}


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint in float32; only safetensors are read, since pickles run code."""
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise BenchError(f"no model.safetensors in '{folder}' (found: {found}); pickled weights are not read")
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= read_tensors(file)
    return weights


@contextmanager
def filling(folder: Path, kind: str) -> Iterator[None]:
    """BenchError where the weights in ``folder``, of a ``kind`` of model, do not fit into it within."""
    try:
        yield
    except KeyError as error:
        raise BenchError(f"the weights in '{folder}' lack {error}; is it a {kind} checkpoint?") from error
    except RuntimeError as error:
        cause = " ".join(str(error).split())
        raise BenchError(f"the weights in '{folder}' are of other sizes than its config.json says: {cause}") from error


def refuse_others(
    folder: Path, weights: Mapping[str, Tensor], used: Collection[str], blocks: Collection[str], rows: tuple[int, int]
) -> None:
    """BenchError where ``weights`` have more in the ``blocks`` of a model than is ``used``: its config.json describes
    another, of fewer layers or without biases, that would be read without a word. The same of ``rows`` of embeddings,
    said and found, which tokens are counted by.
    """
    said, found = rows
    if said != found:
        raise BenchError(
            f"the weights in '{folder}' have {found:,} rows of embeddings, and its config.json says {said:,}"
        )
    more = [name for name in weights if name.startswith(tuple(blocks)) and name not in used]
    if strange := sorted(name for name in more if not any(part in name for part in UNUSED)):
        raise BenchError(
            f"the weights in '{folder}' have '{strange[0]}', which the model that its config.json describes does not "
            "have; these two do not belong together"
        )


def write_weights(model: Backbone, exported: Mapping[str, Tensor], folder: Path) -> None:
    """``model.safetensors``, and whole-word embeddings beside it, which only ``load`` reads."""
    with atomic_write(folder / "model.safetensors") as partial:
        save_file(dict(exported), partial, {"format": "pt"})
    write_whole_words(model, folder)


def read_whole_words(model: Backbone, folder: Path) -> None:
    """Give the model the whole-word embeddings in ``folder``, if there are any."""
    file = folder / WHOLE_WORDS
    if not file.exists():
        return
    weight = read_tensors(file).get(TABLE)
    if weight is None or weight.shape[1:] != (model.d_model,):
        raise BenchError(f"'{file}' holds no table '{TABLE}' of width {model.d_model}, the model's")
    model.grow_whole_words(len(weight))
    model.load_state_dict({TABLE: weight}, strict=False)


def write_whole_words(model: Backbone, folder: Path) -> None:
    """Write the model's whole-word embeddings, if it has any."""
    if model.whole_words is not None:
        table = model.whole_words.weight.detach().cpu().contiguous()
        with atomic_write(folder / WHOLE_WORDS) as partial:
            save_file({TABLE: table}, partial, {"format": "pt"})


def read_tensors(file: Path) -> dict[str, Tensor]:
    require_readable(file)
    try:
        found = {name: tensor.float() for name, tensor in load_file(file).items()}
    except Exception as error:  # safetensors raises its own family for truncated or foreign files
        raise BenchError(f"'{file}' is corrupt or not a safetensors file: {error}") from error
    for name, tensor in found.items():
        if not (tensor.sum().isfinite() or tensor.isfinite().all()):  # a sum takes no memory
            raise BenchError(f"'{file}' is corrupt: some values of '{name}' are no numbers (nan or infinite)")
    return found
