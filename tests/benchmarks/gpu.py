"""What a GPU adds, in under ten minutes: decoding, training, arithmetic, k-means and memory, beside Transformers.

    python tests/benchmarks/gpu.py                      # one GPU; no data are needed
    python tests/benchmarks/gpu.py --device cpu --quick # shows on any machine that it runs; its figures mean nothing

Four codes an item, a T5 of TIGER's size with the same random weights on both sides, made-up histories as long as those
of Toys. Seconds are those of the clock, after the device has finished. What a GPU could reach is measured too: a large
product of matrices in each precision; use is a step's floating-point operations in its time, as a part of that.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace

import decoding
import numpy as np
import peers
import torch
import training
from transformers import Trainer, TrainingArguments

from bench import faiss_library
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.model.recommender import recommender_under, to_device
from bench.training import arithmetic
from bench.training.epoch import Planner
from bench.training.examples import sliding_windows

ITEMS = 12_000


@dataclass(frozen=True)
class Size:
    """How much of everything is done; ``seconds`` is for each row of a table."""

    shape: str
    users: int
    seconds: float
    steps: int  # of the Trainer
    product: int  # rows of the matrices of the product
    vectors: int


FULL = Size("tiger", 1024, 12.0, 60, 8192, 1_000_000)
QUICK = Size("mini", 8, 0.5, 2, 256, 20_000)


class Device:
    """One device, its clock and its memory."""

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        self.cuda = self.device.type == "cuda"

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        self.wait()
        begin = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begin

    @contextmanager
    def memory(self) -> Iterator[Callable[[], str]]:
        """A text with the most memory that tensors had since the block began."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        yield (
            lambda: f"{torch.cuda.max_memory_allocated(self.device) / 2**20:,.0f} MB" if self.cuda else "memory unknown"
        )

    def describe(self) -> str:
        if not self.cuda:
            return "cpu: shows only that this runs"
        of = torch.cuda.get_device_properties(self.device)
        return f"{of.name}, {of.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def peaks(device: Device, size: Size) -> dict[str, float]:
    """Floating-point operations a second of a large product of matrices, by precision."""
    found = {}
    for name, kind, tf32 in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        if name == "tf32" and not device.cuda:
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        left = torch.randn(size.product, size.product, device=device.device, dtype=kind)
        left @ left  # to warm up
        found[name] = 2 * size.product**3 / statistics.median(device.seconds(lambda m=left: m @ m) for _ in range(5))
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


# -- training ----------------------------------------------------------------------------------------------------------


def trained(device: Device, size: Size, peak: dict[str, float], ids, histories: Sequences) -> None:
    """Samples (targets) a second of each way to train, the part of the device's peak, and memory."""
    windows = sliding_windows(histories, 20)
    with device.memory() as memory:
        base = trainer(device, size, ids, windows)
    print(f"\ntraining, {size.shape}, batches of {training.BATCH}, samples a second", flush=True)
    print(f"  {'Trainer':32} {base:10,.0f}              {memory()}", flush=True)
    for name, lines in training.LINES.items():
        contract = replace(Contract(batch_size=training.BATCH), **lines)
        try:
            arithmetic.prepare(contract, device.device)
        except BenchError as error:
            print(f"  {name}: {error}")
            continue
        with device.memory() as memory:
            rate, operations = steps(device, size, contract, ids, windows)
        use = operations / peak[contract.precision]
        print(f"  {name:32} {rate:10,.0f} {rate / base:6.1f}x  use {use:.1%}  {memory()}", flush=True)


def steps(device: Device, size: Size, contract: Contract, ids, windows) -> tuple[float, float]:
    """Samples and floating-point operations a second."""
    ours, _ = peers.pair(ids, training.SIZES[size.shape], 0.1)
    recommender = recommender_under(contract, ids, ours.backbone).to(device.device).train()
    optimizer = torch.optim.AdamW(recommender.parameters(), lr=1e-3)
    plan = Planner(recommender, contract, 0).epoch(windows, [1.0], 0)
    samples = operations = 0
    begin = time.perf_counter()
    with arithmetic.computed(recommender.backbone, contract):
        for number, rows in enumerate(plan.batches):
            with torch.autocast(device.device.type, torch.bfloat16, enabled=contract.precision == "bf16"):
                loss = recommender(to_device(plan.batch(rows), device.device))
            (loss / plan.predictions(rows)).backward()
            torch.nn.utils.clip_grad_norm_(recommender.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if number < 2:  # to warm up, and to compile
                device.wait()
                begin = time.perf_counter()
                continue
            samples, operations = samples + plan.targets(rows), operations + (plan.work(rows).flops or 0)
            if time.perf_counter() - begin > size.seconds:
                break
    device.wait()
    seconds = time.perf_counter() - begin
    return samples / seconds, operations / seconds


def trainer(device: Device, size: Size, ids, windows) -> float:
    """Samples a second of Transformers' Trainer as it comes."""
    ours, peer = peers.pair(ids, training.SIZES[size.shape], 0.1)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=training.BATCH,
            max_steps=size.steps,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not device.cuda,
        )
        own = Trainer(
            model=peer.train(),
            args=arguments,
            train_dataset=training.Windows(ours, windows),
            data_collator=training.padded,
        )
        return size.steps * training.BATCH / device.seconds(own.train)


