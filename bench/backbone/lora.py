"""Low-rank adapters (LoRA, Hu et al., 2022) over a frozen base, through peft and in its format.

A folder with an adapter holds what was trained, and of the base its name and a digest of its files. It is read over
that base and no other. ``PeftModel.from_pretrained`` opens the adapter too; the rows of embeddings that the base does
not have are in a file of their own.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.backbone import causal_files, checkpoints, located
from bench.backbone.causal import Causal
from bench.backbone.causal_layers import LINEAR, Grown, Projection
from bench.backbone.protocol import weight_of
from bench.contract import Contract
from bench.errors import BenchError
from bench.files import atomic_write
from bench.privacy import shortened

CONFIG, WEIGHTS, ROWS = located.ADAPTER, "adapter_model.safetensors", "rows.safetensors"
LINES = located.LINES
PREFIX = "base_model.model."  # before the names of a model's modules, in peft's files
BASES = "BENCH_BASES"  # a folder with base models, for runs that name theirs by its last part

PRECISIONS = ("fp32", "bf16", "int8")
LARGEST_RANK = 8_192  # no layer is wider where an adapter is worth it

_CHECKED: set[Path] = set()  # adapters that this process has found whole, over their base
_ASKED: list[str] = []  # bases that this process was asked for by their whole name or path


@dataclass(frozen=True)
class Adapter:
    """What lies over a base, which is known by ``base``, its name, and the ``digest`` of its files."""

    base: str
    digest: str
    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    precision: str = "fp32"
    own_from: int | None = None  # the first row of the embeddings that is not the base's; None where all are


def adapted(model: Causal, contract: Contract, digest: str) -> Causal:
    """The model, from here on frozen but for an adapter as the contract has it, and rows of its own. ``digest`` is that
    of the contract's backbone, which the model is read from.
    """
    base = contract.backbone
    if model.adapter is not None:
        raise _twice(base)
    remember(base)
    lines = contract.lora_rank, contract.lora_alpha, contract.lora_dropout, targets_of(contract)
    return over(model, Adapter(shortened(base), digest, *lines, contract.base_precision, model.own_from))


def require_base(base: str, folder: Path, contract: Contract, locate: Callable[[str, str], Path]) -> None:
    """BenchError where a backbone, found in ``folder``, is an adapter that cannot be opened here, or not be adapted."""
    config = checkpoints.read_config(folder / "config.json", causal_files.KINDS)
    if LINES not in config:
        return
    if contract.adapter != "none":
        raise _twice(base)
    if folder not in _CHECKED:  # a base is large, and asked for by every run
        adapter = described(folder, config)
        require_libraries(adapter.precision, folder)
        _files(folder, adapter)
        base_of(folder, adapter, locate)
        _CHECKED.add(folder)


def _twice(base: str) -> BenchError:
    return BenchError(f"backbone '{base}' is an adapter already; leave adapter=lora out to train it further")


def remember(base: str) -> None:
    """Look here first for the base of an adapter that names it by its last part."""
    if base not in _ASKED:
        _ASKED.append(base)


def targets_of(contract: Contract) -> tuple[str, ...]:
    return tuple(name.strip() for name in contract.lora_targets.split(",") if name.strip())


def over(model: Causal, adapter: Adapter) -> Causal:
    """The model under a fresh adapter."""
    require_libraries(adapter.precision)
    from peft import LoraConfig, inject_adapter_in_model

    if adapter.precision != "fp32":
        _store(model, adapter.precision)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=adapter.dropout,
        target_modules=list(adapter.targets),
        base_model_name_or_path=adapter.base,
    )
    inject_adapter_in_model(config, model)
    for layer in model.layers.parameters():
        if layer.requires_grad:  # the adapter's own, whatever it is computed beside
            layer.data = layer.data.float()
    if adapter.own_from:
        model.embedding = Grown(model.embedding.weight, adapter.own_from)  # type: ignore[assignment]
        if model.head is not None:
            model.head = Grown(model.head.weight, adapter.own_from)  # type: ignore[assignment]
    model.adapter = adapter
    model.unfreeze()
    return model


def require_libraries(precision: str, stored: Path | None = None) -> None:
    """BenchError where what an adapter is made with is not installed, or what one in a ``stored`` folder was."""
    if importlib.util.find_spec("peft") is None:
        raise BenchError("adapter=lora needs peft, which is not installed: pip install 'item-identifier-bench[lora]'")
    if precision == "int8" and importlib.util.find_spec("bitsandbytes") is None:
        asked = f"the adapter in '{stored}', over a base in int8," if stored else "base_precision=int8"
        other = "" if stored else ", or give base_precision=bf16"
        raise BenchError(f"{asked} needs bitsandbytes, which is not installed: pip install bitsandbytes{other}")


def _store(model: Causal, precision: str) -> None:
    """Keep the linear layers of the body in a precision; embeddings, norms and the output layer stay in float32."""
    for module in list(model.layers.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, Projection):
                setattr(module, name, layer.to(torch.bfloat16) if precision == "bf16" else _in_eight_bits(layer))
    vars(model)["is_loaded_in_8bit"] = precision == "int8"  # peft asks


def _in_eight_bits(layer: Projection) -> nn.Module:
    """LLM.int8 (Dettmers et al., 2022)."""
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    eight: nn.Module = Linear8bitLt(
        layer.in_features, layer.out_features, bias=layer.bias is not None, has_fp16_weights=False
    )
    eight.weight = Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)
    eight.bias = layer.bias
    return eight


# -- as one model -----------------------------------------------------------------------------------------------------


def merged(model: Causal) -> Causal:
    """A model without an adapter that computes the same, but for rounding: what was trained is added to its base, in
    float32. One without an adapter is returned as it is.
    """
    if model.adapter is None:
        return model
    if model.adapter.precision == "int8":
        raise BenchError(
            "an adapter over a base in eight bits cannot be merged into it without changing what it computes; train "
            "with base_precision=fp32 or bf16"
        )
    with torch.device("meta"):
        fresh = type(model)(model.config)
    fresh.load_state_dict({name: _whole(model, name) for name in fresh.state_dict()}, assign=True)
    fresh.rotary = model.rotary  # its table is computed, not read
    return fresh


@torch.no_grad()
def _whole(model: Causal, name: str) -> Tensor:
    """A parameter of the base with what the adapter adds to it, or what stands in its place."""
    path, _, kind = name.rpartition(".")
    layer: Any = model.get_submodule(path)
    if not hasattr(layer, "base_layer"):  # of no adapter; of a table with new rows all of them
        found: Tensor = weight_of(layer) if isinstance(layer, Grown) else getattr(layer, kind)
        return found.detach().float()
    base: Tensor = getattr(layer.base_layer, kind).detach().float()
    return base + layer.get_delta_weight("default").float() if kind == "weight" else base


# -- files ------------------------------------------------------------------------------------------------------------


def save(model: Causal, folder: Path) -> None:
    """Write a model; of one over a frozen base the adapter, as peft does, and beside it rows that the base has not."""
    if model.adapter is None:
        causal_files.save_weights(model, folder)
        return
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    _write(folder / WEIGHTS, {PREFIX + causal_files.theirs_of(name): tensor for name, tensor in found.items()})
    config = vars(model)["peft_config"]["default"].to_dict() | {"inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    with atomic_write(folder / CONFIG) as partial:
        partial.write_text(json.dumps(plain, indent=2), encoding="utf-8")
    own = own_rows(model)
    if own:
        _write(folder / ROWS, own)
    checkpoints.write_whole_words(model, folder)


def own_rows(model: Causal) -> dict[str, Tensor]:
    """The embeddings, and rows of the output layer, that are not the base's."""
    names = [name for name, _ in model.named_parameters() if model.is_own_row(name)]
    state = model.state_dict()
    return {name: state[name] for name in names}


