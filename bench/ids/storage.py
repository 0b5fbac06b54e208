"""Identifiers on disk: one safetensors file that holds tokens, vocabulary and template, and a Parquet table for people."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import tokenizers
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids.scheme import Template, TokenIds
from bench.ids.vocabulary import Vocabulary


def save(ids: TokenIds, path: Path, notes: dict[str, float]) -> None:
    """Write identifiers and ``notes`` on how they were made; atomic."""
    vocabulary = ids.vocabulary
    described = {
        "tokenizer": vocabulary.tokenizer.to_str(),
        "vocabulary": {name: getattr(vocabulary, name) for name in ("size", "pad", "eos", "unk", "language_model")},
        "template": asdict(ids.template),
        "notes": notes,
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"tokens": ids.tokens, "lengths": ids.lengths}
        save_file(tensors, partial, {name: json.dumps(value) for name, value in described.items()})
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise BenchError(f"cannot write identifiers to '{path}': {error}") from error


def load(path: Path) -> tuple[TokenIds, dict[str, float]]:
    """Read identifiers and notes back. A damaged file is a BenchError that names it."""
    try:
        with safe_open(path, framework="np") as file:
            described = {name: json.loads(value) for name, value in file.metadata().items()}
            tokens, lengths = file.get_tensor("tokens"), file.get_tensor("lengths")
    except (OSError, SafetensorError, ValueError) as error:
        raise BenchError(f"the identifiers in '{path}' are damaged ({error}); delete the file and run again") from error
    tokenizer = tokenizers.Tokenizer.from_str(described["tokenizer"])
    vocabulary = Vocabulary(tokenizer, **described["vocabulary"])
    return TokenIds(tokens, lengths, vocabulary, Template(**described["template"])), described["notes"]


def table(ids: TokenIds, items: ItemTable) -> pd.DataFrame:
    """One row for each item: its original id, its identifier as text and as token ids."""
    codes = [ids.code(item) for item in range(len(ids))]
    return pd.DataFrame(
        {"item": items.ids, "identifier": [ids.vocabulary.decode(code) for code in codes], "tokens": codes}
    )
