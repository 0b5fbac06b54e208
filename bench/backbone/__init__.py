"""The language models that recommend: one protocol (``bench.backbone.protocol``), and the kinds behind it.

This is the only door to them: what starts, reads or writes a backbone does so by its name or folder, here, and knows no
kind. A kind is a ``Format`` in ``FORMATS``, under the model types of its ``config.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.backbone import causal_files, checkpoints, huggingface, located, lora
from bench.backbone.causal import Causal
from bench.backbone.causal_layers import LINEAR
from bench.backbone.protocol import Backbone
from bench.contract import Contract
from bench.errors import BenchError, unknown
from bench.files import write_json
from bench.vocabulary import Vocabulary

DEFAULT_KIND = "t5"  # of a config.json without a model type


@dataclass(frozen=True)
class Format:
    """How one kind of backbone is started from random weights, read from a folder and written to one.

    ``sizes`` are the names that ``scratch`` knows beside paths of a ``config.json``. ``read_config`` reads one and
    refuses what lacks a line. ``save`` writes weights, of a kind over a frozen base only what is trained and which base
    it belongs to; ``export_config`` gives the ``config.json`` for them, from the padding and the end token. A decoder
    ``starts_with_pad``, or with a token of its own.
    """

    sizes: tuple[str, ...]
    read_config: Callable[[Path], dict[str, Any]]
    scratch: Callable[[str, int, float], Backbone]
    load: Callable[[Path, float | None], Backbone]
    save: Callable[[Any, Path], None]
    export_config: Callable[[Any, int, int], dict[str, Any]]
    starts_with_pad: bool = True


_T5 = Format(
    sizes=tuple(huggingface.SIZES),
    read_config=huggingface.read_config,
    scratch=huggingface.scratch,
    load=huggingface.load,
    save=huggingface.save_weights,
    export_config=lambda model, pad, eos: huggingface.export_config(model.config, pad, eos),
)
_CAUSAL = Format(
    sizes=(),
    read_config=causal_files.read_config,
    scratch=causal_files.scratch,
    load=lambda folder, dropout: lora.load(folder, dropout, locate),
    save=lora.save,
    export_config=lora.export_config,
    starts_with_pad=False,
)
FORMATS: Mapping[str, Format] = {
    **dict.fromkeys(huggingface.KINDS, _T5),
    **{
        kind: replace(_CAUSAL, sizes=tuple(size for size, (own, _) in causal_files.SIZES.items() if own == kind))
        for kind in causal_files.KINDS
    },
}
SIZES: Mapping[str, Format] = {size: known for known in FORMATS.values() for size in known.sizes}


def is_scratch(backbone: str) -> bool:
    """Whether a backbone starts from random weights: a named size, or a Hugging Face ``config.json``."""
    return backbone in SIZES or backbone.endswith(".json")


def sizes_like(backbone: str) -> tuple[str, ...]:
    """The named sizes of the same architecture as a named one, which is among them; none for any other name."""
    return SIZES[backbone].sizes if backbone in SIZES else ()


def width_of(backbone: str) -> int:
    """The width of a backbone's hidden states, from its configuration alone."""
    if backbone in huggingface.SIZES:
        found = huggingface.SIZES[backbone]
    elif backbone in SIZES:
        _, found = causal_files.SIZES[backbone]
    else:
        config = Path(backbone) if is_scratch(backbone) else locate(backbone) / "config.json"
        found = _format_of(config).read_config(config)
    return int(found["d_model"] if "d_model" in found else found["hidden_size"])


def scratch(backbone: str, vocabulary: int, dropout: float) -> Backbone:
    """A backbone with random weights: a named size or a ``config.json``, with ``vocabulary`` rows and this dropout."""
    known = SIZES.get(backbone) or _format_of(Path(backbone))
    return known.scratch(backbone, vocabulary, dropout)


def load(backbone: str | Path, dropout: float | None = None, what: str = "backbone") -> Backbone:
    """A backbone with pretrained weights: a folder, or ``name[@revision]`` on the Hugging Face hub."""
    folder = locate(str(backbone), what)
    return _format_of(folder / "config.json").load(folder, dropout)


def adapted(backbone: Backbone, contract: Contract) -> Backbone:
    """A pretrained backbone as the contract trains it: whole, or frozen under an adapter."""
    if contract.adapter == "none" or not isinstance(backbone, Causal):
        return backbone
    return lora.adapted(backbone, contract, content_digest(contract.backbone))