def load(folder: Path, dropout: float | None, locate: Callable[[str, str], Path]) -> Causal:
    """The model that ``save`` has written, over its base, which ``locate`` finds, where it is an adapter."""
    config = causal_files.read_config(folder / "config.json")
    if LINES not in config:
        return causal_files.load(folder, dropout)
    adapter = described(folder, config)
    require_libraries(adapter.precision, folder)
    model = causal_files.load(base_of(folder, adapter, locate), dropout)
    rows = int(config["vocab_size"])
    if adapter.own_from == 0:
        model = model.with_vocabulary(rows)
    elif rows > model.vocabulary_size:
        model.resize_vocabulary(rows)
    state = _read(folder, adapter)
    model = over(model, adapter)
    expected = {name: model.state_dict()[name].shape for name in _names(model)}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise BenchError(f"the adapter in '{folder}' belongs to another base than '{adapter.base}': its layers differ")
    model.load_state_dict(state, strict=False)
    checkpoints.read_whole_words(model, folder)
    return model


def described(folder: Path, config: Mapping[str, Any]) -> Adapter:
    """The adapter that a ``config.json`` speaks of. BenchError where a line is none that ``save`` writes: the file may
    be a stranger's, and its base is looked for by a name, never at a place that it points to.
    """
    try:
        lines = dict(config[LINES])
        found = Adapter(**{**lines, "targets": tuple(lines["targets"])})
        if not isinstance(config.get("vocab_size"), int):
            raise ValueError("no whole number for vocab_size")
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"'{folder / 'config.json'}' does not say whose adapter it is ({error})") from error
    possible = {
        "base": isinstance(found.base, str) and _is_name(found.base),
        "digest": isinstance(found.digest, str),
        "rank": type(found.rank) is int and 0 < found.rank <= LARGEST_RANK,
        "alpha": type(found.alpha) in (int, float) and 0 < found.alpha < math.inf,
        "dropout": type(found.dropout) in (int, float) and 0 <= found.dropout < 1,
        "targets": bool(found.targets) and all(target in LINEAR for target in found.targets),
        "precision": found.precision in PRECISIONS,
        "own_from": found.own_from is None or (type(found.own_from) is int and found.own_from >= 0),
    }
    for line in (line for line, right in possible.items() if not right):
        raise BenchError(
            f"'{folder / 'config.json'}' has an adapter with {line}={getattr(found, line)!r}, which is none"
        )
    return found


