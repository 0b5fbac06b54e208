"""Where the files of a pretrained backbone are, and which they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from bench import hub
from bench.backbone import checkpoints
from bench.errors import BenchError
from bench.files import read_json
from bench.vocabulary import TOKENIZERS

DECISIVE = (".json", ".model", ".safetensors", ".txt")  # of what is wanted: a tokenizer's template decides nothing
WANTED = (
    *("config.json", "model*.safetensors", "model.safetensors.index.json", "*token*", "spiece.model", "vocab.json"),
    *("merges.txt", "adapter_*", "rows.safetensors", checkpoints.WHOLE_WORDS),
)
ADAPTER, LINES = "adapter_config.json", "adapter"  # of peft; of our config.json: whose adapter it is
AT_ONCE = 1 << 20  # bytes of a file in memory
CONVERT = (
    'python -c "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; '
    "[c.from_pretrained('{folder}'{more}).save_pretrained('OUT') for c in (M, T)]\""
)


def locate(backbone: str, what: str, hint: str) -> Path:
    """The folder of a pretrained checkpoint: a local path, or ``name[@revision]`` on the Hugging Face hub. Errors say
    ``what`` it was asked for as. BenchError where its weights are in a format that is not read.
    """
    path = Path(backbone)
    if path.suffix in (".gguf", ".bin", ".pt", ".pth") and path.is_file():
        refuse_others([path], path.parent)
    folder = hub.locate(backbone, what, list(WANTED), hint)
    _refuse_alone(folder)
    if not any(folder.glob("*.safetensors")):
        refuse_others(sorted(folder.iterdir()), folder)
    return folder


def _refuse_alone(folder: Path) -> None:
    """BenchError where there is an adapter that does not say whose it is, as those of runs do."""
    if not (folder / ADAPTER).is_file() or any(folder.glob("model*.safetensors")):
        return
    try:
        known = LINES in read_json(folder / "config.json")
    except FileNotFoundError:
        known = False  # peft writes none
    except (OSError, ValueError, TypeError):
        return  # whoever reads it says so
    if not known:
        raise BenchError(
            f"'{folder}' holds an adapter and not the model under it; merge it into its base with peft's "
            "merge_and_unload, save that, and name its folder"
        )


def refuse_others(files: Sequence[Path], folder: Path) -> None:
    """BenchError where weights are pickled or in GGUF: it ends in the command that converts them."""
    for file in files:
        if file.suffix == ".gguf":
            more = f", gguf_file='{file.name}'"
            raise BenchError(
                f"'{file}' is GGUF, and weights are read as safetensors alone; write them so with: "
                + CONVERT.format(folder=folder, more=more)
            )
    for file in files:
        if file.suffix in (".bin", ".pt", ".pth"):
            raise BenchError(
                f"no model.safetensors in '{folder}' (found: {file.name}); pickled weights are not read, since they "
                f"run code; if you trust them, write safetensors with: {CONVERT.format(folder=folder, more='')}"
            )


def digest_of(files: Sequence[Path]) -> str:
    """8 hex digits over the content of files, and their names where there are several."""
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as content:
                digest.update(f"{file.name if len(files) > 1 else ''} {file.stat().st_size}\n".encode())
                while part := content.read(AT_ONCE):  # weights may be larger than memory
                    digest.update(part)
        except OSError as error:
            raise BenchError(f"cannot read the model configuration '{file}': {error}") from error
    return digest.hexdigest()[:8]


def decisive(folder: Path) -> list[Path]:
    """The files that weights and tokens are read from, and no others: what lies beside them may come and go."""
    read = (*WANTED, *TOKENIZERS)
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix in DECISIVE and any(fnmatch(file.name, pattern) for pattern in read)
    )