def require(contract: Contract) -> None:
    """BenchError where the contract asks for an adapter or for new rows that its backbone cannot have, and where that
    is an adapter itself whose base is not there, or is another.
    """
    asked = [f"adapter={contract.adapter}"] if contract.adapter != "none" else []
    asked += [f"vocabulary={contract.vocabulary}"] if contract.vocabulary != "own" else []
    if asked and is_scratch(contract.backbone):
        raise BenchError(
            f"{asked[0]} needs a pretrained backbone; '{contract.backbone}' starts from scratch; give backbone= the "
            "folder or the hub name of a Qwen2 or Llama, such as Qwen/Qwen2.5-0.5B or the folder of a run of one"
        )
    if is_scratch(contract.backbone):
        return
    folder = locate(contract.backbone)
    kind = checkpoints.read_config(folder / "config.json", FORMATS).get("model_type", DEFAULT_KIND)
    if kind in causal_files.KINDS:
        lora.require_base(contract.backbone, folder, contract, locate)
    if contract.adapter == "none":
        return
    if kind not in causal_files.KINDS:
        possible = ", ".join(causal_files.KINDS)
        raise BenchError(
            f"adapter=lora is for models of kind {possible}; backbone '{contract.backbone}' is of kind {kind}"
        )
    for target in lora.targets_of(contract) or ("",):
        if target not in LINEAR:
            raise unknown("LoRA target", target, LINEAR)
    if contract.lora_rank > (width := width_of(contract.backbone)):
        raise BenchError(
            f"setting 'lora_rank' must be at most {width}, the width of backbone '{contract.backbone}': no layer has "
            f"more directions to change; got {contract.lora_rank}"
        )
    lora.require_libraries(contract.base_precision)
    lora.remember(contract.backbone)


def save(backbone: Backbone, folder: Path) -> None:
    """Write the weights, as Transformers reads them, and whole-word embeddings beside them."""
    FORMATS[backbone.kind].save(backbone, folder)


def export_config(
    backbone: Backbone, vocabulary: Vocabulary, training: str = "windows", history: str = "tokens"
) -> dict[str, Any]:
    """The ``config.json`` that belongs to what ``save`` wrote.

    What was trained under another line of the contract than ``training=windows`` says so, and has a model type of its
    own: Transformers knows the weights but not the mask that they are read under.
    """
    config = FORMATS[backbone.kind].export_config(backbone, vocabulary.pad, vocabulary.eos)
    if training == "windows":
        return config
    config.pop("architectures", None)
    own = {"model_type": f"{checkpoints.SHARED}{config['model_type']}", "training": training, "history": history}
    return {**config, **own}


def save_whole(backbone: Backbone, vocabulary: Vocabulary, folder: Path) -> None:
    """Write the weights and a ``config.json`` that stand alone: an adapter is merged into its base.

    BenchError where it cannot be (``lora.merged``).
    """
    whole = lora.merged(backbone) if isinstance(backbone, Causal) else backbone
    save(whole, folder)
    write_json(folder / "config.json", export_config(whole, vocabulary))


def export_tokenizer_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """The ``tokenizer_config.json`` with which Transformers opens ``tokenizer.json`` as it is, not as a model's own."""
    name = vocabulary.tokenizer.id_to_token
    special = {"pad_token": vocabulary.pad, "eos_token": vocabulary.eos, "unk_token": vocabulary.unk}
    tokens = {key: name(row) for key, row in special.items() if row is not None}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}


def tokenizer_of(backbone: str) -> tuple[Path, int, bool] | None:
    """The folder with a pretrained backbone's tokenizer, the rows of its embeddings, and whether it begins to write
    with its padding; None where it has no words.
    """
    if is_scratch(backbone):
        return None
    folder = locate(backbone)
    config = folder / "config.json"
    known = _format_of(config)
    rows = known.read_config(config).get("vocab_size")
    if not isinstance(rows, int):
        raise BenchError(f"the configuration '{config}' has no whole number for vocab_size")
    return folder, rows, known.starts_with_pad


def language_of(backbone: str) -> Vocabulary | None:
    """The vocabulary of a pretrained backbone; None where it starts from scratch and has no words."""
    found = tokenizer_of(backbone)
    return found and Vocabulary.of_language_model(*found)


def locate(backbone: str, what: str = "backbone") -> Path:
    """The folder of a pretrained checkpoint: a local path, or ``name[@revision]`` on the Hugging Face hub. Errors say
    ``what`` it was asked for as.
    """
    hint = f"connect, give a folder that holds it, or start from scratch with one of: {', '.join(SIZES)}"
    return located.locate(backbone, what, hint)


def content_digest(backbone: str, what: str = "backbone") -> str:
    """8 hex digits over the files behind a backbone, downloaded where need be; ``""`` for a named size.

    A path or a name says where weights were found, not which they were: the contract holds both.
    """
    if backbone in SIZES:
        return ""
    return located.digest_of([Path(backbone)] if is_scratch(backbone) else located.decisive(locate(backbone, what)))


def _format_of(config: Path) -> Format:
    return FORMATS[checkpoints.read_config(config, FORMATS).get("model_type", DEFAULT_KIND)]