def _is_name(base: str) -> bool:
    """Whether a base is named by its last part or as on a hub: what ``shortened`` leaves of a path."""
    place = Path(base)
    return bool(place.name) and not ({*place.parts} & {"..", "~"} or place.is_absolute() or "\0" in base)


def export_config(model: Causal, pad: int, eos: int) -> dict[str, Any]:
    """The ``config.json`` that belongs to what ``save`` wrote: of an adapter, with the base that it lies over."""
    config = causal_files.export_config(model, pad, eos)
    if model.adapter is None:
        return config
    return {**config, LINES: {**asdict(model.adapter), "targets": list(model.adapter.targets)}}


def base_of(folder: Path, adapter: Adapter, locate: Callable[[str, str], Path]) -> Path:
    """Where the base of an adapter is. BenchError where it is not there, or has changed."""
    told = f"'{folder}' holds an adapter of '{adapter.base}' ({adapter.digest})"
    home = os.environ.get(BASES, ".")
    nearby = str(Path(home) / adapter.base)
    asked = [name for name in _ASKED if shortened(name) == adapter.base]
    if "/" not in adapter.base and not (asked or Path(nearby).is_dir()):  # no name of a hub
        raise BenchError(f"{told}, which is not in '{home}'; set ${BASES} to the folder that '{adapter.base}' lies in")
    name = digest = ""
    for name in [place for place in (*asked, nearby) if Path(place).is_dir()] or [adapter.base]:
        try:
            found = locate(name, "the base of an adapter")
        except BenchError as error:
            raise BenchError(f"{told}; set ${BASES} to the folder that it lies in: {error}") from error
        digest = located.digest_of(located.decisive(found))
        if digest == adapter.digest:
            return found
    raise BenchError(
        f"{told}, but '{name}' is another model, or has changed ({digest}); get that base again, or train anew"
    )


def _names(model: Causal) -> list[str]:
    return [name for name in model.state_dict() if ".lora_" in name or model.is_own_row(name)]


def _read(folder: Path, adapter: Adapter) -> dict[str, Tensor]:
    """Tensors under our names."""
    found: dict[str, Tensor] = {}
    for file in _files(folder, adapter):
        found |= checkpoints.read_tensors(file)
    return {_ours_of(name): tensor for name, tensor in found.items()}


def _files(folder: Path, adapter: Adapter) -> list[Path]:
    """Those that an adapter is in. BenchError where one is missing."""
    files = [folder / WEIGHTS, *([folder / ROWS] if adapter.own_from is not None else [])]
    for file in files:
        if not file.is_file():
            raise BenchError(f"'{folder}' has no {file.name}, which an adapter is in")
    return files


def _ours_of(name: str) -> str:
    if not name.startswith(PREFIX):
        return name
    ours = name.removeprefix(f"{PREFIX}model.")
    for part in ("lora_A", "lora_B"):
        ours = ours.replace(f".{part}.", f".{part}.default.")
    return ours


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as partial:
        save_file(plain, partial, {"format": "pt"})
