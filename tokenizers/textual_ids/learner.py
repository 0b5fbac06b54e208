"""The generator learns from the recommender: a recommendation loss through soft identifiers (IDGenRec, section 3.3).

The recommender is frozen. Every item of a history is named by the generator as it is, greedily, and the name is the one
that an item would get: whole words, as the vocabulary spells them. In place of the embedding of each of its tokens that
the generator wrote stands the mean embedding under its distribution there, P E: probabilities of the generator times
the recommender's table. So the loss of the recommender has a gradient for the generator, and for it alone. A token that
only the spelling of the name has, as where "spider-man" becomes "spider man", is read as it is, and so are identifiers
of users. Dropout is off in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.backbone.protocol import Backbone, weight_of
from bench.data.dataset import ItemIndices, Sequences
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds, Variants
from bench.ids.prompts import Prompts
from bench.model.inputs import EncoderInput
from bench.model.recommender import Batch, Decoding, Recommender, TopK, Work, required, to_device
from bench.model.sequence import SequenceRecommender
from textual_ids.generator import Writer, padded, unwritable
from textual_ids.reading import cleaned

AT_ONCE = 128  # items that go through the generator together


class GeneratorLearner(Recommender):
    """A frozen recommender and the generator of ``writer``, a copy of which learns to name the items of histories.

    Histories are cut to their newest ``max_history`` items; an identifier has at most ``max_length`` tokens, its end
    included.
    An item for which the generator writes no whole word is read by its present identifier.
    """

    ids: TokenIds

    def __init__(self, recommender: Recommender, writer: Writer, max_history: int, max_length: int) -> None:
        super().__init__()
        if not isinstance(recommender, SequenceRecommender):
            raise BenchError(f"a generator writes tokens, which a {type(recommender).__name__} does not read")
        self.recommender = recommender.requires_grad_(False)
        self.generator = writer.model.copied()
        self.generator.unfreeze()
        self.ids, self.prompts = recommender.ids, recommender.prompts
        self.writer, self.max_history, self.max_length = writer, max_history, max_length

    @property
    def backbone(self) -> Backbone:  # type: ignore[override]
        return self.recommender.backbone

    def train(self, mode: bool = True) -> GeneratorLearner:
        """Never: dropout would have the frozen recommender judge something else than it reads later."""
        return super().train(False)

    def input_lengths(self, histories: Sequences, variants: Variants = 0, prompts: Prompts = 0) -> NDArray[np.int64]:
        return self.recommender.input_lengths(histories.newest(self.max_history), variants, prompts)

    def targets(self, items: ItemIndices, variants: Variants = 0) -> int:
        return self.recommender.targets(items, variants)

    def work(
        self, histories: Sequences, items: ItemIndices, lengths: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Work:
        """As the recommender's; operations are not counted, for how long the generator writes is not known before."""
        return replace(self.recommender.work(histories, items, lengths, variants), flops=None)

    def collate(self, histories: Sequences, items: ItemIndices, variants: Variants = 0, prompts: Prompts = 0) -> Batch:
        """As the recommender's, but with the histories by item: ``read [U]`` are the distinct ones."""
        histories = histories.newest(self.max_history)
        read, local = np.unique(histories.values, return_inverse=True)
        arrays = {
            "read": read.astype(np.int64),
            "values": local.astype(np.int32),
            "offsets": histories.offsets,
            "prompts": np.broadcast_to(prompts, len(histories)).astype(np.int64),
        }
        kept = self.recommender.writing(items, variants)
        user_rows = None if histories.user_rows is None else torch.from_numpy(histories.user_rows)
        return {**kept, "user_rows": user_rows, **{name: torch.from_numpy(array) for name, array in arrays.items()}}

    def forward(self, batch: Batch) -> Tensor:
        codes, soft = self.soft_names(required(batch, "read").tolist())
        user_rows = batch["user_rows"]
        histories = Sequences(
            required(batch, "values").cpu().numpy(),
            required(batch, "offsets").cpu().numpy(),
            None if user_rows is None else user_rows.cpu().numpy(),
        )
        ids = TokenIds.from_lists(codes, self.writer.vocabulary, self.recommender.ids.template)
        source = self.recommender.writer.renamed(ids).write(histories, 0, required(batch, "prompts").cpu().numpy())
        read = to_device(self.recommender.reading(source), soft.device)
        loss: Tensor = self.recommender({**batch, **read, "tokens": self.spliced(source, soft)})
        return loss

    def spliced(self, source: EncoderInput, soft: Tensor) -> Tensor:
        """The embeddings ``[B, S, D]`` of the source with those of its items from ``soft [U, L, D]``."""
        embedded: Tensor = self.backbone.embed(source.tokens.to(soft.device))
        lengths = source.spans[:, 2] - source.spans[:, 1]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows, columns, items = (np.repeat(part, lengths) for part in (*source.spans.T[:2], source.items))
        at = [torch.from_numpy(part.astype(np.int64)).to(soft.device) for part in (rows, columns + offsets)]
        what = [torch.from_numpy(part.astype(np.int64)).to(soft.device) for part in (items, offsets)]
        return embedded.index_put((at[0], at[1]), soft[what[0], what[1]])

    def soft_names(self, items: Sequence[int]) -> tuple[list[list[int]], Tensor]:
        """The name that the generator writes for every item, as tokens, and its embeddings ``[U, L, D]``: P E wherever
        the generator wrote the token of the name, whatever behind it.

        Items go through the generator in parts. What it computed on the way is not kept but computed again for the
        gradient, so the memory of a step is that of one part, not of all items of a batch.
        """
        device, pad = self.device, self.writer.vocabulary.pad
        names: list[list[int]] = [[]] * len(items)
        positions, means = list[tuple[int, int]](), list[Tensor]()
        for part in self._parts(items):
            tokens, mask = padded([self.writer.sources[items[row]] for row in part], pad, device)
            written = self._greedy(tokens, mask)
            origins = list[tuple[int, int]]()
            for local, row in enumerate(part):
                code, pairs = self._named(written[local].tolist())
                names[row] = code or list(self.ids.code(items[row]))
                positions += [(row, position) for position, _ in pairs]
                origins += [(local, origin) for _, origin in pairs]
            given = (tokens, mask, written, _pairs(origins, device))
            means.append(checkpoint(self._means, *given, use_reentrant=False, preserve_rng_state=False))
        soft: Tensor = self.backbone.embed(padded(names, pad, device)[0])
        rows, columns = _pairs(positions, device).T
        return names, soft.index_put((rows, columns), torch.cat(means).to(soft.dtype))

    def _parts(self, items: Sequence[int]) -> list[list[int]]:
        """Indices among the items, with texts of like length together."""
        order = sorted(range(len(items)), key=lambda row: len(self.writer.sources[items[row]]))
        return [order[begin : begin + AT_ONCE] for begin in range(0, len(order), AT_ONCE)]

    def _means(self, tokens: Tensor, mask: Tensor | None, written: Tensor, at: Tensor) -> Tensor:
        """``[P, D]``: the mean embedding under the generator's distribution at each of ``at [P, 2]``, a row and a
        column of what was ``written [U, L]`` for the texts ``tokens [U, S]``. Where ``P`` is 0 the gradient is 0, not
        none.
        """
        forbidden = unwritable(self.writer.vocabulary, self.generator)
        before = torch.cat([torch.full_like(written[:, :1], self.writer.vocabulary.start), written[:, :-1]], 1)
        hidden = self.generator.decode(before, self.generator.start(self.generator.encode(tokens, mask), mask))
        logits = self.generator.logits(hidden[at[:, 0], at[:, 1]]).float().masked_fill(forbidden, float("-inf"))
        known = self.writer.vocabulary.tokenizer.get_vocab_size()  # rows behind it no token has, in either table
        return logits.softmax(-1)[:, :known] @ weight_of(self.backbone.embedding)[:known].float()

    @torch.no_grad()
    def _greedy(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``[U, L]``: what the generator writes token by token for ``tokens [U, S]``; padding after the end token."""
        vocabulary, forbidden = self.writer.vocabulary, unwritable(self.writer.vocabulary, self.generator)
        cache = self.generator.start(self.generator.encode(tokens, mask), mask)
        newest = torch.full((len(tokens), 1), vocabulary.start, device=tokens.device)
        ended, written = torch.zeros_like(newest, dtype=torch.bool), list[Tensor]()
        while len(written) < self.max_length and not bool(ended.all()):
            logits = self.generator.logits(self.generator.decode(newest, cache)).masked_fill(forbidden, float("-inf"))
            newest = logits.argmax(-1).masked_fill(ended, vocabulary.pad)
            ended = ended | (newest == vocabulary.eos)
            written.append(newest)
        return torch.cat(written, 1)

    def _named(self, written: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """The name made of what was written, none where that holds no whole word, and for each of its tokens that was
        written: the position in the name, and where it was written.
        """
        vocabulary = self.writer.vocabulary
        ended = vocabulary.eos in written
        tokens = list(written[: written.index(vocabulary.eos)] if ended else written)
        code = vocabulary.encode(vocabulary.as_name(cleaned(vocabulary.decode(tokens), ended)))
        if vocabulary.unk in code:
            return [], []
        blocks = SequenceMatcher(None, tokens, code, autojunk=False).get_matching_blocks()
        return code, [(block.b + offset, block.a + offset) for block in blocks for offset in range(block.size)]

    @contextmanager
    def in_precision(self, precision: str) -> Iterator[None]:
        with self.recommender.in_precision(precision):
            yield

    def ranked(
        self,
        histories: Sequences,
        k: int,
        decoding: Decoding,
        candidates: NDArray[np.bool_] | None,
        seen: Sequences | None,
    ) -> TopK:
        return self.recommender.ranked(histories, k, decoding, candidates, seen)


def _pairs(found: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """``[P, 2]``, also where nothing was found."""
    return torch.tensor(found, dtype=torch.long, device=device).view(-1, 2)
