"""The head for identifiers that are sets of vectors (SETRec, Lin et al., 2025): parallel queries, grounded in items.

Shapes: B users, S input positions, Q slots, m items, D model width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.backbone.protocol import MASKED, Backbone, Cache
from bench.data.dataset import ItemIndices, Sequences
from bench.data.splits import Targets
from bench.evaluation.metrics import Ranks, exclusion_mask, from_scores
from bench.flops import TRAINING, product
from bench.ids.identifiers import Template, Variants, VectorIds
from bench.ids.prompts import Prompts, prompt_set
from bench.linear import linear
from bench.model import softmax
from bench.model.recommender import Batch, Decoding, Recommender, TopK, Work, required, to_device
from bench.model.set_inputs import SetWriter
from bench.model.top import best_of, excluded_items
from bench.model.vectors import ItemVectors

AT_ONCE = 1 << 15  # items whose vectors and scores are in memory together
SCORED = 1 << 24  # scores in memory together while the weight is chosen
WEIGHTS = np.arange(11) / 10  # of all features but the first


class VectorSetRecommender(Recommender):
    """Reads a history as the vectors of its items and gives one vector for each slot of the next item.

    The decoder reads one learned query for each slot, all at position 0, in one pass; a query sees itself and the
    history, and no other query. The loss of an example is the cross-entropy over the catalogue, averaged over slots,
    and what the features add for the items of its history, averaged over them.

    ``weight`` combines the features' scores, see ``VectorIds``; ``calibrate`` chooses it. Whole-word embeddings are
    used where the backbone has them. No token is written, so neither an objective nor a beam nor a length penalty
    applies.
    """

    weight: Tensor
    ids: VectorIds
    scores_all = True
    _catalogue: Tensor | None

    def __init__(self, ids: VectorIds, backbone: Backbone, max_tokens: int = 512, template: str = "neutral") -> None:
        super().__init__()
        self.ids, self.backbone = ids, backbone
        wording = prompt_set(ids, template)
        self.prompts = wording.trained
        self.writer = self._writer(max_tokens, wording.templates)
        self.vectors = ItemVectors(ids, backbone.d_model)
        self.queries = nn.Parameter(torch.randn(ids.slots, backbone.d_model) * 0.02)
        self.register_buffer("weight", torch.tensor(0.5))
        if backbone.head is not None:
            backbone.head.requires_grad_(False)  # stored with the model, but nothing is written in words
        self._catalogue = None  # see ``fixed_weights``

    # -- reading a history --------------------------------------------------------------------------------------------

    def _writer(self, max_tokens: int, templates: Sequence[Template]) -> SetWriter:
        return SetWriter(self.ids, max_tokens, templates)

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        return self.writer.lengths(histories, prompts)

    def _read(self, histories: Sequences, prompts: Prompts = 0) -> dict[str, Tensor | None]:
        return dict(vars(self.writer.write(histories, prompts)))

    def _encoded(self, batch: Batch, table: Tensor, rows: Tensor) -> Tensor:
        """The vectors that the decoder gives, ``[Q, B, D]``, for B targets.

        ``table [Q, n, D]`` holds item vectors and ``rows`` where in it each of the batch's item columns finds its own.
        """
        items, slots = required(batch, "items"), required(batch, "slots")
        inside = items >= 0
        read = self.backbone.embed(required(batch, "tokens"))
        read[inside] = F.embedding(slots[inside] * table.shape[1] + rows, table.flatten(0, 1)).to(read.dtype)
        cache = self._memory(batch, read)
        queries = self.queries.expand(cache.users, -1, -1)
        hidden = self.backbone.decode(queries, cache, self._between_queries(), self._query_positions())
        return hidden.transpose(0, 1)

    def _memory(self, batch: Batch, read: Tensor) -> Cache:
        """A decoder over the history, of which the embeddings ``read [B, S, D]`` are given."""
        visible = self._visible(batch)
        item_position_ids = None if self.backbone.whole_words is None else batch["item_position_ids"]
        mask = self._attention(batch, visible)
        states = self.backbone.encode(read, mask, required(batch, "positions"), item_position_ids)
        return self.backbone.start(states, visible)

    @property
    def _in_a_row(self) -> bool:
        """Whether queries are read one behind the other: what the published code comes to on a model that reads
        causally, since the kernel of its attention takes a causal mask in place of the one that it is given.
        """
        return self.ids.attention == "repo" and self.backbone.causal

    def _query_positions(self) -> Tensor:
        count = len(self.queries)
        return torch.arange(count, device=self.device) * int(self._in_a_row)

    def _between_queries(self) -> Tensor | None:
        """What is added to the decoder's attention ``[Q, Q]``: a query sees itself alone; under ``repo`` all, and
        itself a little better, or those before it.
        """
        if self._in_a_row:
            return None
        itself = torch.eye(len(self.queries), device=self.device)
        return itself if self.ids.attention == "repo" else (1 - itself) * MASKED

    def _visible(self, batch: Batch) -> Tensor | None:
        """``[B, S]``: true but on padding and on slots that say nothing of their item; None where all is visible."""
        items, mask = required(batch, "items"), batch["mask"]
        if all(feature.known.all() for feature in self.ids.features):
            return mask
        known = self.vectors.known(items.clamp(min=0)).gather(-1, required(batch, "slots")[..., None])[..., 0]
        known |= items < 0
        return known if mask is None else known & mask

    def _attention(self, batch: Batch, visible: Tensor | None) -> Tensor | None:
        """What is added to the attention to the input: under ``paper`` a vector doesn't see the others of its item."""
        if self.ids.attention == "repo":
            return visible
        item_position_ids = required(batch, "item_position_ids")
        hidden = (item_position_ids[..., None] == item_position_ids[..., None, :]) & (item_position_ids[..., None] > 0)
        hidden &= ~torch.eye(item_position_ids.shape[-1], dtype=torch.bool, device=item_position_ids.device)
        if visible is not None:
            hidden = hidden | ~visible[:, None]
        return hidden * MASKED

    # -- training -----------------------------------------------------------------------------------------------------

    def targets(self, items: ItemIndices, variants: Variants = 0) -> int:
        return len(items)

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        return {**self._read(histories, prompts), "targets": torch.from_numpy(np.asarray(items, np.int64))}

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        flops = self.backbone.training_flops(len(items), int(lengths.max()), len(self.queries), 0, vectors=True)
        return Work(
            flops + self.flops_of_items(histories, len(items)), int(lengths.sum()), len(self.queries) * len(items)
        )

    def flops_of_items(self, histories: Sequences, targets: int) -> int:
        """Of a step: the vectors of all items that are read or scored, and the scores of so many targets."""
        count, drawn = len(self.ids), self.ids.negatives
        read = len(np.unique(histories.values))
        made = count if self._at_once else read + (drawn or count) + targets  # items whose vectors are computed
        scores = product(self.queries.numel() * (drawn or count), targets)
        return TRAINING * scores + self.vectors.training_flops(made, read)

    @property
    def _at_once(self) -> bool:
        """Whether training computes the vectors of the whole catalogue together."""
        return len(self.ids) <= AT_ONCE and not self.ids.negatives

    def forward(self, batch: Batch) -> Tensor:
        columns, targets, count = required(batch, "items"), required(batch, "targets"), len(self.ids)
        inside = columns >= 0
        items, rows = torch.unique(columns[inside], return_inverse=True)
        everything = self.vectors() if self._at_once else None
        table = self.vectors(items) if everything is None else everything[:, items]
        hidden = self._encoded(batch, table, rows)
        if everything is not None:
            losses = softmax.full(hidden, everything, targets)
        elif self.ids.negatives:
            losses = softmax.sampled(hidden, self.vectors, targets, count, self.ids.negatives)
        else:
            losses = softmax.chunked(hidden, self.vectors, targets, count, AT_ONCE)
        share = self._shares_of_positions(batch)[inside]
        return losses.mean(0).sum() + (self.vectors.auxiliary(table, items)[rows] * share).sum()

    def _shares_of_positions(self, batch: Batch) -> Tensor:
        """``[B, S]``: how much of what the features add for the item of a position is part of the loss."""
        inside = required(batch, "items") >= 0
        if self.ids.reconstruct_over == "example":
            return inside / inside.sum(1, keepdim=True).clamp(min=1)  # in the mean over its history
        return inside * (len(inside) / inside.sum().clamp(min=1))

    # -- ranking ------------------------------------------------------------------------------------------------------

    def ranked(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None,
        seen: Sequences | None,
    ) -> TopK:
        """The best ``k`` items of the whole catalogue; ``complete`` where that is all of them. Ties are broken by
        catalogue index.
        """
        catalogue = self.catalogue()
        query = self.query(histories, catalogue)
        best, scores = best_of(
            lambda start, stop: linear(query, catalogue[start:stop]),
            len(query),
            len(catalogue),
            k,
            AT_ONCE,
            excluded_items(decoding.excluded(histories, seen), len(query), candidates),
            self.device,
        )
        complete = k >= len(catalogue)
        return TopK(best.cpu().numpy(), scores.cpu().numpy(), torch.isfinite(scores).cpu().numpy(), complete)

    @torch.no_grad()
    def query(self, histories: Sequences, catalogue: Tensor) -> Tensor:
        """``[B, Q·D]``: what the inner product with the ``catalogue [m, Q·D]`` makes the items' scores of."""
        return (self._queried(histories, catalogue) * self.shares()[:, None]).flatten(1)

    def _queried(self, histories: Sequences, catalogue: Tensor) -> Tensor:
        """The decoder's vectors for histories, ``[B, Q, D]``, whose items are read as the vectors in ``catalogue``."""
        batch = to_device(self._read(histories), self.device)
        read = required(batch, "items")
        items, rows = torch.unique(read[read >= 0], return_inverse=True)
        table = torch.unflatten(catalogue[items], 1, (len(self.queries), -1)).transpose(0, 1)
        return self._encoded(batch, table, rows).transpose(0, 1).float()

    def shares(self) -> Tensor:
        """``[Q]``: how much the score of each slot counts. A first feature that knows no item, as of an unseen
        catalogue, leaves the others alone.
        """
        first, *others = (feature.slots for feature in self.ids.features)
        if not others:
            return torch.ones(first, device=self.device)
        weight = self.weight if self.ids.features[0].known.any() else torch.ones_like(self.weight)
        return torch.cat([(1 - weight).expand(first), weight.expand(sum(others))])

    @torch.no_grad()
    def catalogue(self) -> Tensor:
        """``[m, Q·D]``: the vectors of every item, side by side; computed once under ``fixed_weights``."""
        if self._catalogue is not None:
            return self._catalogue
        count = len(self.ids)
        catalogue = torch.empty(count, self.ids.slots * self.backbone.d_model, device=self.device)
        for start in range(0, count, AT_ONCE):
            items = torch.arange(start, min(start + AT_ONCE, count), device=self.device)
            catalogue[start : start + len(items)] = self.vectors(items).transpose(0, 1).flatten(1)
        self._catalogue = catalogue if self._fixed else None
        return catalogue

    @contextmanager
    def fixed_weights(self) -> Iterator[None]:
        """Inside the context the catalogue is computed once."""
        try:
            with super().fixed_weights():
                yield
        finally:
            self._catalogue = self._catalogue if self._fixed else None

    # -- the weight of the features -----------------------------------------------------------------------------------

    @torch.no_grad()
    def calibrate(self, targets: Targets, decoding: Decoding, metric: str) -> None:
        """Take the ``weight`` under which these users score highest, of equally good ones the nearest to one half, then
        the smaller. Numbers are compared to 12 decimals: what is behind depends on the machine.

        Scores are linear in the weight: the model reads every user once, whatever number of weights is tried.
        """
        if len(self.ids.features) == 1:
            return
        self.eval()
        with self.fixed_weights(), self.in_precision(decoding.precision):
            found = self._ranked_by_weight(targets, decoding)
        user_rows = None if targets.counts is None else targets.user_rows
        means = [float(ranks.of(user_rows, targets.items).per_user(metric).mean()) for ranks in found]
        self.weight.fill_(WEIGHTS[preferred(means)])

    def _ranked_by_weight(self, targets: Targets, decoding: Decoding) -> list[Ranks]:
        """The ranks of the targets under each of ``WEIGHTS``."""
        size = max(1, min(256, SCORED // len(self.ids)))
        found: list[list[Ranks]] = [[] for _ in WEIGHTS]
        for rows in np.array_split(np.arange(len(targets)), -(-len(targets) // size)):
            part = targets.take(rows)
            ours, others = self.feature_scores(part.histories)
            hidden = exclusion_mask(decoding.excluded(part.histories, part.seen), len(part), len(self.ids))
            for ranks, weight in zip(found, WEIGHTS, strict=True):
                ranks.append(from_scores((1 - weight) * ours + weight * others, part.items, hidden, part.user_rows))
        return [Ranks.join(ranks) for ranks in found]

    def feature_scores(self, histories: Sequences) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``[B, m]`` each: the summed scores of the slots of the first feature, and of those of all others."""
        catalogue, edge = self.catalogue(), self.ids.features[0].slots * self.backbone.d_model
        hidden = self._queried(histories, catalogue).flatten(1)
        parts = [hidden[:, :edge] @ catalogue[:, :edge].T, hidden[:, edge:] @ catalogue[:, edge:].T]
        return parts[0].cpu().numpy(), parts[1].cpu().numpy()

    def calibrated(self) -> dict[str, float]:
        return {} if len(self.ids.features) == 1 else {"semantic_weight": round(float(self.weight), 4)}

    def extra_state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}


def preferred(means: list[float]) -> int:
    """Which of ``WEIGHTS`` is taken when these are the scores under them."""
    distances = np.abs(WEIGHTS - 0.5)
    return int(np.lexsort((np.round(distances, 12), -np.round(means, 12)))[0])
