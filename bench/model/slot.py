"""The head for codes in slots (RPG, Hou et al., KDD 2025, section 3): all codes of an item from one hidden state.

Shapes: B users, S input positions, m slots, C codes of all slots together, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.backbone.protocol import Backbone, Cache
from bench.data.dataset import ItemIndices, Sequences
from bench.flops import TRAINING, product
from bench.ids.identifiers import SlotIds, Template, Variants
from bench.ids.prompts import Prompts, prompt_set
from bench.model.groups import Groups
from bench.model.recommender import Batch, Decoding, Recommender, TopK, Work, required, to_device
from bench.model.set_inputs import SetWriter
from bench.model.top import best_of
from bench.model.vectors import Affine

AT_ONCE = 1 << 15  # items whose scores are in memory together


class SlotRecommender(Recommender):
    """Reads a history as one vector of each item and gives the probabilities of the next item's codes, slot by slot.

    An item is read as the mean of its codes' embeddings. The decoder reads one learned query in one step; from its
    hidden state a residual layer for each slot makes the vector whose cosines with the slot's code embeddings, over the
    temperature, are the logits. The loss of an example is the cross-entropy averaged over slots, and the score of an
    item the mean log-probability of its codes. No token is written, so neither an objective nor a beam nor a length
    penalty applies. Whole-word embeddings are used where the backbone has them.
    """

    ids: SlotIds
    codes: Tensor
    scores_all = True

    def __init__(self, ids: SlotIds, backbone: Backbone, max_tokens: int = 512, template: str = "neutral") -> None:
        super().__init__()
        self.ids, self.backbone, width = ids, backbone, backbone.d_model
        wording = prompt_set(ids, template)
        self.prompts = wording.trained
        self.writer = self._writer(max_tokens, wording.templates)
        self.table = nn.Embedding(sum(ids.sizes), width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        self.query = nn.Parameter(torch.randn(1, width) * 0.02)
        self.heads = Affine(width, ids.slots * width)
        nn.init.zeros_(self.heads.weight)  # every slot begins with the hidden state itself
        nn.init.zeros_(self.heads.bias)
        if backbone.head is not None:
            backbone.head.requires_grad_(False)  # stored with the model, but nothing is written in words
        # the identifiers hold them: in a checkpoint they would be there again and again
        rows = ids.codes + np.cumsum([0, *ids.sizes[:-1]], dtype=np.int32)
        self.register_buffer("codes", torch.from_numpy(rows.astype(np.int32)), persistent=False)
        self.groups = Groups(ids.groups)

    # -- reading a history --------------------------------------------------------------------------------------------

    def _writer(self, max_tokens: int, templates: Sequence[Template]) -> SetWriter:
        return SetWriter(self.ids, max_tokens, templates)

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        return self.writer.lengths(histories, prompts)

    def _read(self, histories: Sequences, prompts: Prompts = 0) -> dict[str, Tensor | None]:
        return dict(vars(self.writer.write(histories, prompts)))

    def vectors(self, items: Tensor) -> Tensor:
        """``[n, D]``: what ``items [n]`` are read as."""
        return F.embedding_bag(self.codes[items], self.table.weight, mode="mean")

    def hidden(self, batch: Batch) -> Tensor:
        """``[B, D]``: the decoder's state after its one step."""
        items = required(batch, "items")
        read, inside = self.backbone.embed(required(batch, "tokens")), items >= 0
        read[inside] = self.vectors(items[inside]).to(read.dtype)
        cache = self._memory(batch, read)
        return self.backbone.decode(self.query.expand(cache.users, 1, -1), cache)[:, 0]

    def _memory(self, batch: Batch, read: Tensor) -> Cache:
        """A decoder over the history, of which the embeddings ``read [B, S, D]`` are given."""
        numbers = None if self.backbone.whole_words is None else batch["item_position_ids"]
        states = self.backbone.encode(read, batch["mask"], required(batch, "positions"), numbers)
        return self.backbone.start(states, batch["mask"])

    def log_probabilities(self, hidden: Tensor) -> list[Tensor]:
        """Of each slot's codes, ``[B, codes]``, in float32 whatever the precision of training."""
        moved = hidden[:, None] + torch.unflatten(F.silu(self.heads(hidden)), 1, (self.ids.slots, -1))
        queries = F.normalize(moved.float(), dim=-1).transpose(0, 1)
        parts = F.normalize(self.table.weight.float(), dim=-1).split(self.ids.sizes)  # type: ignore[no-untyped-call]
        return [
            (query @ part.T / self.ids.temperature).log_softmax(-1) for query, part in zip(queries, parts, strict=True)
        ]

    # -- training -----------------------------------------------------------------------------------------------------

    def targets(self, items: ItemIndices, variants: Variants = 0) -> int:
        return len(items)

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        return {**self._read(histories, prompts), "codes": torch.from_numpy(self.ids.codes[items].astype(np.int64))}

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        batch = len(items)
        flops = self.backbone.training_flops(batch, int(lengths.max()), 1, 0, vectors=True)
        return Work(flops + self.flops_of_head(batch), int(lengths.sum()), batch)

    def flops_of_head(self, targets: int) -> int:
        """Of a step of training: what so many targets take behind the decoder."""
        return TRAINING * product(self.heads.weight.numel() + self.table.weight.numel(), targets)

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(self.hidden(batch), required(batch, "codes"))

    def loss(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Summed over targets: of states ``[B, D]`` before them, and their codes ``[B, m]``."""
        pairs = zip(self.log_probabilities(hidden), codes.T, strict=True)
        return torch.stack([F.nll_loss(found, code, reduction="sum") for found, code in pairs]).mean()

    # -- ranking ------------------------------------------------------------------------------------------------------

    def ranked(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None,
        seen: Sequences | None,
    ) -> TopK:
        """The best ``k`` of all distinct codes, each by its first item; ``complete`` where that is all of them. Ties
        are broken by catalogue index.
        """
        hidden = self.hidden(to_device(self._read(histories), self.device))
        table = torch.cat(self.log_probabilities(hidden), 1).T.contiguous() / self.ids.slots  # [C, B]
        first = self.groups.first(candidates)
        rows = self.codes if len(first) == len(self.codes) else self.codes[torch.from_numpy(first).to(self.device)]

        def scores(start: int, stop: int) -> Tensor:
            return F.embedding_bag(rows[start:stop], table, mode="sum").T.contiguous()

        excluded = self.groups.excluded(first, decoding.excluded(histories, seen), candidates)
        best, found = best_of(scores, len(histories), len(first), k, AT_ONCE, excluded, self.device)
        valid = torch.isfinite(found)
        return TopK(first[best.cpu().numpy()], found.cpu().numpy(), valid.cpu().numpy(), complete=k >= len(first))

    def extra_state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}
