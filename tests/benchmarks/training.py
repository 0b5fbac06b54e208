"""The training loop against Transformers' ``Trainer`` at its defaults: tiger size, four codes an item, batch 256, real
Toys.

    python tests/benchmarks/training.py --data-dir DATA

One thread; samples per second, medians over rounds in one process, then the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import peers
import torch
from transformers import Trainer, TrainingArguments

from bench.backbone import huggingface
from bench.training.examples import bucketed_batches, sliding_windows

BATCH, ROUNDS = 256, 3


class Windows(torch.utils.data.Dataset):
    """Sliding windows as the Trainer wants them: one dictionary for each example."""

    def __init__(self, recommender, windows) -> None:
        self.recommender, self.windows = recommender, windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        row = np.array([index])
        batch = self.recommender.collate(self.windows.histories(row), self.windows.items(row))
        return {"input_ids": batch["tokens"][0].tolist(), "labels": batch["labels"][0].tolist()}


def padded(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Padding to the longest of the batch, as the default collator for sequences does."""
    pad = torch.nn.utils.rnn.pad_sequence
    inputs = pad([torch.tensor(example["input_ids"]) for example in examples], batch_first=True)
    labels = pad([torch.tensor(example["labels"]) for example in examples], batch_first=True, padding_value=-100)
    return {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}


def trainer_rate(peer, dataset: Windows, steps: int, folder: str) -> float:
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=BATCH,
        max_steps=steps,
        learning_rate=1e-3,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(model=peer.train(), args=arguments, train_dataset=dataset, data_collator=padded)
    begin = time.perf_counter()
    trainer.train()
    return steps * BATCH / (time.perf_counter() - begin)


def our_rate(recommender, windows, steps: int, round_: int) -> float:
    recommender.train()
    optimizer = torch.optim.AdamW(recommender.parameters(), lr=1e-3)
    batches = bucketed_batches(recommender.input_lengths(windows.histories()), BATCH, 0, round_)[:steps]
    begin = time.perf_counter()
    for rows in batches:
        loss = recommender(recommender.collate(windows.histories(rows), windows.items(rows)))
        (loss / recommender.targets(windows.items(rows))).backward()
        torch.nn.utils.clip_grad_norm_(recommender.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return sum(map(len, batches)) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where Toys is; default $BENCH_DATA_DIR")
    parser.add_argument("--steps", type=int, default=40, help="of ours; the Trainer does a quarter")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = peers.toys(options.data_dir)
    windows = sliding_windows(split.train.sequences, 20)
    ids = peers.code_ids(len(split.train.items))
    recommender, peer = peers.pair(ids, huggingface.SIZES["tiger"], options.dropout)
    dataset = Windows(recommender, windows)
    rates: dict[str, list[float]] = {"Trainer": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(ROUNDS):
            rates["Trainer"].append(trainer_rate(peer, dataset, max(2, options.steps // 4), folder))
            rates["ours"].append(our_rate(recommender, windows, options.steps, round_))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print(", ".join(f"{name} {rate:.0f} samples/s" for name, rate in middle.items()))
    print(f"ratio {middle['ours'] / middle['Trainer']:.1f}x")


if __name__ == "__main__":
    main()
