"""The autoregressive head: token sequences as identifiers, trained by teacher forcing, decoded over their tree."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import ItemIndices, Sequences
from bench.ids.scheme import TokenIds
from bench.model.beam import beam_search, score_all
from bench.model.inputs import HistoryWriter
from bench.model.recommender import Batch, Decoding, Recommender, Slots
from bench.model.t5 import T5, Cache
from bench.model.trie import Trie, with_end

IGNORED = -1  # label where the identifier of a row has already ended


class SequenceRecommender(Recommender):
    """Reads a history as identifiers and writes the identifier of the next item, token by token."""

    def __init__(self, ids: TokenIds, t5: T5, max_tokens: int = 512) -> None:
        super().__init__()
        self.ids, self.t5 = ids, t5
        self.writer = HistoryWriter(ids, max_tokens)
        self.labels = with_end(ids)
        self.steps = (self.labels != IGNORED).sum(1)
        self._trie = Trie.of(ids)

    def input_lengths(self, histories: Sequences) -> NDArray[np.int64]:
        return self.writer.lengths(histories)

    def targets(self, items: ItemIndices) -> int:
        return int(self.steps[items].sum())

    def collate(self, histories: Sequences, items: ItemIndices) -> Batch:
        source = self.writer.write(histories)
        labels = self.labels[items][:, : self.steps[items].max()].astype(np.int64)
        return {"tokens": source.tokens, "mask": source.mask, "labels": torch.from_numpy(labels)}

    def forward(self, batch: Batch) -> Tensor:
        tokens, labels = batch["tokens"], batch["labels"]
        assert tokens is not None
        assert labels is not None
        mask, written = batch["mask"], labels != IGNORED
        cache = self.t5.start(self.t5.encode(tokens, mask), mask)
        hidden = self.t5.decode(shifted(labels, self.ids.vocabulary.pad), cache)
        logits = self.t5.logits(hidden[written])  # the output layer is most of the work: none of it goes into padding
        return F.cross_entropy(logits.float(), labels[written], reduction="sum")

    @torch.no_grad()
    def rank(self, histories: Sequences, slots: int, decoding: Decoding) -> Slots:
        cache, trie = self._read(histories), self.trie
        excluded = self._excluded(histories) if decoding.exclude_history else None
        if decoding.decoder == "exact":
            scores = score_all(self.t5, cache, trie, decoding.scoring)
            if excluded is not None:
                filler = scores.new_full((len(scores), 1), 0)
                scores = torch.cat([scores, filler], 1).scatter_(1, excluded, float("-inf"))[:, :-1]
            scores, leaves = scores.sort(dim=1, descending=True, stable=True)
            scores, leaves = scores[:, :slots], leaves[:, :slots]
        else:
            width = max(decoding.width, slots)
            leaves, scores = beam_search(self.t5, cache, trie, width, slots, decoding.scoring, excluded)
        complete = decoding.decoder == "exact" and slots >= len(trie.item_of_leaf)
        items = trie.item_of_leaf[leaves.clamp(min=0)]
        valid = (leaves >= 0) & torch.isfinite(scores)
        return Slots(items.cpu().numpy(), scores.cpu().numpy(), valid.cpu().numpy(), complete)

    @property
    def trie(self) -> Trie:
        """The prefix tree, on the recommender's device."""
        if self._trie.token.device != self.device:
            self._trie = self._trie.to(self.device)
        return self._trie

    def _read(self, histories: Sequences) -> Cache:
        source = self.writer.write(histories)
        mask = None if source.mask is None else source.mask.to(self.device)
        return self.t5.start(self.t5.encode(source.tokens.to(self.device), mask), mask)

    def _excluded(self, histories: Sequences) -> Tensor:
        """Leaves all of whose items are in the history, ``[B, E]``; filled up with the number of leaves."""
        trie = self.trie
        leaf_of_item = trie.leaf_of_item.cpu().numpy()
        sizes = np.bincount(leaf_of_item)
        rows = []
        for history in range(len(histories)):
            leaves, counts = np.unique(leaf_of_item[np.unique(histories[history])], return_counts=True)
            rows.append(torch.from_numpy(leaves[counts == sizes[leaves]]))
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=len(sizes))
        return padded.to(self.device)


def shifted(labels: Tensor, start: int) -> Tensor:
    """Decoder input ``[B, L]`` for labels ``[B, L]``: the start token, then all labels but the last."""
    moved = labels.roll(1, dims=1).masked_fill(labels.roll(1, dims=1) == IGNORED, start)
    moved[:, 0] = start
    return moved
