"""LETTER: codes that also know who chose an item, and are used alike (Wang et al., CIKM 2024, arXiv 2405.07314).

An auto-encoder with residual codebooks whose loss has two parts more: the quantized vector of an item is to tell the
item's collaborative vector from those of other items (section 3.2.2), and codes that are near each other attract, while
all others repel, so that they spread over what there is to quantize (section 3.2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.flops import TRAINING, product
from bench.ids import embeddings, sasrec
from bench.ids.collaborative import trained_items
from bench.ids.limits import CatalogueSize, Needs
from semantic_ids.autoencoder import AutoEncoder, weights
from semantic_ids.balanced import balanced_kmeans
from semantic_ids.collisions import Codes
from semantic_ids.learned import LearnedAutoEncoder
from semantic_ids.quantizers import Vectors
from semantic_ids.rqvae import Given
from semantic_ids.schemes import Trained
from semantic_ids.settings import AlignedSettings, DiverseSettings, LatentSettings, LetterSettings
from semantic_ids.vectors_alone import State

OWN = "sasrec"


class LetterTokenizer(LearnedAutoEncoder):
    """``collaborative [n, width]`` are vectors of the same items, or None without that part of the loss. Where they are
    of another width than the codes, a linear layer that is trained with the rest leads from these to them.
    """

    def __init__(
        self, vectors: Vectors, collaborative: Vectors | None, seed: int, plan: LatentSettings, device: str = "cpu"
    ) -> None:
        super().__init__(vectors, plan.levels, plan.codes, seed, plan.training(), device)
        self.seed = seed
        self.spread = plan if isinstance(plan, DiverseSettings) else None
        self.alpha = plan.alpha if isinstance(plan, AlignedSettings) else 0.0
        self.collaborative = None if collaborative is None else torch.from_numpy(collaborative).to(self.device)
        self.bridge: nn.Module = nn.Identity()
        if collaborative is not None and collaborative.shape[1] != plan.latent:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                self.bridge = nn.Linear(plan.latent, collaborative.shape[1], bias=False).to(self.device)
            self.optimizer.add_param_group({"params": list(self.bridge.parameters())})
        self.groups = torch.empty(0)

    def begin_epoch(self, epoch: int) -> None:
        if self.spread and epoch % self.spread.regroup == 0:
            self.groups = self.grouped(self.spread.clusters)

    def grouped(self, clusters: int) -> Tensor:
        """``[levels, codes]``: the group of each code, all groups of a level of equal size."""
        found = []
        for level, codebook in enumerate(self.quantizer.codebook.detach().cpu().numpy()):
            size = min(clusters, len(codebook))
            found.append(balanced_kmeans(np.ascontiguousarray(codebook), size, self.seed + level, str(self.device))[0])
        return torch.from_numpy(np.stack(found)).to(self.device)

    def with_further(self, loss: Tensor, rows: Tensor, quantized: Tensor, given: Sequence[Given]) -> Tensor:
        loss = super().with_further(loss, rows, quantized, given)
        if self.collaborative is not None:
            loss = loss + self.alpha * alignment(self.bridge(quantized), self.collaborative[rows])
        if self.spread:
            parts = [
                diversity(codebook, code, friends(group, code, self.generator))
                for codebook, (_, code), group in zip(self.quantizer.codebook, given, self.groups, strict=True)
            ]
            loss = loss + self.spread.diversity * torch.stack(parts).mean()
        return loss

    def step_flops(self, rows: int) -> int:
        """With the alignment, whose collaborative vectors are given, and the diversity of codes, which both sides of
        the product learn from.
        """
        flops = super().step_flops(rows) + (TRAINING * self.compared(rows) if self.spread else 0)
        if self.collaborative is not None:
            flops += TRAINING * product(sum(weights(self.bridge)), rows)
            flops += (TRAINING - 1) * product(rows * self.collaborative.shape[1], rows)
        return flops


def alignment(quantized: Tensor, collaborative: Tensor) -> Tensor:
    """InfoNCE over a batch, ``[B, d]`` each: how badly the inner product with an item's quantized vector tells its
    collaborative vector from those of the others (equation 3).
    """
    return F.cross_entropy(quantized @ collaborative.T, torch.arange(len(quantized), device=quantized.device))


def diversity(codebook: Tensor, code: Tensor, friend: Tensor) -> Tensor:
    """How badly the codes of a batch, ``[B]``, tell a ``friend [B]`` of theirs, a code of their own group, from all
    codes but themselves, by the inner product of their vectors (equation 4). A code without one has -1 and counts
    nothing.
    """
    logits = codebook[code] @ codebook.T
    logits = logits.scatter(1, code[:, None], float("-inf"))
    losses = F.cross_entropy(logits, friend, reduction="none", ignore_index=-1)
    return losses.mean()


def friends(group: Tensor, code: Tensor, generator: torch.Generator) -> Tensor:
    """``[B]``: for each of the codes another one of its ``group [codes]``, drawn at random; -1 where it is alone."""
    others = group[code][:, None] == group
    others.scatter_(1, code[:, None], False)
    drawn = torch.rand(others.shape, generator=generator).to(group.device).masked_fill(~others, -1).argmax(1)
    return torch.where(others.any(1), drawn, -1)


class LetterNoCf(Trained):
    """LETTER's control that knows nothing of users."""

    name = "semantic/letter-no-cf"
    Settings: ClassVar[type[Any]] = DiverseSettings

    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        return LetterTokenizer(vectors, None, train.seed, self.settings, train.device)


