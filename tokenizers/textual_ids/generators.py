"""Where a generator comes from: a checkpoint, or a model from scratch that learns to write salient phrases."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Protocol

import torch

from bench import backbone, devices
from bench.backbone.protocol import Backbone, load_trained_state, trained_state
from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.prompts import SEPARATOR
from bench.ids.text import compose, require_text
from bench.runs.subjects import source_digest
from bench.training import checkpoint
from bench.training.cost import Stopwatch
from bench.vocabulary import Vocabulary
from textual_ids.generator import Bootstrap, Writer, bootstrap, bootstrap_flops
from textual_ids.reading import as_words, letters, phrases, read_tokens
from textual_ids.words import document_frequency, readable, table


class GeneratorSettings(Protocol):
    """What of a scheme's settings decides the generator."""

    @property
    def generator(self) -> str: ...
    @property
    def max_text(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def words(self) -> int: ...
    @property
    def min_shared(self) -> int: ...
    @property
    def bootstrap_epochs(self) -> int: ...
    @property
    def bootstrap_batch(self) -> int: ...
    @property
    def bootstrap_rate(self) -> float: ...


def first_writer(settings: GeneratorSettings, train: TrainView) -> Writer:
    """The generator as it is before it has learned from any recommender, in ``eval`` mode."""
    require_text(train.items, "textual identifiers")
    made = _scratch if backbone.is_scratch(settings.generator) else _pretrained
    return made(settings, train)


def _pretrained(settings: GeneratorSettings, train: TrainView) -> Writer:
    model = backbone.load(settings.generator, 0.0, "generator")
    if model.whole_words is not None:
        raise BenchError(
            f"generator '{settings.generator}' was trained with whole-word embeddings, for which an item's text has no "
            "positions; give another checkpoint"
        )
    folder = backbone.locate(settings.generator, "generator")
    vocabulary = Vocabulary.of_language_model(folder, model.vocabulary_size)
    if train.language and train.language.tokenizer.get_vocab() != vocabulary.tokenizer.get_vocab():
        raise BenchError(
            f"generator '{settings.generator}' writes other tokens than the backbone reads; give one with the "
            "backbone's tokenizer, or start it from scratch, e.g. --set textual/idgenrec.generator=mini"
        )
    texts = compose(train.items, (), "; ")
    vocabulary = train.language or vocabulary
    return Writer(model.to(train.device).eval(), vocabulary, read_tokens(vocabulary, texts, settings.max_text))


def _scratch(settings: GeneratorSettings, train: TrainView) -> Writer:
    """Reads lower-case words, as it writes them; bootstrapped once, and kept under all that this depends on."""
    texts = as_words(train.items, SEPARATOR)
    shared_by = document_frequency(table(train.items))
    if train.language:
        vocabulary, shared_by = train.language, readable(shared_by, train.language)
    else:
        vocabulary = Vocabulary.trained([*texts, letters(texts)], settings.vocabulary, reserved=[SEPARATOR])
    sources = read_tokens(vocabulary, texts, settings.max_text)
    salient = phrases(train.items, settings.words, settings.min_shared, shared_by)
    targets = read_tokens(vocabulary, [vocabulary.as_name(text) for text in salient], settings.max_text)
    plan = Bootstrap(settings.bootstrap_epochs, settings.bootstrap_batch, settings.bootstrap_rate)
    model = _blank(settings.generator, vocabulary, train.seed, train.device)
    key = content_key(
        *(model.signature, vocabulary.fingerprint, repr(sources), repr(targets), repr(plan), str(train.seed)),
        *devices.key(train.device),
    )
    steps = plan.epochs * -(-len(sources) // plan.batch)
    train.count_training(steps, plan.epochs * len(sources), bootstrap_flops(model, sources, targets, plan, train.seed))

    def weights() -> dict[str, torch.Tensor]:
        path = cache_path(train, f"generator-{key}")
        if path and path.exists():
            state, found = checkpoint.load(path)
            train.cached_seconds.append(state.training_seconds)
            return found
        watch = Stopwatch()
        bootstrap(model, vocabulary, sources, targets, plan, train.seed, train.progress)
        if path:
            state = checkpoint.TrainingState(training_seconds=watch.seconds)
            checkpoint.save(path, state, trained_state(model), once=True)
        return {name: tensor.cpu() for name, tensor in trained_state(model).items()}

    load_trained_state(model, train.share(weights))
    return Writer(model.eval(), vocabulary, sources)


def kept_writer(settings: GeneratorSettings, target: TrainView, vocabulary: Vocabulary, path: Path) -> Writer:
    """The generator whose weights are in ``path``, to name another catalogue in the vocabulary it has learned."""
    require_text(target.items, "textual identifiers")
    if backbone.is_scratch(settings.generator):
        texts, model = (
            as_words(target.items, SEPARATOR),
            _blank(settings.generator, vocabulary, target.seed, target.device),
        )
    else:
        texts = compose(target.items, (), "; ")
        model = backbone.load(settings.generator, 0.0, "generator").to(target.device)
    load_trained_state(model, checkpoint.load(path)[1])
    return Writer(model.eval(), vocabulary, read_tokens(vocabulary, texts, settings.max_text))


def _blank(generator: str, vocabulary: Vocabulary, seed: int, device: str) -> Backbone:
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, wherever they go
        torch.default_generator.manual_seed(seed)
        return backbone.scratch(generator, vocabulary.size, 0.0).to(device)


def cache_path(train: TrainView, name: str) -> Path | None:
    """Where something of this package is kept; None where nothing is."""
    return train.cache / "textual" / f"{name}.safetensors" if train.cache else None


def content_key(*parts: str | bytes) -> str:
    """32 hex digits over the parts, the code of this package and of the backbones, and the library that computes."""
    from textual_ids.title import Title

    digest = hashlib.sha256()
    for part in (*parts, source_digest(Title), source_digest(Backbone), torch.__version__, sys.platform):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]
