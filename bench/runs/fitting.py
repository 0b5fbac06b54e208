"""Identifiers of a scheme on a training view: made once, and kept under all that they depend on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import backbone, devices, faiss_library
from bench.backbone.reading import mean_states
from bench.contract import Contract
from bench.data.dataset import Progress, TextReader, TrainView
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Ids, TokenIds
from bench.ids.scheme import IdScheme
from bench.ids.text import BACKBONE
from bench.runs import subjects
from bench.runs.code import LIBRARIES
from bench.runs.progress import Bar, Display
from bench.threads import one_thread
from bench.training.cost import Stopwatch
from bench.versions import installed
from bench.vocabulary import Vocabulary

FORMAT = "4"  # of what is kept; rises with the names of its notes


def language(contract: Contract) -> Vocabulary | None:
    """The vocabulary of the contract's backbone, or None where it starts from scratch."""
    return backbone.language_of(contract.backbone)


def reader(name: str, vocabulary: Vocabulary | None, device: str = "cpu") -> TextReader | None:
    """A backbone with its vocabulary as an encoder of texts, read when it is asked, on a device; None from scratch."""
    if vocabulary is None:
        return None

    def read(texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        return mean_states(backbone.load(name).eval().to(device), vocabulary, texts, progress)

    return TextReader(read, backbone.content_digest(name))


def with_language(train: TrainView, contract: Contract) -> TrainView:
    """The view with what the contract's backbone offers to a scheme: its words, and itself as an encoder of texts."""
    words = language(contract)
    return replace(train, language=words, reader=reader(contract.backbone, words, train.device))


def refuse_reading(scheme: Any, contract: Contract) -> None:
    """BenchError where the backbone is to read texts and has never learned to."""
    if reads_texts(scheme) and backbone.is_scratch(contract.backbone):
        raise BenchError(
            f"encoder={BACKBONE} of {scheme.name} needs a pretrained backbone; '{contract.backbone}' starts from "
            "scratch"
        )


def reads_texts(scheme: Any) -> bool:
    """Whether the backbone is the encoder of a subject's texts."""
    return getattr(scheme.settings, "encoder", "") == BACKBONE


def fitted(
    scheme: IdScheme, train: TrainView, results: Path, title: str, display: Display
) -> tuple[Ids, dict[str, float]]:
    """The identifiers and what they took, from the cache where the same scheme was fitted on the same view before."""
    train = replace(train, cache=results / "cache", cached_seconds=[], own_training={})
    path = results / "cache" / "ids" / f"{fit_key(scheme, train)}.safetensors"
    for warning in scheme.warnings(train):
        display.say(f"{title}: {warning}")
    if path.exists():
        return storage.load(path)
    watch = Stopwatch()
    ids = _fit(scheme, train, title, display)
    if not isinstance(ids, Ids):
        raise BenchError(f"fit of {scheme.name} returned {type(ids).__name__}; it must return {storage.KNOWN}")
    if len(ids) != len(train.items):
        raise BenchError(
            f"{scheme.name} made {len(ids)} identifiers for {len(train.items)} items; "
            "fit must return one for each item, in catalogue order"
        )
    if isinstance(ids, TokenIds) and ids.users is not None and len(ids.users) != len(train.sequences):
        raise BenchError(
            f"{scheme.name} made identifiers for {len(ids.users)} users of {len(train.sequences)}; "
            "fit must return one for each row of train.sequences, in their order, or none at all"
        )
    notes = {"seconds": watch.seconds + sum(train.cached_seconds), **train.own_training}
    if not train.cached_seconds:  # of what comes from the cache, nobody knows them
        notes["processor_seconds"] = watch.processor_seconds
    storage.save(ids, path, notes, once=True)
    return ids, notes


def _fit(scheme: IdScheme, train: TrainView, title: str, display: Display) -> Ids:
    settings = ", ".join(f"{name}={value}" for name, value in asdict(scheme.settings).items())
    display.say(f"{title}: making identifiers for {len(train.items):,} items{f' with {settings}' if settings else ''}")
    # What fit prints is no part of what a command answers, which may be read as JSON.
    with display.bar(f"{title}: identifiers", 1) as bar, one_thread(), redirect_stdout(sys.stderr):
        return scheme.fit(replace(train, progress=told(bar)))


def told(bar: Bar) -> Progress:
    """Shows on the bar how far something is, and its stats."""

    def progress(done: int, total: int, stats: Mapping[str, float]) -> None:
        bar.total = total
        bar.at(done, in_words(stats))

    return progress


def in_words(stats: Mapping[str, float]) -> str:
    """Counts, such as epochs, are whole numbers; anything else has four decimals."""
    return "  ".join(f"{name} {value if isinstance(value, int) else f'{value:.4f}'}" for name, value in stats.items())


def fit_key(scheme: IdScheme, train: TrainView) -> str:
    """What fitted identifiers depend on: scheme, version, settings, source, libraries, device, training view."""
    libraries = [f"{name} {installed(name) or 'absent'}" for name in LIBRARIES]
    settings = json.dumps(asdict(scheme.settings))
    sources = [subjects.source_digest(type(scheme)), subjects.source_digest(IdScheme)]
    parts = [
        FORMAT,
        scheme.name,
        str(scheme.version),
        settings,
        scheme.cache_key(),
        train.fingerprint,
        str(train.max_history),
        *sources,
        *libraries,
        *faiss_library.key(),
        *devices.key(train.device),
    ]
    if train.reader is not None and reads_texts(scheme):
        parts.append(train.reader.digest)
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
