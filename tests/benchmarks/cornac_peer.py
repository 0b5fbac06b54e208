"""cornac's TIGER and LETTER beside ours: the same split, text vectors, sizes and target examples, ranked by item.

    python tests/benchmarks/cornac_peer.py [--dataset toys --data-dir DATA] [--epochs 8] [--out FOLDER]
    python tests/benchmarks/cornac_peer.py --users 200 --epochs 1 --backbone mini     # whether it runs, in minutes

It needs ``pip install cornac`` (3.0.1 was read; Apache-2.0). The rows, each in a process of its own on one thread:

    bench             ``--id-scheme`` under the preset ``cpu``, whose loss is over what the tree of identifiers allows
    bench-vocabulary  the same with the loss over all tokens, as theirs is
    tiger             cornac's TIGER with its own codes (residual k-means) of the same vectors
    tiger-codes       the same on our codes, to which it adds the counter that we add
    letter-codes      cornac's LETTER on our identifiers: its generator; its tokenizer is not asked

and two that run only where ``--rows`` names them:

    tiger-shuffled    tiger-codes with batches drawn from all examples
    letter            letter-codes with its own codes of the same text and SASRec vectors; with --id-scheme
                      semantic/letter, and k-means-constrained; its k-means alone takes long

How they differ from ours, in what moves scores; what can be set alike is, the rest stays theirs.

- Split. Leave-last-out as ours, but items without a training interaction are dropped from its test sessions unless it
  is told otherwise: a user whose last item is such a one is tested on the item before. Here both have all targets.
- History: the newest 20 items, no user token. TIGER pads every history on the left to 20 items and ends it with
  nothing; LETTER pads a batch on the right and writes the end token, as we do.
- Codes. TIGER: residual k-means without training, or an RQ-VAE whose codes follow gradients, begin as k-means and are
  restarted where an epoch has not used them; either with a counter. LETTER: four levels, its last one spread by
  Sinkhorn already in training, its codebooks grouped by constrained k-means in each epoch; what still collides stays
  so. Ours: ``semantic/rqvae`` follows moving averages and restarts codes on request alone (``reset_after``);
  ``semantic/letter`` spreads nothing in training and groups every tenth epoch, into groups of one size.
- Model. TIGER has an output layer for each level that shares nothing with the embeddings, and probabilities over the
  level. LETTER is Transformers' T5, tied, over 32,100 words that never occur and the codes; here without the words. It
  learns the end token as well.
- Training. All prefixes, AdamW. TIGER shuffles users and not examples, so a batch holds whole histories of few users;
  it clips no gradient and decays norms and biases too. LETTER shuffles examples. Ours puts examples of one length into
  a batch. Schedules: constant or cosine, here our cosine with our warmup.
- Selection (``--selection best``). TIGER by NDCG@10 of a beam search for one user after another, LETTER by the loss,
  ours by NDCG@10 in batches. ``last`` takes the last step of all three.
- Ranking. Beam search over valid identifiers, one user at a time, each step computed anew; seen items are ranked, as
  here. Items outside of the beam tie, items of one code too: its list has them as its sort leaves them, we count ties
  against the target. Both readings are told.

The table has NDCG@10 on test users (strict), what its own list says, the difference to ``bench`` with a 95 % interval
(paired bootstrap over users), processor seconds of identifiers, training and ranking, and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cornac_side
import numpy as np
import torch
from accelerate import Accelerator
from scipy.stats import bootstrap
from semantic_ids.schemes import SPECIAL

from bench import backbone
from bench.backbone import huggingface
from bench.contract import PRESETS, Contract
from bench.data import sources, splitting
from bench.data.dataset import Dataset
from bench.data.splits import Split, Targets
from bench.evaluation.metrics import per_user
from bench.ids import sasrec
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.ids.text import TextSettings, embed
from bench.model.recommender import decoding_of, recommender_under
from bench.runs.subjects import load_scheme, settings
from bench.training.cost import MemoryMeter, Stopwatch
from bench.training.loop import Job, train
from bench.training.ranking import evaluate

METRIC = "ndcg@10"
OWN = {"bench": "prefix", "bench-vocabulary": "vocabulary"}  # where the probabilities of the loss sum to one
ROWS = (*OWN, *cornac_side.ROWS)
HERE = Path(__file__).resolve().parent
VECTORS, COLLABORATIVE = "vectors.npy", "collaborative.npy"  # of the text of items, and of who chose them
LETTER, LATENT = "semantic/letter", 32


def contract_of(asked: dict[str, Any], objective: str = "prefix") -> Contract:
    """The preset ``cpu`` with what was asked for, selecting after every epoch and never ending early."""
    base = replace(PRESETS["cpu"].contract, target_examples=0, epochs=asked["epochs"], patience=asked["epochs"])
    lines = {name: asked[name] for name in ("backbone", "dropout", "learning_rate", "batch_size")}
    return replace(base, objective=objective, normalize=objective, **lines)


def first_users(dataset: Dataset, count: int) -> Dataset:
    """Some users of a data set, with the whole catalogue; all for 0."""
    if not 0 < count < len(dataset.users):
        return dataset
    rows = dataset.sequences.rows(np.arange(count))
    return replace(
        dataset, users=dataset.users[:count], sequences=rows, times=dataset.times[: rows.offsets[-1]], file_rows=None
    )


def split_of(asked: dict[str, Any], contract: Contract) -> Split:
    found = sources.find(asked["dataset"], None if asked["data_dir"] is None else Path(asked["data_dir"]))
    dataset, contract = splitting.ordered(found, contract)
    return splitting.split(first_users(dataset, asked["users"]), contract, asked["seed"])


def selecting(split: Split, contract: Contract, seed: int) -> Targets:
    return split.validation.parted(contract.validation_users, seed)[0]


def identifiers(split: Split, asked: dict[str, Any], folder: Path) -> tuple[TokenIds, int]:
    """The scheme's, from the vectors that both sides have; and how many levels they have before a counter."""
    scheme = load_scheme(asked["id_scheme"])
    given = {"encoder": str(folder / VECTORS), "dimensions": "0", "codes": str(asked["codes"])}
    if asked["id_scheme"] == LETTER:
        given |= {"vectors": str(folder / COLLABORATIVE), "levels": "4", "collisions": "sinkhorn"}
    plan = settings(scheme, given)
    return scheme(plan).fit(split.train), plan.levels