# -- decoding ----------------------------------------------------------------------------------------------------------


def decoded(device: Device, size: Size, ids, histories: Sequences) -> None:
    """Users a second, ours and Transformers' at the better of two batch sizes, and how many lists agree."""
    ours, peer = peers.pair(ids, training.SIZES[size.shape])
    ours, peer = ours.to(device.device), peer.to(device.device)
    trie, users = peers.dictionary_trie(ids), histories.rows(np.arange(size.users)).newest(20)
    few = users.rows(np.arange(min(64, size.users)))  # Transformers' would take too long for more
    print("\ndecoding, four codes, users a second", flush=True)
    for width in (20, 50):
        with device.memory() as memory:
            decoding.ours(ours, few, width, "vocabulary", 32)  # to warm up
            rate = size.users / device.seconds(lambda w=width: decoding.ours(ours, users, w, "vocabulary", 256))
            used = memory()
        with device.memory() as memory:
            best = max(
                len(few) / device.seconds(lambda w=width, b=batch: theirs(device, peer, ours, few, w, trie, b))
                for batch in (8, 32)
            )
            peer_used = memory()
        same = decoding.agreement(
            ours,
            few,
            decoding.ours(ours, few, width, "vocabulary", 32),
            theirs(device, peer, ours, few, width, trie, 32),
        )
        print(
            f"  beam {width}: {rate:,.0f}, generate {best:,.1f}: {rate / best:.1f}x  {used} and {peer_used}; {same}",
            flush=True,
        )


def theirs(device: Device, peer, recommender, histories: Sequences, width: int, trie: dict, size: int) -> list:
    found = []
    for start in range(0, len(histories), size):
        part = histories.rows(np.arange(start, min(start + size, len(histories))))
        source = recommender.writer.write(part)
        mask = None if source.mask is None else source.mask.to(device.device)
        moved = SimpleNamespace(tokens=source.tokens.to(device.device), mask=mask)
        sequences, scores = peers.generate(peer, recommender.ids, moved, width, trie)
        found.append((sequences.cpu(), scores.cpu()))
    return found


# -- k-means -----------------------------------------------------------------------------------------------------------


def clustered(size: Size) -> None:
    """Seconds of k-means as schemes have it, 256 centroids of 128 dimensions, on one core and on the GPU, and the mean
    squared distance of a vector to its centroid.
    """
    vectors = np.random.default_rng(0).standard_normal((size.vectors, 128)).astype(np.float32)
    build, rounds = faiss_library.build(), faiss_library.ITERATIONS
    print(f"\nk-means of {size.vectors:,} vectors, 256 centroids, {rounds} rounds; faiss {build}", flush=True)
    for device in ("cpu", *(["cuda"] if build.gpus else [])):
        begin = time.perf_counter()
        codes, centroids = faiss_library.kmeans(vectors, 256, 1, device)
        seconds, error = time.perf_counter() - begin, float(np.square(vectors - centroids[codes]).sum(1).mean())
        print(f"  on {device}: {seconds:.1f} s, mean squared distance {error:.6g}", flush=True)
    if not build.gpus:
        print("  faiss-gpu in the place of faiss-cpu would take a GPU: docs/pages/getting-started.md", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="hardly anything of everything")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch sees no GPU here; --device cpu --quick shows that the script runs")
        return
    device, size = Device(asked.device), QUICK if asked.quick else FULL
    print(f"{device.describe()}; torch {torch.__version__}")
    peak = peaks(device, size)
    print("products of matrices: " + ", ".join(f"{name} {each / 1e12:.1f} TFLOP/s" for name, each in peak.items()))
    ids, histories = peers.code_ids(ITEMS), training.made_up(ITEMS)
    decoded(device, size, ids, histories)
    clustered(size)
    trained(device, size, peak, ids, histories)  # the last row compiles, which may take minutes


if __name__ == "__main__":
    main()
