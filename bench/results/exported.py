"""A finished run for other programs: its model as Transformers opens it, its tree of identifiers as flat arrays, and
which item an identifier is. ``docs/pages/after.md`` describes the layout for readers.

    model/               config.json, model.safetensors, tokenizer.json, tokenizer_config.json; an adapter merged
    trie.safetensors     int32 arrays: first, count, token, item_first, item_count [nodes]; items [items]
    items.parquet        row, item (original id), title, identifier, tokens
    export.json          format, start and end token, how a history is written, what scores are normalized over

A decoder-only model comes with what servers of language models need beside it (``bench.results.serving``), and with its
tokenizer in a folder of its own as well: beside a Qwen2, Transformers opens any tokenizer as Qwen2's own, which cuts
texts otherwise, though a token has the same number.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from bench import backbone, files
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.model.sequence import SequenceRecommender
from bench.model.trie import Trie, with_eos
from bench.results import digests, serving
from bench.results.saved import Saved

FORMAT = 1  # of the exported folder; rises when an old reader would misunderstand it
WEIGHTS, TOKENIZER = ("config.json", "model.safetensors"), ("tokenizer.json", "tokenizer_config.json")
TRANSFORMERS, SERVERS = "transformers", ("vllm", "sglang")
INSTEAD = "bench serve answers for it"
TOKENS = pa.list_(pa.int32())


def export(saved: Saved, folder: Path, target: str = TRANSFORMERS) -> None:
    """Write a run into a new ``folder``, for a ``target`` program.

    BenchError where the target is unknown, the folder is there already, or the target would open another model: see
    ``refuse``.
    """
    if target not in (TRANSFORMERS, *SERVERS):
        raise BenchError(f"unknown target '{target}'; known: {', '.join((TRANSFORMERS, *SERVERS))}")
    recommender = refuse(saved, target)
    files.refuse_archive(folder, "an export is a folder")
    if folder.exists():
        raise BenchError(f"'{folder}' is there already; name a new folder")
    try:
        with files.new_folder(folder) as unfinished:
            _write(saved, recommender, unfinished)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says in an error of its own
        raise BenchError(f"cannot write the export to '{folder}': {getattr(error, 'strerror', '') or error}") from error


def _write(saved: Saved, recommender: SequenceRecommender, folder: Path) -> None:
    _write_model(saved, recommender, folder / "model")
    save_file(flat(Trie.of(recommender.ids)), folder / "trie.safetensors")
    pq.write_table(_items(saved, recommender.ids), folder / "items.parquet")
    told = facts(saved, recommender)
    files.write_json(folder / "export.json", told)
    if recommender.backbone.causal:
        _copy(saved, TOKENIZER, folder / "tokenizer")
        serving.write(folder, recommender, told)


def refuse(saved: Saved, target: str) -> SequenceRecommender:
    """The recommender of a run that can be exported. BenchError where its items are no tokens, or where Transformers or
    the ``target`` lack what the model needs.
    """
    name, contract, recommender = saved.result.scheme.name, saved.contract, saved.recommender
    if not isinstance(recommender, SequenceRecommender):
        raise BenchError(f"items of {name} are not written token by token, so there is no tree to export; {INSTEAD}")
    if contract.training != "windows":
        raise BenchError(
            f"'{saved.result.path}' was trained under training={contract.training}, whose mask other programs do not "
            f"know; {INSTEAD}, or train it under training=windows"
        )
    if contract.whole_words:
        raise BenchError(f"'{saved.result.path}' has whole-word embeddings, unknown to other programs; {INSTEAD}")
    if recommender.ids.users is not None:
        raise BenchError(f"histories of {name} begin with names of users, which an export does not hold; {INSTEAD}")
    if target in SERVERS and not recommender.backbone.causal:
        config = json.loads((saved.result.folder / "config.json").read_text(encoding="utf-8"))
        kind = ", ".join(config.get("architectures", [config.get("model_type", "unknown")]))
        raise BenchError(
            f"{target} decodes decoder-only models under constraints, and '{saved.result.path}' is a {kind}: it reads "
            f"with an encoder; export it for {TRANSFORMERS}, or {INSTEAD}"
        )
    return recommender


def _write_model(saved: Saved, recommender: SequenceRecommender, folder: Path) -> None:
    """The run's own files; of an adapter over a base, whose run has no weights of its own, both as one model."""
    if "model.safetensors" in saved.result.files:
        _copy(saved, (*WEIGHTS, *TOKENIZER), folder)
    else:
        _copy(saved, TOKENIZER, folder)
        backbone.save_whole(recommender.backbone, recommender.ids.vocabulary, folder)


def _copy(saved: Saved, names: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(digests.check(saved.result.folder, name, saved.result.files), folder / name)


def flat(trie: Trie) -> dict[str, NDArray[np.int32]]:
    """The tree as int32 arrays. Node 0 is the root, ``token`` leads into a node, and its children are the nodes
    ``first .. first + count``. A node without children is a whole identifier: that of the catalogue rows
    ``items[item_first : item_first + item_count]``, the lowest row first.
    """
    leaf_of_item = trie.leaf_of_item.numpy()
    order = np.argsort(leaf_of_item, kind="stable")
    sizes = np.bincount(leaf_of_item, minlength=len(trie.item_of_leaf))
    begins = np.cumsum(sizes) - sizes
    leaf, low = trie.count.numpy() == 0, trie.low.numpy()
    found = {
        "first": trie.first.numpy(),
        "count": trie.count.numpy(),
        "token": trie.token.numpy(),
        "item_first": np.where(leaf, begins[np.minimum(low, len(begins) - 1)], 0),
        "item_count": np.where(leaf, sizes[np.minimum(low, len(sizes) - 1)], 0),
        "items": order,
    }
    return {name: np.ascontiguousarray(array, np.int32) for name, array in found.items()}


def _items(saved: Saved, ids: TokenIds) -> pa.Table:
    """What is generated for every item, its end token included, in the order of the catalogue."""
    tokens = [row[row >= 0].tolist() for row in with_eos(ids)]
    columns = {"item": saved.items, "title": saved.titles, "identifier": saved.identifiers}
    return pa.table({"row": pa.array(range(len(tokens)), pa.int32()), **columns, "tokens": pa.array(tokens, TOKENS)})


def facts(saved: Saved, recommender: SequenceRecommender) -> Mapping[str, Any]:
    """The content of ``export.json``: all that a program needs to read a history and rank items as the run did."""
    result, contract, vocabulary, writer = saved.result, saved.contract, recommender.ids.vocabulary, recommender.writer
    before, after = (part.tokens[0, : part.lengths[0]].tolist() for part in (writer.before, writer.after))
    return {
        "format": FORMAT,
        "run": {"scheme": f"{result.scheme.name}@{result.scheme.version}", "dataset": result.dataset.name}
        | {"seed": result.seed, "contract": dict(result.contract), "bench": result.bench},
        "start": vocabulary.start,
        "end": vocabulary.eos,
        "history": {"before": before, "separator": writer.separator.tolist(), "after": after}
        | {"items": contract.max_history, "tokens": contract.max_tokens},
        "scores": {"normalized_over": contract.normalize, "length_penalty": contract.length_penalty},
        "excludes_history": contract.exclude_history,
        "depth": Trie.of(recommender.ids).depth,
    }
