"""What a catalogue takes by its size: processor seconds and memory of fit, tree, training step, ranking, report.

    python tests/benchmarks/scale.py --items 12000,100000,1000000
    python tests/benchmarks/scale.py --items 10000000 --only trie,collisions,assign

Catalogues are those of ``bench data generate``. Every cell has a process of its own with one thread, so its peak is its
own: what it holds above what Python, torch and its input took before. One that is over ``--seconds`` of the processor
or ``--gigabytes`` is ended, and the cell says so. Seconds are those of the processor, which other work does not
lengthen much. What scores every item (slots, sets, exact) is told in nanoseconds for each item and user as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import psutil

CELLS: dict[str, Callable[[int, Path], Work]] = {}
WIDTH, CODES, LEVELS = 64, 256, 3
BATCH, USERS, HISTORY = 128, 32, 6
FIT = {
    "numeric/sequential": ("numeric_ids:Sequential", {}),
    "numeric/category": ("numeric_ids:Category", {}),
    "numeric/independent": ("numeric_ids:Independent", {}),
    "numeric/collaborative": ("numeric_ids:Collaborative", {}),
    "textual/title": ("textual_ids:Title", {}),
    "semantic/rqkmeans": ("semantic_ids:RqKmeans", {}),
    "semantic/pq": ("semantic_ids:Pq", {}),
    "semantic/rqkmeans-balanced": ("semantic_ids:RqKmeansBalanced", {}),
    "semantic/rqvae (1 epoch)": ("semantic_ids:RqVae", {"epochs": 1}),
    "set/rpg": ("semantic_ids:Rpg", {}),
    "set/semantic-only": ("set_ids:SemanticOnly", {}),
    "set/cf-only (1 epoch with 1024 negatives)": ("set_ids:CfOnly", {"epochs": 1, "sasrec_negatives": 1024}),
}


@dataclass(frozen=True)
class Work:
    """What is measured, after all that it needs is there. ``each``: seconds are for each of so many; of ``scored``
    items and users nanoseconds are told as well.
    """

    do: Callable[[], object]
    each: int = 1
    scored: int = 0


def cell(name: str) -> Callable[[Callable[[int, Path], Work]], Callable[[int, Path], Work]]:
    def kept(make: Callable[[int, Path], Work]) -> Callable[[int, Path], Work]:
        CELLS[name] = make
        return make

    return kept


def view(items: int, folder: Path):
    from bench.contract import Contract
    from bench.data import generating, sources, splitting

    if not (folder / f"made-{items}" / "dataset.json").exists():
        generating.store(generating.Shop(f"made-{items}", items, -(-items // generating.FIRST), 0), folder)
    found = sources.find(f"made-{items}", folder)
    return splitting.split(found, Contract(), 0).train


@cell("read the data set")
def read(items: int, folder: Path) -> Work:
    return Work(lambda: view(items, folder))


def fit(name: str) -> Callable[[int, Path], Work]:
    def work(items: int, folder: Path) -> Work:
        import importlib

        from bench.ids.text import TextSettings, embed

        where, settings = FIT[name]
        module, _, attribute = where.partition(":")
        cls, train = getattr(importlib.import_module(module), attribute), view(items, folder)
        scheme = cls(cls.Settings(**settings))
        if isinstance(scheme.settings, TextSettings):  # made once for all rows, and measured in its own
            train = replace(train, cache=folder / "cache")
            embed(train, scheme.settings)
        return Work(lambda: scheme.fit(train))

    return work


@cell("text vectors (tf-idf)")
def text_vectors(items: int, folder: Path) -> Work:
    from bench.ids.text import TextSettings, embed

    train = view(items, folder)
    return Work(lambda: embed(train, TextSettings()))


for name in FIT:
    CELLS[f"fit {name}"] = fit(name)


def random_codes(items: int):
    """As residual k-means would give them, if its codes were drawn evenly; with a counter."""
    from semantic_ids.collisions import occurrence

    codes = np.random.default_rng(0).integers(0, CODES, (items, LEVELS))
    return np.column_stack([codes, occurrence(codes)])


def code_ids(items: int):
    from semantic_ids.schemes import token_ids

    return token_ids([random_codes(items)], LEVELS, CODES)


@cell("trie of 4 codes")
def trie(items: int, folder: Path) -> Work:
    from bench.model.trie import Trie

    ids = code_ids(items)
    return Work(lambda: Trie.of(ids))


@cell("collisions (counter)")
def collisions(items: int, folder: Path) -> Work:
    from semantic_ids.collisions import resolve

    codes = np.random.default_rng(0).integers(0, CODES, (items, LEVELS))
    return Work(lambda: resolve(codes, CODES, lambda rows: np.empty((0, 0), np.float32), "counter"))


@cell("groups of identifiers")
def groups(items: int, folder: Path) -> Work:
    ids = code_ids(items)
    return Work(lambda: ids.groups)


@cell("residual k-means of 64-wide vectors (assign)")
def assign(items: int, folder: Path) -> Work:
    from semantic_ids.quantizers import residual_kmeans

    path = folder / f"vectors-{items}.npy"
    if not path.exists():
        found = np.lib.format.open_memmap(path, "w+", np.float32, (items, WIDTH))
        for start in range(0, items, 1 << 16):
            rows = min(1 << 16, items - start)
            found[start : start + rows] = np.random.default_rng(start).standard_normal((rows, WIDTH), np.float32)
        found.flush()
    vectors = np.load(path, mmap_mode="r") if items > 2_000_000 else np.load(path)
    return Work(lambda: residual_kmeans(vectors, LEVELS, CODES, 0))


def own_tokens(items: int):
    """A token for each item."""
    from bench.ids.identifiers import TokenIds
    from bench.vocabulary import Vocabulary

    tokens = np.arange(3, items + 3, dtype=np.int32)[None, :, None]
    return TokenIds(tokens, np.ones((1, items), np.int32), Vocabulary.private(map(str, range(items))))


def recommender(kind: str, items: int):
    from slots import slots
    from vector_set import vectors

    from bench.backbone import huggingface
    from bench.backbone.t5 import T5
    from bench.model.recommender import recommender_for

    if kind == "slots":
        return slots(items, "mini")
    if kind.startswith("sets"):
        return vectors(items, "mini", 4096 if "negatives" in kind else 0)
    own = kind.startswith("own tokens")
    ids, negatives = own_tokens(items) if own else code_ids(items), 1024 if "negatives" in kind else 0
    backbone = T5(huggingface.scratch_config("mini", ids.vocabulary.size, 0.0))
    return recommender_for(ids, backbone, objective="prefix" if own else "vocabulary", negatives=negatives)


def histories(items: int, users: int):
    from bench.data.dataset import Sequences

    return Sequences.from_rows(np.random.default_rng(1).integers(0, items, (users, HISTORY)))


def step(kind: str) -> Callable[[int, Path], Work]:
    def work(items: int, folder: Path) -> Work:
        import torch

        model = recommender(kind, items).train()
        optimizer = torch.optim.AdamW(model.parameters())
        read, targets = histories(items, BATCH), np.random.default_rng(2).integers(0, items, BATCH).astype(np.int32)

        def do() -> None:
            optimizer.zero_grad()
            (model(model.collate(read, targets)) / BATCH).backward()
            optimizer.step()

        return Work(do)

    return work


for kind in ("codes", "own tokens", "own tokens with 1024 negatives", "slots", "sets with 4096 negatives", "sets"):
    CELLS[f"training step of {BATCH}: {kind}"] = step(kind)


def rank(kind: str, decoder: str, users: int) -> Callable[[int, Path], Work]:
    def work(items: int, folder: Path) -> Work:
        from bench.model.recommender import Decoding
        from bench.training.ranking import users_of

        model, read, rounds = recommender(kind, items).eval(), histories(items, users), 3
        exact, decoding = decoder == "exact", Decoding(decoder)
        k = items if exact else 20
        parts = np.array_split(np.arange(users), -(-users // users_of(model, decoding, k)))

        def do() -> None:
            with model.fixed_weights():
                for _ in range(rounds):
                    for part in parts:
                        model.rank(read.rows(part), k, decoding)

        return Work(do, users * rounds, items if exact or kind != "codes" else 0)

    return work


CELLS["beam of 20 for each user"] = rank("codes", "beam", USERS)
CELLS["beam of 20 for each user: own tokens"] = rank("own tokens with 1024 negatives", "beam", 2 * USERS)
CELLS["certified for each user"] = rank("codes", "certified", USERS)
CELLS["exact for each user"] = rank("codes", "exact", 2)
CELLS["slots for each user"] = rank("slots", "beam", USERS)
CELLS["sets for each user"] = rank("sets", "beam", USERS)


@cell("figures of identifiers (report)")
def figures(items: int, folder: Path) -> Work:
    from bench.ids import diagnostics
    from bench.ids.forecast import forecast

    train, ids = view(items, folder), code_ids(items)
    tested = np.random.default_rng(0).integers(0, items, 10_000)
    return Work(lambda: (diagnostics.stats(ids, tested), forecast(ids, train.items, train.sequences)))


def measured(name: str, items: int, folder: Path, limits: tuple[int, int]) -> None:
    """In a process of its own: prints one JSON line."""
    resource.setrlimit(resource.RLIMIT_CPU, (limits[0] * 2, limits[0] * 2))
    resource.setrlimit(resource.RLIMIT_DATA, (limits[1] << 30, limits[1] << 30))
    import torch

    torch.set_num_threads(1)
    work = CELLS[name](items, folder)
    before, begin = psutil.Process().memory_info().rss, time.process_time()
    reset_peak()
    work.do()
    took = (time.process_time() - begin) / work.each
    print(json.dumps({"seconds": took, "mb": (peak() - before) / 1e6, "scored": work.scored}), flush=True)


def reset_peak() -> None:
    """The kernel's high-water mark of this process begins anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def told(name: str, items: int, folder: Path, limits: tuple[int, int]) -> str:
    words = [sys.executable, __file__, "--folder", str(folder), "--cell", name, "--items", str(items)]
    words += ["--seconds", str(limits[0]), "--gigabytes", str(limits[1])]
    child = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        found = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (child.stderr.strip().splitlines() or [""])[-1]
        memory = "memory" in last.lower() or "alloc" in last.lower()
        return f"over {limits[1]} GB" if memory else f"over {limits[0]} s" if child.returncode < 0 else f"? {last[:60]}"
    text = f"{found['seconds']:.3g} s, {max(found['mb'], 0):,.0f} MB"
    return text + (f", {found['seconds'] / found['scored'] * 1e9:.2f} ns" if found["scored"] else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="12000,100000,1000000")
    parser.add_argument("--only", default="", help="words, separated by commas, of which a row must hold one")
    parser.add_argument("--folder", type=Path, help="where catalogues are kept; by default a temporary one")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--gigabytes", type=int, default=10)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes, limits = [int(size) for size in options.items.split(",")], (options.seconds, options.gigabytes)
    if options.cell:
        measured(options.cell, sizes[0], options.folder, limits)
        return
    wanted = [word for word in options.only.split(",") if word] or [""]
    rows = [name for name in CELLS if any(word in name for word in wanted)]
    memory = psutil.virtual_memory().total / 2**30
    print(f"{date.today()}, {platform.processor() or platform.machine()}, one thread, {memory:.0f} GB\n")
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---|" + "---:|" * len(sizes), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name in rows:
            print(f"| {name} | " + " | ".join(told(name, size, folder, limits) for size in sizes) + " |", flush=True)


if __name__ == "__main__":
    main()
