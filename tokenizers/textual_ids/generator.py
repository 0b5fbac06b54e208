"""The identifier generator: a language model that reads the text of an item and writes its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench import ranks
from bench.backbone.protocol import Backbone
from bench.data.dataset import Progress, silent
from bench.model.sequence import IGNORED, shifted
from bench.training.examples import bucketed_batches
from bench.vocabulary import Vocabulary
from textual_ids.diverse import Found, Search, diverse_beams
from textual_ids.reading import cleaned

AT_ONCE = 1 << 23  # log-probabilities in memory


@dataclass(frozen=True)
class Bootstrap:
    """How a generator without weights of its own learns to write: so many epochs over the catalogue."""

    epochs: int
    batch: int
    learning_rate: float


def bootstrap(
    model: Backbone,
    vocabulary: Vocabulary,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    plan: Bootstrap,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Teach the model to write ``targets`` after reading ``sources``, both token ids with the end token, in place.

    AdamW, linear warm-up over a tenth of the steps, then a linear decay.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    batches = planned(sources, plan, seed)
    total = len(batches)
    model.train()
    for step, rows in enumerate(batches):
        warm = max(1, total // 10)
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min((step + 1) / warm, (total - step) / (total - warm + 1))
        loss = teaching_loss(model, vocabulary, [sources[row] for row in rows], [targets[row] for row in rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 20 == 0 or step + 1 == total:
            progress(step + 1, total, {"loss": float(loss.detach())})
    model.eval()


def planned(sources: Sequence[Sequence[int]], plan: Bootstrap, seed: int) -> list[NDArray[np.int64]]:
    """The texts of every batch of ``bootstrap``."""
    lengths = np.array([len(source) for source in sources])
    return [rows for epoch in range(plan.epochs) for rows in bucketed_batches(lengths, plan.batch, seed, epoch)]


def bootstrap_flops(
    model: Backbone, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], plan: Bootstrap, seed: int
) -> int:
    """Floating-point operations of the matrix products of ``bootstrap`` (``bench.flops``), padding included."""
    reads, writes = (np.array([len(text) for text in texts]) for texts in (sources, targets))
    counted = 0
    for rows in planned(sources, plan, seed):
        read, written, logits = (int(found) for found in (reads[rows].max(), writes[rows].max(), writes[rows].sum()))
        counted += model.training_flops(len(rows), read, written, logits)
    return counted


def teaching_loss(
    model: Backbone, vocabulary: Vocabulary, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Tensor:
    """The mean cross-entropy of the target tokens; padding is no target."""
    device = model.device
    tokens, mask = padded(sources, vocabulary.pad, device)
    labels, _ = padded(targets, IGNORED, device)
    hidden = model.decode(shifted(labels, vocabulary.start), model.start(model.encode(tokens, mask), mask))
    written = labels != IGNORED
    return F.cross_entropy(model.logits(hidden[written]).float(), labels[written])


def padded(rows: Sequence[Sequence[int]], filler: int, device: torch.device | str) -> tuple[Tensor, Tensor | None]:
    """``[B, S]`` and its mask, true on tokens; no mask where all rows are equally long."""
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, filler).to(device)
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    return tokens, None if bool(mask.all()) else mask.to(device)


@dataclass(frozen=True, eq=False)
class Writer:
    """A generator with the tokens of the texts it names: candidates of any text at any penalty and length."""

    model: Backbone
    vocabulary: Vocabulary
    sources: Sequence[Sequence[int]]

    def candidates(self, rows: Sequence[int], search: Search, progress: Progress = silent) -> list[list[str]]:
        """For each of the texts in ``rows`` what a diverse beam search found, best first, as whole words. Of several
        ranks each reads its share of the batches; the names have the same bits as those of one process.
        """
        size = max(1, AT_ONCE // (search.groups * self.model.vocabulary_size))
        order = sorted(rows, key=lambda row: len(self.sources[row]))  # texts of like length are read together
        batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
        # To other ranks go weights of the CPU: each has a device of its own.
        model = self.model if ranks.count() == 1 else self.model.copied().cpu()
        found = ranks.divided(
            partial(_written, model, self.vocabulary, search, str(self.model.device)),
            [[self.sources[row] for row in batch] for batch in batches],
            lambda done: progress(min(done * size, len(rows)), len(rows), {}),
        )
        names = dict(zip(order, (name for batch in found for name in batch), strict=True))
        return [names[row] for row in rows]


def _written(
    model: Backbone, vocabulary: Vocabulary, search: Search, device: str, sources: Sequence[Sequence[int]]
) -> list[list[str]]:
    """The candidates of a batch of texts, on the device of this rank where that of the main one is ``device``."""
    model.to(ranks.own(device))
    forbidden = unwritable(vocabulary, model)
    tokens, mask = padded(sources, vocabulary.pad, forbidden.device)
    with torch.no_grad():
        cache = model.start(model.encode(tokens, mask), mask)
    return in_words(diverse_beams(model, cache, search, vocabulary.start, vocabulary.eos, forbidden), vocabulary)


def unwritable(vocabulary: Vocabulary, model: Backbone) -> Tensor:
    """``[V]``: true on padding, the unknown token and rows of the model that no token has."""
    forbidden = torch.ones(model.vocabulary_size, dtype=torch.bool, device=model.device)
    forbidden[: vocabulary.tokenizer.get_vocab_size()] = False
    never = {vocabulary.pad, vocabulary.start, vocabulary.unk} - {None, vocabulary.eos}
    forbidden[torch.tensor(sorted(never), device=model.device)] = True
    return forbidden


def in_words(found: Found, vocabulary: Vocabulary) -> list[list[str]]:
    """The candidates of every text as names; what holds no whole word is left out."""
    tokens, lengths, ended = found.tokens.tolist(), found.lengths.tolist(), found.ended.tolist()
    valid = torch.isfinite(found.scores).tolist()
    names = []
    for text in range(len(tokens)):
        kept = [beam for beam, holds in enumerate(valid[text]) if holds]
        codes = [tokens[text][beam][: lengths[text][beam]] for beam in kept]
        written = vocabulary.tokenizer.decode_batch(codes, skip_special_tokens=True)
        whole = (cleaned(words, ended[text][beam]) for words, beam in zip(written, kept, strict=True))
        names.append([name for name in whole if name])
    return names
