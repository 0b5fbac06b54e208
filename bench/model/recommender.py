"""What the training loop and the evaluation ask of a recommender, whatever the kind of its identifiers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.backbone.protocol import Backbone
from bench.contract import Contract
from bench.data.dataset import ItemIndices, Sequences
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.ids.identifiers import Ids, SlotIds, TokenIds, Variants, VectorIds
from bench.ids.prompts import Prompts
from bench.ids.storage import KNOWN
from bench.model.beam import Scoring


@dataclass(frozen=True)
class Decoding:
    """How items are ranked: a ``beam`` of a ``width``; ``certified``, best first until the best are surely exact; or
    ``exact``, which scores the whole catalogue.

    ``exclude_history`` never recommends an item the user already has, whether it is shown or not. ``precision`` is that
    of the products of the backbone's layers, ``fp32`` or ``bf16``; attention, logits and scores are in float32.
    """

    decoder: str = "beam"
    width: int = 20
    scoring: Scoring = field(default_factory=Scoring)
    exclude_history: bool = False
    precision: str = "fp32"

    def excluded(self, histories: Sequences, seen: Sequences | None = None) -> Sequences | None:
        """What may not be ranked, row for row: all that users have ``seen``, their histories where that is None."""
        if not self.exclude_history:
            return None
        return histories if seen is None else seen


def decoding_of(contract: Contract, exclude_history: bool | None = None) -> Decoding:
    """How the contract ranks items; it may be overruled in whether those of the history are left out."""
    return Decoding(
        contract.decoder,
        contract.beam_width,
        Scoring(contract.normalize, contract.length_penalty),
        contract.exclude_history if exclude_history is None else exclude_history,
        contract.decoding_precision,
    )


@dataclass(frozen=True, eq=False)
class TopK:
    """Ranked identifiers: ``items [B, k]`` catalogue indices best first (the lowest index of a collision), their
    ``scores``, and ``valid [B, k]``, false where fewer were found. ``complete`` says that every identifier has been
    ranked.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    valid: NDArray[np.bool_]
    complete: bool


Batch = Mapping[str, Tensor | None]


@dataclass(frozen=True)
class Work:
    """What a step of training takes: floating-point operations (``bench.flops``), None where a recommender
    does not count them; encoder positions that were read and decoder positions that were predicted, without padding.
    """

    flops: int | None
    tokens_read: int
    tokens_written: int


class Recommender(nn.Module, ABC):
    """A backbone with a head for one kind of identifier.

    Training draws the prompt of every example from those numbered in ``prompts``; ranking reads prompt 0. Where
    ``scores_all``, ranking scores every item whatever the decoder, and no score depends on ``k``.
    """

    ids: Ids
    backbone: Backbone
    prompts: tuple[int, ...] = (0,)
    scores_all: bool = False
    _fixed: bool = False  # see ``fixed_weights``
    _rounded: tuple[Backbone, ...] = ()  # at most one

    @abstractmethod
    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        """Input positions every history takes: what batches are bucketed by."""

    @abstractmethod
    def targets(self, items: ItemIndices, variants: Variants = 0) -> int:
        """Number of predictions the loss of these target items sums over."""

    @abstractmethod
    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        """Tensors of a training batch, on the CPU. Input and target of an example are of the same variant."""

    @abstractmethod
    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        """What a step of training on one batch takes, from shapes alone; ``lengths`` are its ``input_lengths``."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The summed loss of a batch; the loop divides it by ``targets`` of the whole global batch."""

    def rank(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None = None,
        seen: Sequences | None = None,
    ) -> TopK:
        """The best ``k`` identifiers for every history, in the precision of ``decoding``. Call in ``eval`` mode.

        ``candidates [items]`` says which items of the catalogue may be ranked, None for all. Identifiers that no
        candidate has do not exist then: nothing is spent on them, neither room in a beam nor probability. ``seen`` is
        all that the users have, for ``decoding.exclude_history``; None says that the histories show it all.
        """
        with torch.no_grad(), self.in_precision(decoding.precision):
            return self.ranked(histories, k, decoding, candidates, seen)

    @abstractmethod
    def ranked(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None,
        seen: Sequences | None,
    ) -> TopK:
        """What ``rank`` returns. ``backbone`` is one in the precision of ``decoding``, and gradients are off."""

    def scored(self, decoding: Decoding, k: int) -> int:
        """Scores of one user that are in memory together while the best ``k`` are ranked, where they are so many that
        users of a batch should be fewer for it: of the whole catalogue where all of it is ranked. 0 where they are few.
        """
        return len(self.ids) if decoding.decoder == "exact" else 0

    @contextmanager
    def fixed_weights(self) -> Iterator[None]:
        """Inside the context no weight changes: what depends on weights alone may be computed once and kept.

        Nothing is kept outside of it, for no version number of a tensor tells of every change: fused optimizers and
        whatever writes through ``.data`` raise none.
        """
        outer, self._fixed = self._fixed, True
        try:
            yield
        finally:
            self._fixed, self._rounded = outer, self._rounded if outer else ()

    @contextmanager
    def in_precision(self, precision: str) -> Iterator[None]:
        """Inside the context the backbone is one to rank with in this precision (see ``Decoding``)."""
        if precision == "fp32":
            yield
            return
        whole, rounded = self.backbone, self._rounded or (self.backbone.rounded(),)
        self._rounded = rounded if self._fixed else ()
        self.backbone = rounded[0]
        try:
            yield
        finally:
            self.backbone = whole

    def calibrate(self, targets: Targets, decoding: Decoding, metric: str) -> None:
        """Choose on validation users whatever is not learned but chosen; nothing where there is no such thing.

        It is called before every validation, on the very users that select, so that a checkpoint is judged by what it
        can do; what is chosen is part of the recommender's state, as weights are.
        """

    def calibrated(self) -> dict[str, float]:
        """What ``calibrate`` chose, for the result."""
        return {}

    def extra_state(self) -> dict[str, Tensor]:
        """Whatever must be stored beside the backbone and the identifiers to rank as now."""
        return {}

    @property
    def device(self) -> torch.device:
        return self.backbone.device


