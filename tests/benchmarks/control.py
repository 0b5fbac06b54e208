"""A trainer of its own: Transformers' T5 on the same identifiers, windows and steps, ranked by its own ``generate``.

    python tests/benchmarks/control.py --data-dir DATA [--out FILE.json]

What it shares with the product are arrays alone: token ids of items, and which history comes before which item. Model,
loss, optimizer, schedule, batches, beam search and metric are Transformers', PyTorch's, or written here in the plainest
way. It prints validation NDCG@10 of both sides and the interval of the difference, paired by user.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import peers
import torch
from accelerate import Accelerator
from scipy.stats import bootstrap
from transformers import T5Config, T5ForConditionalGeneration, get_cosine_schedule_with_warmup

from bench import backbone
from bench.backbone import huggingface
from bench.contract import PRESETS, Contract
from bench.data.splits import Split, Targets
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.model.recommender import decoding_of, recommender_under
from bench.runs.subjects import load_scheme
from bench.training.loop import Job, train
from bench.training.ranking import evaluate

CUTOFF = 10


class Control:
    """Transformers' T5 trained on windows ``(history, next item)`` in the order of one shuffle for each epoch."""

    def __init__(self, ids: TokenIds, contract: Contract, seed: int) -> None:
        self.ids, self.contract = ids, contract
        shape = backbone.scratch(contract.backbone, ids.vocabulary.size, contract.dropout).config
        torch.manual_seed(seed)
        self.model = T5ForConditionalGeneration(T5Config(**huggingface.export_config(shape)))
        self.labels = torch.from_numpy(np.where(ids.tokens[0] == ids.vocabulary.pad, -100, ids.tokens[0])).long()
        self.random = np.random.default_rng(seed)

    def train(self, histories: list[np.ndarray], items: np.ndarray) -> None:
        contract = self.contract
        per_epoch = -(-len(items) // contract.batch_size)
        steps = contract.epochs * per_epoch
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": contract.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=contract.learning_rate)
        rate = get_cosine_schedule_with_warmup(optimizer, round(contract.warmup * steps), steps)
        self.model.train()
        for _ in range(contract.epochs):
            for rows in self.batches([len(history) for history in histories]):
                source = self.read([histories[row] for row in rows])
                self.model(**source, labels=self.labels[items[rows]]).loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), contract.clip_norm)
                optimizer.step()
                rate.step()
                optimizer.zero_grad()

    def batches(self, lengths: list[int]) -> list[np.ndarray]:
        """All rows once, those of one length together, so that little is padded."""
        order = self.random.permutation(len(lengths))
        order = order[np.argsort(np.array(lengths)[order], kind="stable")]
        found = np.array_split(order, -(-len(order) // self.contract.batch_size))
        return [found[number] for number in self.random.permutation(len(found))]

    def read(self, histories: list[np.ndarray]) -> dict[str, torch.Tensor]:
        """Items joined by the separator, closed by the end token, padded: token by token."""
        vocabulary = self.ids.vocabulary
        before, separator, after = (vocabulary.encode(text) for text in vars(self.ids.template).values())
        rows = []
        for history in histories:
            tokens = list(before)
            for number, item in enumerate(history):
                tokens += [*(separator if number else []), *self.ids.code(int(item))]
            rows.append(torch.tensor([*tokens, *after, vocabulary.eos]))
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=vocabulary.pad)
        return {"input_ids": tokens, "attention_mask": (tokens != vocabulary.pad).long()}

    def ranks(self, histories: list[np.ndarray], items: np.ndarray, width: int) -> np.ndarray:
        """Where the target stands in the list that ``generate`` gives; infinite where it is not in it."""
        self.model.eval()
        trie, item_of = peers.dictionary_trie(self.ids), {self.ids.code(item): item for item in range(len(self.ids))}
        found = np.full(len(items), np.inf)
        order = np.argsort([len(history) for history in histories], kind="stable")
        for rows in np.array_split(order, -(-len(order) // 8)):
            source = self.read([histories[row] for row in rows])
            tokens = SimpleNamespace(tokens=source["input_ids"], mask=source["attention_mask"].bool())
            lists, _ = peers.generate(self.model, self.ids, tokens, width, trie)
            for row, beams in zip(rows, lists.tolist(), strict=True):
                ranked = [item_of.get(tuple(beam[1 : 1 + int(self.ids.lengths[0].max())])) for beam in beams]
                found[row] = 1 + ranked.index(items[row]) if items[row] in ranked else np.inf
        return found


def gains(ranks: np.ndarray) -> np.ndarray:
    """NDCG@10 of every user who has one target."""
    return np.where(ranks <= CUTOFF, 1 / np.log2(ranks + 1), 0.0)


def plain(targets: Targets) -> list[np.ndarray]:
    return [targets.histories[row] for row in range(len(targets))]


def control(split: Split, ids: TokenIds, contract: Contract, users: Targets, seed: int) -> np.ndarray:
    """What each of the ``users`` gains under the control."""
    rows = split.train.sequences
    histories, items = [], []
    for start, stop in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
        for next_ in range(start + 1, stop):
            histories.append(rows.values[max(start, next_ - contract.max_history) : next_])
            items.append(rows.values[next_])
    own = Control(ids, contract, seed)
    own.train(histories, np.array(items))
    return gains(own.ranks(plain(users), users.items, contract.beam_width))


def product(split: Split, ids: TokenIds, contract: Contract, users: Targets, seed: int, folder: Path) -> np.ndarray:
    """What each of the ``users`` gains under the product's loop and beam search, with the weights of the last step."""
    torch.manual_seed(seed)
    model = backbone.scratch(contract.backbone, ids.vocabulary.size, contract.dropout)
    recommender = recommender_under(contract, ids, model)
    stage, accelerator = Stage(ids, use_validation=False), Accelerator()
    path = folder / "stage.safetensors"
    train(Job(recommender, split.train.sequences, contract, seed, stage, dict, users, path))
    ranks, _ = evaluate(recommender, users, decoding_of(contract), contract.beam_width, accelerator)
    return gains(ranks.strict)


def interval(difference: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean over users."""
    found = bootstrap((difference,), np.mean, n_resamples=2000, method="percentile", rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def measured(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    begin = time.process_time()
    return work(), time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="where Toys is; default $BENCH_DATA_DIR")
    parser.add_argument("--id-scheme", default="semantic/rqkmeans", help="whose identifiers all have one length")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file to keep what was measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = peers.toys(options.data_dir)
    ids = load_scheme(options.id_scheme)().fit(split.train)
    lines = {"objective": "vocabulary", "normalize": "vocabulary", "epochs": options.epochs, "target_examples": 0}
    contract = replace(PRESETS["cpu"].contract, **lines)
    users, _ = split.validation.parted(contract.validation_users, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        job = functools.partial(product, split, ids, contract, users, options.seed, Path(folder))
        ours, own_seconds = measured(job)
    theirs, their_seconds = measured(lambda: control(split, ids, contract, users, options.seed))
    low, high = interval(ours - theirs)
    print(f"bench {ours.mean():.4f} in {own_seconds:.0f} s of the processor")
    print(f"control {theirs.mean():.4f} in {their_seconds:.0f} s of the processor")
    print(f"difference {(ours - theirs).mean():+.4f} [{low:+.4f}, {high:+.4f}] over {len(users):,} users, one seed")
    if options.out is not None:
        asked = {"dataset": "toys", "scheme": options.id_scheme, "epochs": options.epochs, "seed": options.seed}
        ndcg = {"bench": float(ours.mean()), "control": float(theirs.mean())}
        seconds = {"bench": round(own_seconds), "control": round(their_seconds)}
        found = {"users": len(users), "ndcg": ndcg, "interval": [low, high], "processor_seconds": seconds}
        options.out.write_text(json.dumps(asked | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
