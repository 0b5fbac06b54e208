"""cornac's side of ``cornac_peer.py``, in a process of its own: it is given arrays, and leaves ranks and costs.

Users, items and codes are the numbers of our split: its id maps are filled before, so that item ``i`` is item ``i`` to
it as well. Its code is called where it may be called from outside, but for two places: ``_tokenize`` is where its TIGER
makes codes and the only one where it can be handed others, and one row replaces the function that makes its batches.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.training.cost import MemoryMeter, Stopwatch

ROWS = ("tiger", "tiger-codes", "letter-codes", "tiger-shuffled", "letter")
NOT_RETRIEVED = -1e10  # what its beam search scores every other item


def installed() -> bool:
    return importlib.util.find_spec("cornac") is not None


def sequences(values: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    """The rows of ragged arrays."""
    return np.split(values, offsets[1:-1])


def dataset(rows: dict[int, np.ndarray], items: int) -> Any:
    """One session for each user, in order: what its leave-last-out makes."""
    from cornac.data import SequentialDataset

    events = [
        (user, user, int(item), time) for user, history in rows.items() for time, item in enumerate(history.tolist())
    ]
    numbers = OrderedDict((item, item) for item in range(items))
    return SequentialDataset.build(
        events, "USIT", OrderedDict((user, user) for user in rows), OrderedDict(), numbers, seed=0
    )


def timed(kind: type[Any], codes: np.ndarray | None) -> type[Any]:
    """A model that tells what its codes took, or has them given."""

    class Timed(kind):
        id_seconds = 0.0

        def _tokenize(self, torch: Any, features: Any) -> np.ndarray:
            watch = Stopwatch()
            found: np.ndarray = super()._tokenize(torch, features) if codes is None else codes.astype(np.int64)
            self.id_seconds = watch.processor_seconds
            return found

    return Timed


def tiger(job: dict[str, Any], codes: np.ndarray | None) -> Any:
    """Its TIGER with our sizes and budget; on ``codes [items, levels]`` if there are, to which it adds a counter."""
    from cornac.models import TIGER

    warmup = round(job["warmup"] * job["steps"])
    return timed(TIGER, codes)(**common(job), **own_codes(job), tokenizer=job["tokenizer"], warmup_steps=warmup)


def shuffled(train_set: Any, **options: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """The batches of its TIGER, of as many examples, drawn from all of an epoch and not from a few users at a time."""
    from cornac.models.seq_utils import session_seq_iter

    parts = list(session_seq_iter(train_set, **options))
    whole = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    order = options["rng"].permutation(len(whole[0]))
    for start in range(0, len(order), options["batch_size"]):
        yield tuple(array[order[start : start + options["batch_size"]]] for array in whole)


def letter(job: dict[str, Any], codes: np.ndarray | None, collaborative: np.ndarray) -> Any:
    """Its LETTER, on finished codes ``[items, levels]``, which are to be unique, or with its own tokenizer: it has no
    counter.
    """
    from cornac.models import LETTER

    given = own_codes(job) | {"rqvae_latent_dim": job["latent"], "rqvae_kmeans_jobs": 1}
    if codes is not None:
        given = {"rqvae_num_levels": codes.shape[1], "rqvae_codebook_size": int(codes.max()) + 1}
        given |= {"precomputed_semantic_ids": codes}
    else:
        given |= {"cf_embeddings": collaborative, "cf_embedding_ids": list(range(len(collaborative)))}
    return timed(LETTER, None)(
        **common(job),
        **given,
        warmup_ratio=job["warmup"],
        early_stopping_patience=None,
        letter_base_vocab_size=job["base_vocabulary"],
        max_grad_norm=job["clip_norm"],
    )


def own_codes(job: dict[str, Any]) -> dict[str, Any]:
    """Of a tokenizer that is trained there."""
    named = {"rqvae_num_levels": "levels", "rqvae_codebook_size": "codes", "rqvae_n_epochs": "own_epochs"}
    return {theirs: job[ours] for theirs, ours in named.items()}


def common(job: dict[str, Any]) -> dict[str, Any]:
    """The settings that both have and that we have, too."""
    named = ("d_model", "d_ff", "d_kv", "dropout", "weight_decay", "batch_size", "n_epochs", "learning_rate", "max_len")
    return {name: job[name] for name in named} | {
        "num_heads": job["heads"],
        "num_enc_layers": job["layers"],
        "num_dec_layers": job["decoder_layers"],
        "lr_schedule": job["schedule"],
        "n_beams": job["beam_width"],
        "model_selection": job["selection"],
        "val_eval_every": 1,
        "val_sample": None,
        "device": "cpu",
        "seed": job["seed"],
    }


def ranked(model: Any, histories: list[np.ndarray], targets: np.ndarray) -> dict[str, np.ndarray]:
    """Ranks of the targets: ``strict`` counts all items that score as much, ``own`` are places in the list it makes."""
    every = np.arange(model.total_items)
    strict, own = np.full(len(targets), np.inf), np.full(len(targets), np.inf)
    for row, (history, target) in enumerate(zip(histories, targets.tolist(), strict=True)):
        order, scores = model.rank(row, item_indices=every, history_items=history.tolist())
        own[row] = 1 + np.flatnonzero(order == target)[0]
        if scores[target] > NOT_RETRIEVED:
            strict[row] = (scores >= scores[target]).sum()
    return {"strict": strict, "own": own}


def made(row: str, job: dict[str, Any], given: dict[str, np.ndarray]) -> Any:
    """The untrained model of a row."""
    codes = given["codes"]
    if row == "tiger-shuffled":
        importlib.import_module("cornac.models.tiger.recom_tiger").session_seq_iter = shuffled
    if row.startswith("tiger"):
        return tiger(job, None if row == "tiger" else codes[:, : job["levels"]])
    return letter(job, codes if row == "letter-codes" else None, given.get("collaborative", given["vectors"]))


def side(folder: Path, row: str) -> None:
    """Train and rank as ``row`` says, on what the folder holds."""
    from cornac.data import FeatureModality

    torch.set_num_threads(1)
    job = json.loads((folder / "job.json").read_text())
    given = dict(np.load(folder / "given.npz"))
    train, validation, seen = (
        sequences(given[f"{name}_values"], given[f"{name}_offsets"]) for name in ("train", "validation", "test")
    )
    items = len(given["vectors"])
    train_set = dataset(dict(enumerate(train)), items)
    train_set.add_modalities(item_feature=FeatureModality(features=given["vectors"]))
    last = [np.append(history, target) for history, target in zip(validation, given["validation_items"], strict=True)]
    validation_set = dataset(dict(zip(given["validation_users"].tolist(), last, strict=True)), items)
    model = made(row, job, given)
    with MemoryMeter() as memory:
        before, watch = memory.peak_mb, Stopwatch()
        model.fit(train_set, validation_set)
        _, fitted = watch.lap()
        ranks = ranked(model, seen, given["test_items"])
        _, inference = watch.lap()
    np.savez(folder / f"{row}.npz", **ranks, codes=model.sid_table)
    told = {
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "steps": job["steps"],
        "id_seconds": model.id_seconds,
        "training_seconds": fitted - model.id_seconds,
        "inference_seconds": inference,
        "memory_before_mb": before,
        "peak_memory_mb": memory.peak_mb,
    }
    (folder / f"{row}.json").write_text(json.dumps(told))