def required(batch: Batch, name: str) -> Tensor:
    """A tensor that every batch has."""
    tensor = batch[name]
    if tensor is None:
        raise KeyError(name)
    return tensor


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: None if tensor is None else tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


@dataclass(frozen=True)
class HeadOptions:
    """What a recommender takes from a contract, line by line, whatever the kind of its identifiers.

    The backbone reads at most ``max_tokens``; the oldest items of longer histories are dropped. ``objective`` says
    where the token probabilities of the loss sum to one, token logits are divided by ``temperature`` there, and only so
    many ``negatives`` are drawn; a head without tokens has no use for them. Under ``training=shared`` a history is read
    causally by item, in training as in ranking (``bench.model.packed``), each of which is written as ``history`` says.
    """

    max_tokens: int = 512
    objective: str = "vocabulary"
    template: str = "neutral"
    training: str = "windows"
    history: str = "tokens"
    temperature: float = 1.0
    negatives: int = 0


def recommender_under(contract: Contract, ids: Ids, backbone: Backbone) -> Recommender:
    """The recommender of these identifiers as the contract trains and reads it."""
    lines = {line.name: getattr(contract, line.name) for line in fields(HeadOptions)}
    return head_for(ids, backbone, HeadOptions(**lines))


def recommender_for(ids: Any, backbone: Backbone, **options: Any) -> Recommender:
    """As ``head_for``, with ``HeadOptions`` by name."""
    return head_for(ids, backbone, HeadOptions(**options))


@singledispatch
def head_for(ids: Any, backbone: Backbone, options: HeadOptions) -> Recommender:
    """The recommender for a kind of identifiers, over a backbone whose vocabulary is theirs. BenchError for a kind that
    none is known of. Whole-word embeddings are used where the backbone has a table.
    """
    raise BenchError(f"no recommender for identifiers of kind {type(ids).__name__}; known: {KNOWN}")


@head_for.register
def _(ids: TokenIds, backbone: Backbone, options: HeadOptions) -> Recommender:
    from bench.model.sequence import SequenceRecommender
    from bench.model.shared_sequence import SharedSequenceRecommender

    o = options
    if o.training == "shared":
        lines = o.max_tokens, o.objective, o.template, o.history, o.temperature, o.negatives
        return SharedSequenceRecommender(ids, backbone, *lines)
    return SequenceRecommender(ids, backbone, o.max_tokens, o.objective, o.template, o.temperature, o.negatives)


@head_for.register
def _(ids: VectorIds, backbone: Backbone, options: HeadOptions) -> Recommender:
    from bench.model.shared_vector_set import SharedVectorSetRecommender
    from bench.model.vector_set import VectorSetRecommender

    if options.training == "shared":
        return SharedVectorSetRecommender(ids, backbone, options.max_tokens, options.template, options.history)
    return VectorSetRecommender(ids, backbone, options.max_tokens, options.template)


@head_for.register
def _(ids: SlotIds, backbone: Backbone, options: HeadOptions) -> Recommender:
    from bench.model.shared_slot import SharedSlotRecommender
    from bench.model.slot import SlotRecommender

    kind = SharedSlotRecommender if options.training == "shared" else SlotRecommender
    return kind(ids, backbone, options.max_tokens, options.template)
