"""Folders of sentence encoders: only those that hold numbers and settings, and nothing that would be run.

A folder of sentence-transformers names the Python classes that it is made of, and some of its settings name others. A
library that loads it imports them, from the folder itself where it has such a file. So what a folder asks for is read
first: the library's own layers, torch's own activations, weights as safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import BenchError

LIBRARY = "sentence_transformers."
LAYERS = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "WeightedLayerPooling")
ACTIVATION, TORCH = "activation_function", "torch.nn.modules."
RUNS_CODE = ("auto_map", "auto_mapping", "trust_remote_code", "custom_pipelines")  # keys of settings, at any depth
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SAFE = ".safetensors"


def refuse_code(folder: Path) -> None:
    """BenchError where loading the sentence encoder would, or could, run somebody's code."""
    for file in sorted(folder.rglob("*.json")):
        for key, value in _settings(_read(file)):
            if key in RUNS_CODE and value not in (None, False):
                raise _refused(folder, f"'{key}' in '{file.relative_to(folder)}'")
            if key == ACTIVATION and not str(value).startswith(TORCH):
                raise _refused(folder, f"the activation '{value}' in '{file.relative_to(folder)}'")
    for kind in _layers(folder):
        if not (kind.startswith(LIBRARY) and kind.rpartition(".")[2] in LAYERS):
            raise _refused(folder, f"a layer of type '{kind}'; read are {LIBRARY}… {', '.join(LAYERS)}")
    _require_safetensors(folder)


def _layers(folder: Path) -> list[str]:
    path = folder / "modules.json"
    if not path.is_file():
        return []
    found = _read(path)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BenchError(f"'{path}' of a text encoder must be a list of layers; got {type(found).__name__}")
    return [str(each.get("type", "")) for each in found]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"cannot read '{path}' of a text encoder: {' '.join(str(error).split())}") from error


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON value with what it holds, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each.items()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _require_safetensors(folder: Path) -> None:
    """BenchError where weights are not there, or where a folder has them pickled alone."""
    described = (folder / "modules.json").exists() or (folder / "config.json").exists()
    safe = {path.parent for path in folder.rglob(f"*{SAFE}")}
    pickled = [path for path in sorted(folder.rglob("*")) if path.suffix in PICKLED and path.parent not in safe]
    if (described and not safe) or pickled:
        found = ", ".join(sorted(path.name for path in (pickled[0].parent if pickled else folder).iterdir())[:8])
        raise BenchError(
            f"no weights as safetensors in the text encoder '{folder}' (found: {found}); pickled weights (.bin) are "
            "not read; name a revision that has safetensors, or save the model anew with sentence-transformers"
        )


def _refused(folder: Path, what: str) -> BenchError:
    return BenchError(f"the text encoder '{folder}' asks for {what}, which may run code, so it is not loaded")