def codes_of(ids: TokenIds) -> np.ndarray:
    """``[items, levels]``, each level counted from 0."""
    return (ids.tokens[0] - SPECIAL - np.cumsum([0, *ids.codebooks[:-1]])).astype(np.int64)


def item_vectors(split: Split, asked: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Of the text, and where LETTER makes codes those of a small SASRec of ours: ``[items, width]``, kept too."""
    found = {"vectors": embed(split.train, TextSettings())}
    if asked["id_scheme"] == LETTER:
        plan = sasrec.Training(LATENT, contract_of(asked).max_history)
        found["collaborative"] = sasrec.item_vectors(split.train, plan)
    for name, rows in found.items():
        np.save(folder / f"{name}.npy", rows)
        (folder / f"{name}.ids.json").write_text(json.dumps(split.train.items.ids))
    return found


def prepare(folder: Path, asked: dict[str, Any]) -> None:
    """Write the arrays and the settings that both sides read."""
    contract = contract_of(asked)
    split = split_of(asked, contract)
    vectors = item_vectors(split, asked, folder)
    ids, levels = identifiers(split, asked, folder)
    codes, users = codes_of(ids), selecting(split, contract, asked["seed"])
    parts = {"train": split.train.sequences, "validation": users.histories, "test": split.test.histories}
    ragged = {f"{name}_values": part.values for name, part in parts.items()}
    ragged |= {f"{name}_offsets": part.offsets for name, part in parts.items()}
    np.savez(
        folder / "given.npz",
        **ragged,
        **vectors,
        codes=codes,
        validation_users=users.users,
        validation_items=users.items,
        test_items=split.test.items,
    )
    examples = int((split.train.sequences.lengths - 1).clip(min=0).sum())
    steps = contract.epochs * -(-examples // contract.batch_size)
    shape = huggingface.SIZES[contract.backbone]
    lines = {name: getattr(contract, name) for name in ("dropout", "weight_decay", "batch_size", "warmup", "clip_norm")}
    told = {"levels": levels, "codes": asked["codes"], "steps": steps, "base_vocabulary": SPECIAL}
    told |= {"latent": LATENT, "own_epochs": asked["own_epochs"]}
    told |= {"tokenizer": "rqvae" if asked["id_scheme"].startswith("semantic/rqvae") else "rkmeans"}
    told |= {"n_epochs": contract.epochs, "max_len": contract.max_history, "schedule": contract.schedule}
    told |= {"learning_rate": asked["peer_learning_rate"] or contract.learning_rate, "seed": asked["seed"]}
    told |= {"beam_width": contract.beam_width, "selection": asked["selection"]}
    told |= {"examples": examples * contract.epochs, "users": len(split.test), "items": len(codes)}
    (folder / "job.json").write_text(json.dumps({"asked": asked, **shape, **lines, **told}, indent=1))


def side(folder: Path, row: str) -> None:
    """Our side, in a process of its own: identifiers, training, ranks of test users."""
    torch.set_num_threads(1)
    asked = json.loads((folder / "job.json").read_text())["asked"]
    contract, accelerator = contract_of(asked, OWN[row]), Accelerator(cpu=True)
    split = split_of(asked, contract)
    users = selecting(split, contract, asked["seed"])
    decoding = decoding_of(contract)
    with MemoryMeter() as memory:
        before, watch = memory.peak_mb, Stopwatch()
        ids, _ = identifiers(split, asked, folder)
        _, id_seconds = watch.lap()
        torch.manual_seed(asked["seed"])
        model = backbone.scratch(contract.backbone, ids.vocabulary.size, contract.dropout)
        recommender = recommender_under(contract, ids, model)

        def validate() -> float:
            ranks, _ = evaluate(recommender, users, decoding, contract.beam_width, accelerator)
            return float(ranks.per_user(METRIC).mean())

        stage, path = Stage(ids, use_validation=asked["selection"] == "best"), folder / f"{row}.safetensors"
        path.unlink(missing_ok=True)  # of a row that was interrupted: its seconds would be lost
        job = Job(recommender, split.train.sequences, contract, asked["seed"], stage, validate, users, path)
        state = train(job)
        _, training = watch.lap()
        ranks, _ = evaluate(recommender, split.test, decoding, contract.beam_width, accelerator)
        _, inference = watch.lap()
    np.savez(folder / f"{row}.npz", strict=ranks.strict, own=ranks.strict, codes=codes_of(ids))
    told = {
        "parameters": sum(p.numel() for p in recommender.parameters()),
        "steps": state.step,
        "id_seconds": id_seconds,
        "training_seconds": training,
        "inference_seconds": inference,
        "memory_before_mb": before,
        "peak_memory_mb": memory.peak_mb,
    }
    (folder / f"{row}.json").write_text(json.dumps(told))


def run(folder: Path, row: str) -> None:
    """One row in a process of its own, on one thread."""
    module = "cornac_peer" if row in OWN else "cornac_side"
    call = f"import sys, pathlib, {module}; {module}.side(pathlib.Path(sys.argv[1]), sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", call, str(folder), row], env=environment, check=True)


def summary(folder: Path, row: str, levels: int, reference: np.ndarray | None) -> dict[str, Any]:
    """What a row has cost and reached, and how far that is from the ``reference`` on the same users."""
    found = dict(np.load(folder / f"{row}.npz"))
    gains, codes = per_user(found["strict"], METRIC), found["codes"][:, :levels]
    told = {"row": row, "ndcg": float(gains.mean()), "ndcg_own_list": float(per_user(found["own"], METRIC).mean())}
    told["sharing"] = 1 - len(np.unique(codes, axis=0)) / len(codes)
    told["codes_used"] = [len(np.unique(level)) for level in codes.T]
    told |= json.loads((folder / f"{row}.json").read_text())
    if reference is not None:
        told["difference"], told["interval"] = float((gains - reference).mean()), interval(gains - reference)
    return told


def interval(difference: np.ndarray) -> list[float]:
    """The 95 % bootstrap interval of a mean over users."""
    found = bootstrap((difference,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=0)
    return [float(found.confidence_interval.low), float(found.confidence_interval.high)]


def line(told: dict[str, Any]) -> str:
    scores = f"{told['ndcg']:.4f} {told['ndcg_own_list']:.4f}"
    if "interval" in told:
        low, high = told["interval"]
        scores += f" {told['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
    else:
        scores += " " * 27
    costs = " ".join(f"{told[f'{name}_seconds']:8,.0f}" for name in ("id", "training", "inference"))
    return f"{told['row']:17}{scores}{costs} {told['memory_before_mb']:6,.0f} {told['peak_memory_mb']:6,.0f}"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--data-dir", help="where the data set is; default $BENCH_DATA_DIR; ml-100k comes with RecBole")
    parser.add_argument("--id-scheme", default="semantic/rqkmeans", help="of codes, all of one length")
    parser.add_argument("--codes", type=int, default=256, help="of each codebook, on both sides")
    parser.add_argument("--own-epochs", type=int, default=60, help="of cornac's own RQ-VAE, where a row trains one")
    parser.add_argument("--rows", default=",".join(ROWS[:5]), help="which of the rows, with commas between them")
    parser.add_argument("--users", type=int, default=0, help="the first so many; 0: all")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--selection", choices=("last", "best"), default="last", help="step whose weights are ranked")
    parser.add_argument("--backbone", choices=tuple(huggingface.SIZES), default="mini")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--peer-learning-rate", type=float, help="of cornac's rows, where it is another one")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for table.json and the rows; kept rows are not run again")
    return parser.parse_args()


def compared(folder: Path, asked: dict[str, Any]) -> None:
    """Run what the folder lacks, print the table, and write it as ``table.json``."""
    if not (folder / "job.json").is_file():
        prepare(folder, asked)
    job = json.loads((folder / "job.json").read_text())
    if {**job["asked"], "rows": ""} != {**asked, "rows": ""}:
        raise SystemExit(f"{folder} holds rows of other options: {job['asked']}")
    print(f"{asked['dataset']}: {job['users']:,} users, {job['items']:,} items, {job['examples']:,} target examples")
    print(f"{'':17}NDCG@10 own list difference [95 %]     ID s  train s   rank s MB before, peak")
    table: list[dict[str, Any]] = []
    reference = None
    for row in asked["rows"].split(","):
        if not (folder / f"{row}.json").is_file():
            run(folder, row)
        table.append(summary(folder, row, job["levels"], reference))
        if reference is None and row == ROWS[0]:
            reference = per_user(np.load(folder / f"{row}.npz")["strict"], METRIC)
        print(line(table[-1]), flush=True)
        (folder / "table.json").write_text(json.dumps({**job, "rows": table}, indent=1) + "\n")


def main() -> None:
    found = options()
    if not cornac_side.installed():
        print("nothing to compare with: cornac is not installed (pip install cornac)")
        return
    asked = {name: value for name, value in vars(found).items() if name != "out"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = found.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        compared(folder, asked)


if __name__ == "__main__":
    main()
