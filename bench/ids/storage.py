"""Identifiers on disk: one safetensors file of tokens, vocabulary and template, and a Parquet table for people."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tokenizers
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.files import replacing
from bench.ids.scheme import Template, TokenIds
from bench.ids.vocabulary import Vocabulary


def save(ids: TokenIds, path: Path, notes: dict[str, float]) -> None:
    """Write identifiers and ``notes`` on how they were made; atomic."""
    vocabulary = ids.vocabulary
    described = {
        "tokenizer": vocabulary.tokenizer.to_str(),
        "vocabulary": {name: getattr(vocabulary, name) for name in ("size", "pad", "eos", "unk", "language_model")},
        "template": asdict(ids.template),
        "codebooks": ids.codebooks,
        "ended": ids.ended,
        "notes": notes,
    }
    described["digest"] = _digest(described, ids.tokens, ids.lengths)
    with replacing(path, "identifiers") as partial:
        # safetensors writes several metadata keys in any order: one key, so that equal identifiers are equal bytes
        save_file({"tokens": ids.tokens, "lengths": ids.lengths}, partial, {"bench": json.dumps(described)})


def load(path: Path) -> tuple[TokenIds, dict[str, float]]:
    """Read identifiers and notes back. A damaged file is a BenchError that names it."""
    try:
        with safe_open(path, framework="np") as file:
            described = json.loads((file.metadata() or {}).get("bench", "null"))
            tokens, lengths = file.get_tensor("tokens"), file.get_tensor("lengths")
        if described.pop("digest") != _digest(described, tokens, lengths):
            raise ValueError("its checksum differs")
        tokenizer = tokenizers.Tokenizer.from_str(described["tokenizer"])
        vocabulary = Vocabulary(tokenizer, **described["vocabulary"])
        template, codebooks = Template(**described["template"]), tuple(described["codebooks"])
        return TokenIds(tokens, lengths, vocabulary, template, codebooks, described["ended"]), described["notes"]
    except Exception as error:  # safetensors and tokenizers raise families of their own
        cause = " ".join(str(error).split())
        raise BenchError(f"the identifiers in '{path}' are damaged ({cause}); delete the file and run again") from error


def _digest(described: dict[str, Any], tokens: NDArray[np.int32], lengths: NDArray[np.int32]) -> str:
    parts = (json.dumps(described).encode(), tokens.tobytes(), lengths.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def table(ids: TokenIds, items: ItemTable) -> pd.DataFrame:
    """One row for each item: its original id, its title (or first text), its identifier as text and as token ids."""
    codes = [ids.code(item) for item in range(len(ids))]
    titles = items.text.get("title") or next(iter(items.text.values()), ("",) * len(items))
    return pd.DataFrame(
        {
            "item": items.ids,
            "title": titles,
            "identifier": [ids.vocabulary.decode(code) for code in codes],
            "tokens": codes,
        }
    )
