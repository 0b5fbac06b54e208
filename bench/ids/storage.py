"""Identifiers on disk: one safetensors file of arrays, vocabulary and template, and a Parquet table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import singledispatch
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import tokenizers
from numpy.typing import NDArray

from bench import tensors
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids.identifiers import Feature, Ids, SlotIds, Template, TokenIds, VectorIds
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary

Arrays = dict[str, NDArray[Any]]
KNOWN = ", ".join(kind.__name__ for kind in get_args(Ids))


@singledispatch
def parts(ids: Any) -> tuple[Arrays, dict[str, Any]]:
    """What makes identifiers beside vocabulary and template: arrays, and facts that JSON can hold."""
    raise BenchError(f"identifiers of kind {type(ids).__name__} can't be stored; known: {KNOWN}")


@parts.register
def _(ids: TokenIds) -> tuple[Arrays, dict[str, Any]]:
    arrays: Arrays = {"tokens": ids.tokens, "lengths": ids.lengths}
    if ids.users is not None:
        arrays |= {"users.tokens": ids.users.tokens, "users.lengths": ids.users.lengths}
    return arrays, {"kind": "tokens", "codebooks": ids.codebooks, "append_eos": ids.append_eos}


_VECTOR_SETTINGS = ("attention", "negatives", "reconstruct_over")


@parts.register
def _(ids: VectorIds) -> tuple[Arrays, dict[str, Any]]:
    arrays: Arrays = {f"vectors.{number}": feature.vectors for number, feature in enumerate(ids.features)}
    arrays |= {f"known.{number}": feature.known for number, feature in enumerate(ids.features)}
    features = [
        {name: getattr(feature, name) for name in ("name", "slots", "hidden", "reconstruction", "init")}
        for feature in ids.features
    ]
    settings = {name: getattr(ids, name) for name in _VECTOR_SETTINGS}
    return arrays, {"kind": "vectors", "features": features, **settings}


@parts.register
def _(ids: SlotIds) -> tuple[Arrays, dict[str, Any]]:
    return {"codes": ids.codes}, {"kind": "slots", "sizes": ids.sizes, "temperature": ids.temperature}


def _tokens(arrays: Arrays, facts: Mapping[str, Any], vocabulary: Vocabulary, template: Template) -> TokenIds:
    codebooks, append_eos = tuple(facts["codebooks"]), facts["append_eos"]
    users = UserIds(arrays["users.tokens"], arrays["users.lengths"]) if "users.tokens" in arrays else None
    return TokenIds(arrays["tokens"], arrays["lengths"], vocabulary, template, codebooks, append_eos, users)


def _vectors(arrays: Arrays, facts: Mapping[str, Any], vocabulary: Vocabulary, template: Template) -> VectorIds:
    features = [
        Feature(**{**said, "hidden": tuple(said["hidden"])}, vectors=arrays[f"vectors.{n}"], known=arrays[f"known.{n}"])
        for n, said in enumerate(facts["features"])
    ]
    settings = {name: facts[name] for name in _VECTOR_SETTINGS}
    return VectorIds(tuple(features), vocabulary, template, **settings)


def _slots(arrays: Arrays, facts: Mapping[str, Any], vocabulary: Vocabulary, template: Template) -> SlotIds:
    return SlotIds(arrays["codes"], tuple(facts["sizes"]), vocabulary, template, facts["temperature"])


# the other way round from ``parts``
_MADE_OF: dict[str, Callable[[Arrays, Mapping[str, Any], Vocabulary, Template], Ids]] = {
    "tokens": _tokens,
    "vectors": _vectors,
    "slots": _slots,
}


def save(ids: Ids, path: Path, notes: dict[str, float], once: bool = False) -> None:
    """Write identifiers and ``notes`` on how they were made; atomic. To a cache they are written ``once``."""
    tensors.write(path, parts(ids)[0], describe(ids) | {"notes": notes}, "identifiers", once=once)


def describe(ids: Ids) -> dict[str, Any]:
    """All of the identifiers but their arrays, as JSON holds it."""
    vocabulary, (_, facts) = ids.vocabulary, parts(ids)
    return {
        "tokenizer": vocabulary.tokenizer.to_str(),
        "vocabulary": {name: getattr(vocabulary, name) for name in ("size", "pad", "eos", "unk", "language_model")}
        | ({} if vocabulary.own_start is None else {"own_start": vocabulary.own_start}),
        "template": asdict(ids.template),
        "facts": facts,
    }


def vocabulary_of(described: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that ``describe`` described; raises what tokenizers raises where it is none."""
    return Vocabulary(tokenizers.Tokenizer.from_str(described["tokenizer"]), **described["vocabulary"])


def load(path: Path) -> tuple[Ids, dict[str, float]]:
    """Read identifiers and notes back. A corrupt file is a BenchError that names it."""
    what, hint = "the file of identifiers", "delete the file and run again"
    arrays, described = tensors.read(path, "np", what, hint)
    try:
        facts, template = described["facts"], Template(**described["template"])
        return _MADE_OF[facts["kind"]](arrays, facts, vocabulary_of(described), template), described["notes"]
    except Exception as error:  # tokenizers raises a family of its own
        raise tensors.corrupt(path, error, what, hint) from error


@singledispatch
def table(ids: Any, items: ItemTable) -> pd.DataFrame:
    """One row for each item: its original id and its title (or first text); of tokens its identifier as text and as
    token ids, of slots its codes, of vectors how many it has.
    """
    return pd.DataFrame({"item": items.ids, "title": items.titles})


@table.register
def _(ids: TokenIds, items: ItemTable) -> pd.DataFrame:
    codes = [ids.code(item) for item in range(len(ids))]
    rows = table.dispatch(object)(ids, items)
    return rows.assign(
        identifier=[ids.vocabulary.decode(code) for code in codes], tokens=pd.Series(codes, dtype=object)
    )


@table.register
def _(ids: VectorIds, items: ItemTable) -> pd.DataFrame:
    counts = {feature.name: feature.known * feature.slots for feature in ids.features}
    return table.dispatch(object)(ids, items).assign(**counts)


@table.register
def _(ids: SlotIds, items: ItemTable) -> pd.DataFrame:
    codes = pd.Series(ids.codes.tolist(), dtype=object)
    return table.dispatch(object)(ids, items).assign(identifier=codes.map(slots_in_words), codes=codes)


def slots_in_words(codes: Sequence[int]) -> str:
    """The codes of an item in the order of their slots: ``12-7-250``."""
    return "-".join(map(str, codes))
