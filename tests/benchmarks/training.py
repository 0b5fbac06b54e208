"""How fast training is: every way to train that the contract has, beside Transformers' ``Trainer`` at its defaults.

    python tests/benchmarks/training.py --data-dir DATA --size tiger --seconds 40

Real Toys, four codes an item, histories of 20 items, batches of 256 targets, one thread. For each row the median over
rounds of samples (targets) per processor second, and its ratio to the Trainer; all rows take turns in one process. The
time to compile is not counted. With ``--items`` as many items as that are made up, and no data are needed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import peers
import torch
from transformers import Trainer, TrainingArguments

from bench.backbone import huggingface
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.model.recommender import recommender_under
from bench.training.arithmetic import computed
from bench.training.epoch import Planner
from bench.training.examples import sliding_windows

BATCH, ROUNDS = 256, 3
SIZES = {
    **huggingface.SIZES,
    "d128": {"d_model": 128, "d_kv": 32, "d_ff": 512, "heads": 4, "layers": 2, "decoder_layers": 2},
}
LINES = {
    "windows fp32": {},
    "windows bf16": {"precision": "bf16"},
    "shared fp32": {"training": "shared"},
    "shared bf16": {"training": "shared", "precision": "bf16"},
    "shared bf16, encoder over items": {"training": "shared", "precision": "bf16", "history": "items"},
    "shared bf16, compiled": {"training": "shared", "precision": "bf16", "compile": True},
}


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
    begin = time.process_time()
    trainer.train()
    return steps * BATCH / (time.process_time() - begin)


def steps_of(recommender, windows, contract: Contract) -> Callable[[float, int], float]:
    """``rate(seconds, round)``: samples per processor second over as many steps as fit into so many seconds."""
    recommender.train()
    optimizer = torch.optim.AdamW(recommender.parameters(), lr=1e-3)

    def rate(seconds: float, number: int) -> float:
        plan = Planner(recommender, contract, 0).epoch(windows, [1.0], number)
        samples, begin = 0, time.process_time()
        with computed(recommender.backbone, contract):
            for rows in plan.batches:
                with torch.autocast("cpu", torch.bfloat16, enabled=contract.precision == "bf16"):
                    loss = recommender(plan.batch(rows))
                (loss / plan.predictions(rows)).backward()
                torch.nn.utils.clip_grad_norm_(recommender.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                samples += plan.targets(rows)
                if time.process_time() - begin > seconds:
                    break
        return samples / (time.process_time() - begin)

    return rate


def made_up(items: int) -> Sequences:
    """Histories as long as those of Toys are."""
    random = np.random.default_rng(0)
    lengths = np.minimum(3 + random.geometric(0.2, 4000), 60)
    return Sequences.from_rows([random.integers(0, items, length).tolist() for length in lengths])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where Toys is; default $BENCH_DATA_DIR")
    parser.add_argument("--items", type=int, default=0, help="make up histories of so many items")
    parser.add_argument("--size", choices=SIZES, default="tiger")
    parser.add_argument("--rows", default=";".join(LINES), help="as the table names them, separated by semicolons")
    parser.add_argument("--seconds", type=float, default=40, help="of a row in each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sequences = made_up(options.items) if options.items else peers.toys(options.data_dir).train.sequences
    windows = sliding_windows(sequences, 20)
    ids = peers.code_ids(int(sequences.values.max()) + 1)
    recommender, peer = peers.pair(ids, SIZES[options.size], options.dropout)
    rates: dict[str, list[float]] = {"Trainer": []}
    ours = {}
    for name in [name for name in LINES if name in options.rows.split(";")]:
        contract = replace(Contract(batch_size=BATCH), **LINES[name])
        copy, _ = peers.pair(ids, SIZES[options.size], options.dropout)
        ours[name] = steps_of(recommender_under(contract, ids, copy.backbone), windows, contract)
        ours[name](1.0, 0)  # to compile and to warm up
    with tempfile.TemporaryDirectory() as folder:
        dataset = Windows(recommender, windows)
        for number in range(1, options.rounds + 1):
            steps = max(2, round(options.seconds / 10))
            rates["Trainer"].append(trainer_rate(peer, dataset, steps, folder))
            for name, rate in ours.items():
                rates.setdefault(name, []).append(rate(options.seconds, number))
    base = statistics.median(rates["Trainer"])
    print(f"{options.size}, samples per processor second, median of {options.rounds} rounds")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(f"{name:34} {middle:8.0f} {middle / base:6.1f}x  ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