class Letter(Trained):
    """Codes of text that are aligned with a SASRec's vectors, and spread (LETTER)."""

    name = "semantic/letter"
    Settings: ClassVar[type[Any]] = LetterSettings

    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        collaborative = self.collaborative(train)[items]
        return LetterTokenizer(vectors, collaborative, train.seed, self.settings, train.device)

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        raise BenchError(f"{self.name} learns from interactions as well; without them there is semantic/letter-no-cf")

    def collaborative(self, train: TrainView) -> Vectors:
        """``[items, width]``; those of items without a training interaction mean nothing."""
        if self.file:
            return embeddings.bound(self.file, train.items, trained_items(train)).vectors
        shown = train.max_history or int(train.sequences.lengths.max(initial=1))
        return sasrec.item_vectors(train, self.sasrec(shown))

    def sasrec(self, shown: int) -> sasrec.Training:
        """Of ``latent`` width, reading the ``shown`` newest items."""
        plan = self.settings
        return sasrec.Training(plan.latent, shown, epochs=plan.sasrec_epochs, negatives=plan.sasrec_negatives)

    def needs(self, size: CatalogueSize) -> Needs:
        text, plan = super().needs(size), self.settings
        if self.file:
            return text
        own = sasrec.training_needs(size, self.sasrec(size.max_history or round(size.history)))
        hint = "" if plan.sasrec_negatives else "use --set semantic.sasrec_negatives=1024"
        return Needs(max(text.memory, own.memory), text.seconds + own.seconds, hint)

    @property
    def file(self) -> str:
        """The file of collaborative vectors, "" where there is none."""
        return "" if self.settings.vectors == OWN else str(self.settings.vectors)

    def validate_items(self, items: ItemTable) -> None:
        super().validate_items(items)
        if self.file:
            embeddings.bound(self.file, items, np.zeros(len(items), bool))

    def warnings(self, train: TrainView) -> Sequence[str]:
        given = embeddings.bound(self.file, train.items, trained_items(train)).warnings if self.file else ()
        return [*super().warnings(train), *given]

    def cache_key(self) -> str:
        return super().cache_key() + (embeddings.digest(self.file) if self.file else "")


class LetterNoDiversity(Letter):
    """LETTER's control whose codes need not spread."""

    name = "semantic/letter-no-diversity"
    Settings: ClassVar[type[Any]] = AlignedSettings
