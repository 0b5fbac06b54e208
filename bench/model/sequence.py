"""The autoregressive head: token sequences as identifiers, trained by teacher forcing, decoded over their tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.protocol import Backbone, Cache
from bench.data.dataset import ItemIndices, Sequences
from bench.flops import TRAINING, product
from bench.ids.identifiers import Template, TokenIds, Variants
from bench.ids.prompts import Prompts, prompt_set
from bench.model import drawn
from bench.model.beam import beam_search, score_all
from bench.model.certified import certified_search
from bench.model.inputs import EncoderInput, HistoryWriter
from bench.model.recommender import Batch, Decoding, Recommender, TopK, Work, required, to_device
from bench.model.trie import Forest, Trie, with_eos

IGNORED = -1  # label where the identifier of a row has already ended
MANY = 1 << 18  # tokens, above which scores of all of them decide how much is decoded at once
CERTIFIED = 64  # prefixes of a user that are decoded together


class SequenceRecommender(Recommender):
    """Reads a history as identifiers and writes the identifier of the next item, token by token.

    The loss is the cross-entropy of every token, end token included, over what ``objective`` names: the whole
    ``vocabulary``, or after each ``prefix`` only the tokens that go on to an item (see ``Scoring``). Under the latter
    nothing is to be learned where a prefix can only go on in one way, and such tokens are no predictions. Every example
    is read and written in one variant of the identifiers; items are ranked in variant 0. Where only some items are
    candidates, scores are normalized over their tree. In the loss alone, logits are divided by ``temperature``: the
    ranking-guided loss of LETTER (Wang et al., 2024, section 3.3), which punishes likely wrong tokens more below 1.
    Where more than ``negatives`` wrong tokens may follow, it is estimated from so many of them, drawn for each batch
    (``bench.model.drawn``); 0 for all.
    """

    ids: TokenIds

    def __init__(
        self,
        ids: TokenIds,
        backbone: Backbone,
        max_tokens: int = 512,
        objective: str = "vocabulary",
        template: str = "neutral",
        temperature: float = 1.0,
        negatives: int = 0,
    ) -> None:
        super().__init__()
        self.ids, self.backbone = ids, backbone
        wording = prompt_set(ids, template)
        self.prompts = wording.trained
        self.writer = self._writer(max_tokens, wording.templates)
        self.labels = np.stack([with_eos(ids, variant) for variant in range(len(ids.tokens))])
        trees = [Trie.of(ids, variant) for variant in range(len(ids.tokens))]
        self._trie, self._forest = trees[0], Forest.of(trees)
        self.labels = self.labels[..., : self._forest.paths.shape[2]]  # a table may be wider than any identifier in it
        self._subtree: tuple[NDArray[np.bool_], Trie] | None = None
        self.by_prefix, self.temperature = objective == "prefix", temperature
        self.negatives = negatives if negatives < ids.vocabulary.size - 1 else 0
        choices = self._forest.count.numpy()[self._forest.paths]
        self.predicted = (self.labels != IGNORED) & ((choices > 1) | (not self.by_prefix))
        steps = np.arange(1, self.labels.shape[2] + 1)
        self.steps = np.where(self.predicted, steps, 1).max(2)  # decoder positions up to the last prediction

    def _writer(self, max_tokens: int, templates: Sequence[Template]) -> HistoryWriter:
        return HistoryWriter(self.ids, max_tokens, templates)

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        return self.writer.lengths(histories, variants, prompts)

    def targets(self, items: ItemIndices, variants: Variants = 0) -> int:
        return int(self.predicted[variants, items].sum())

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        source = self.writer.write(histories, variants, prompts)
        return {**self.reading(source), **self.writing(items, variants)}

    def writing(self, items: ItemIndices, variants: Variants = 0) -> dict[str, Tensor]:
        """What the loss needs of the target items, ``[B, L]`` each."""
        chosen = {"labels": self.labels, "nodes": self._forest.paths, "predicted": self.predicted}
        longest = self.steps[variants, items].max()
        return {name: torch.from_numpy(array[variants, items, :longest]) for name, array in chosen.items()}

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        predictions, longest = self.targets(items, variants), int(self.steps[variants, items].max())
        scored = 0 if self.negatives else predictions
        flops = self.backbone.training_flops(len(items), int(lengths.max()), longest, scored)
        written = int((self.labels[variants, items] != IGNORED).sum())
        return Work(flops + self.flops_of_drawn(predictions), int(lengths.sum()), written)

    def flops_of_drawn(self, predictions: int) -> int:
        """Of a step: the logits of the tokens that are drawn in one state and of the right ones; 0 without any."""
        rows = min(self.negatives + predictions, self.ids.vocabulary.size) if self.negatives else 0
        return TRAINING * product(rows * self.backbone.d_model, predictions)

    def reading(self, source: EncoderInput) -> Batch:
        """What the backbone reads."""
        item_position_ids = None if self.backbone.whole_words is None else source.item_position_ids
        return {"tokens": source.tokens, "mask": source.mask, "item_position_ids": item_position_ids}

    def _encoded(self, batch: Batch) -> Cache:
        tokens, mask, item_position_ids = required(batch, "tokens"), batch["mask"], batch["item_position_ids"]
        return self.backbone.start(self.backbone.encode(tokens, mask, item_position_ids=item_position_ids), mask)

    def forward(self, batch: Batch) -> Tensor:
        labels, predicted = required(batch, "labels").long(), required(batch, "predicted")
        hidden = self.backbone.decode(shifted(labels, self.ids.vocabulary.start), self._encoded(batch))
        if self.negatives:
            return self._drawn(hidden[predicted], labels[predicted], required(batch, "nodes")[predicted])
        logits = self._logits(hidden[predicted])  # most of the work: none of it goes into padding
        if self.by_prefix:
            logits = logits.masked_fill(~self._allowed(required(batch, "nodes")[predicted], logits), float("-inf"))
        return F.cross_entropy(logits, labels[predicted], reduction="sum")

    def _logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        logits = self.backbone.logits(hidden, rows).float()
        return logits if self.temperature == 1 else logits / self.temperature

    def _drawn(self, hidden: Tensor, labels: Tensor, nodes: Tensor) -> Tensor:
        """The summed loss of ``hidden [n, D]`` against the tokens that are drawn behind each of their ``nodes [n]``."""
        if self.by_prefix:
            forest = self._forest = self._forest.to(nodes.device)
            states, state_of = torch.unique(nodes, return_inverse=True)
            sizes = forest.count[states]
            state, place = drawn.drawn(sizes, self.negatives)
            tokens = forest.token[forest.first[states[state]] + place]
        else:
            sizes, state_of = nodes.new_tensor([self.ids.vocabulary.size]), torch.zeros_like(nodes)
            state, tokens = drawn.drawn(sizes, self.negatives)
        found = drawn.losses(lambda rows: self._logits(hidden, rows), labels, state_of, sizes, state, tokens)
        return found.sum()

    def _allowed(self, nodes: Tensor, logits: Tensor) -> Tensor:
        """The tokens that go on from ``nodes [n]``: ``[n, vocabulary]`` bool."""
        forest = self._forest = self._forest.to(nodes.device)
        count = forest.count[nodes]
        row = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), count)
        child = torch.arange(len(row), device=nodes.device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        allowed = torch.zeros_like(logits, dtype=torch.bool)
        allowed[row, forest.token[forest.first[nodes][row] + child]] = True
        return allowed

    def scored(self, decoding: Decoding, k: int) -> int:
        """Where there are very many tokens, each prefix that is decoded has a score of every one. Where more items are
        asked for than the beam is wide, it is as wide as they are many; a wide one, whoever asked for it, takes memory.
        """
        found, tokens = super().scored(decoding, k), self.ids.vocabulary.size
        if decoding.decoder == "beam" and (wide := max(decoding.width, k)) > CERTIFIED:
            wide = min(wide, int((self.trie.count > 0).sum()))  # each prefix sees those before, and scores every token
            return max(found, wide * max(tokens, wide * self.trie.depth))
        if tokens <= MANY:
            return found
        if decoding.decoder == "exact":
            return max(found, tokens)  # of fewer prefixes at once
        width = max(decoding.width, k, CERTIFIED if decoding.decoder == "certified" else 1)
        return tokens * min(width, int((self.trie.count > 0).sum()))

    def ranked(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None,
        seen: Sequences | None,
    ) -> TopK:
        trie = self.trie if candidates is None else self._among(candidates)
        cache = self._encoded(to_device(self.reading(self.writer.write(histories)), self.device))
        without = decoding.excluded(histories, seen)
        excluded = None if without is None else self._excluded(without, trie)
        if decoding.decoder == "exact":
            scores = score_all(self.backbone, cache, trie, decoding.scoring)
            if excluded is not None:
                filler = scores.new_full((len(scores), 1), 0)
                scores = torch.cat([scores, filler], 1).scatter_(1, excluded, float("-inf"))[:, :-1]
            scores, leaves = scores.sort(dim=1, descending=True, stable=True)
            scores, leaves = scores[:, :k], leaves[:, :k]
        elif decoding.decoder == "certified":
            leaves, scores = certified_search(self.backbone, cache, trie, k, decoding.scoring, excluded)
        else:
            width = max(decoding.width, k)
            leaves, scores = beam_search(self.backbone, cache, trie, width, k, decoding.scoring, excluded)
        complete = decoding.decoder == "exact" and k >= len(trie.item_of_leaf)
        items = trie.item_of_leaf[leaves.clamp(min=0)]
        valid = (leaves >= 0) & torch.isfinite(scores)
        return TopK(items.cpu().numpy(), scores.cpu().numpy(), valid.cpu().numpy(), complete)

    @property
    def trie(self) -> Trie:
        """The prefix tree, on the recommender's device."""
        if self._trie.token.device != self.device:
            self._trie = self._trie.to(self.device)
        return self._trie

    def _among(self, candidates: NDArray[np.bool_]) -> Trie:
        """The prefix tree of the candidates, which is kept for the next batch."""
        kept = self._subtree
        if kept is None or kept[1].token.device != self.device or not np.array_equal(kept[0], candidates):
            kept = self._subtree = candidates.copy(), Trie.among(self.ids, candidates, self.device)
        return kept[1]

    def _excluded(self, without: Sequences, trie: Trie) -> Tensor:
        """Leaves all of whose items are in the row, ``[B, E]``; filled up with the number of leaves."""
        leaf_of_item = trie.leaf_of_item.cpu().numpy()
        sizes = np.bincount(leaf_of_item[leaf_of_item >= 0])
        rows = []
        for row in range(len(without)):
            seen = leaf_of_item[np.unique(without[row])]
            leaves, counts = np.unique(seen[seen >= 0], return_counts=True)
            rows.append(torch.from_numpy(leaves[counts == sizes[leaves]]))
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=len(sizes))
        return padded.to(self.device)


def shifted(labels: Tensor, start: int) -> Tensor:
    """Decoder input ``[B, L]`` for labels ``[B, L]``: the start token, then all labels but the last."""
    moved = labels.roll(1, dims=1).masked_fill(labels.roll(1, dims=1) == IGNORED, start)
    moved[:, 0] = start
    return moved
