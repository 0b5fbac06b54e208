"""What may not be seen has no effect: held-out items are moved from user to user, and every artifact stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contract import Contract
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.data.splits import leave_one_out
from bench.ids.identifiers import TokenIds
from bench.runs.request import Request
from bench.runs.subjects import SCHEMES, load_scheme, names

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]

IN_TREE = ("numeric_ids", "textual_ids")
CLASSES = {load_scheme(name) for name, entry in names(SCHEMES).items() if entry.module in IN_TREE}
ALL = sorted(
    ["set/rpg", "set/setrec", *(cls.name for cls in CLASSES if not cls.leaks)]
)  # whose controls are parts of it
LEAKING = sorted(cls.name for cls in CLASSES if cls.leaks)
SMALL_TREE = ["--set=numeric.clusters=3", "--set=numeric.leaf=5"]  # 30 items would be one leaf
SMALL_SLOTS = [f"--set=set.{line}" for line in ("slots=3", "codes=6", "dimensions=6", "quantizer=pq")]
SMALL_NETS = [f"--set=set.{line}" for line in ("epochs=2", "width=8", "hidden=8", "dimensions=8")]
USERS = "textual/idgenrec with users"
NAMING = ("generator={tiny}", "bootstrap_epochs=40", "candidates=3", "lengths=1")
RATES = ("generator_share=0.25", "generator_rate=30", "recommender_rate=20")  # so high that training changes names
# Validated after each of its two epochs, a recommender would be another for other data, if it were chosen by that.
LEARNT = [*(f"--set=textual.{line}" for line in (*NAMING, *RATES)), "--set=validate_every=1"]
OWN = {
    **{f"textual/idgenrec{control}": LEARNT for control in ("", "-gen-only", "-rec-only", "-user-leak")},
    USERS: [*LEARNT, "--set=textual.users=on"],
    "numeric/collaborative": SMALL_TREE,
    "numeric/collaborative+independent": SMALL_TREE,
    "set/rpg": SMALL_SLOTS,
    "set/setrec": SMALL_NETS,
}

# Of vectors of the text; that their identifiers know nothing of what is held out is shown where they are made.
CODES = {"codes": 16}
NETWORK = {**CODES, "epochs": 2, "hidden": 8, "latent": 8}
GRID = {"epochs": 2, "hidden": 8, "grid": "4,4"}
OF_VECTORS: dict[str, dict[str, object]] = {
    **{f"semantic/{name}": CODES for name in ("pq", "rqkmeans", "rqkmeans-balanced")},
    **{f"semantic/{name}": {**NETWORK, "variants": 2} for name in ("mtgrec", "mtgrec-single", "mtgrec-uniform")},
    "semantic/rqvae": NETWORK,
    "semantic/rqkmeans+": {**CODES, "epochs": 2, "hidden": 8},
    "semantic/fsq": GRID,
    "semantic/letter": {**NETWORK, "sasrec_epochs": 1, "clusters": 4},
    "semantic/letter-no-cf": {**NETWORK, "clusters": 4},
    "semantic/letter-no-diversity": {**NETWORK, "sasrec_epochs": 1},
}
OWN |= {name: [f"--set=semantic.{key}={value}" for key, value in own.items()] for name, own in OF_VECTORS.items()}
OWN |= {"set/cf-only": SMALL_NETS[:2], "set/semantic-only": SMALL_NETS[2:]}
OTHERS = [*sorted(OF_VECTORS), "set/cf-only", "set/semantic-only"]
TOO_LARGE = ["semantic/opq"]  # for 30 items; it differs from semantic/pq in its vectors alone

CONTROLS = (
    "textual/idgenrec-gen-only",
    "textual/idgenrec-rec-only",
    "semantic/mtgrec-single",
    "semantic/mtgrec-uniform",
)
RENAMED = ("textual/idgenrec", "textual/idgenrec-gen-only", USERS)  # by what training came to


def moved(data: Dataset, *backs: int) -> Dataset:
    """The data with the ``back``-th newest items permuted across users; no user keeps its own."""
    values = data.sequences.values.copy()
    for back in backs:
        places = data.sequences.offsets[1:] - back
        values[places] = np.roll(values[places], 7 * back)
        assert (values[places] != data.sequences.values[places]).mean() > 0.9
    return replace(data, sequences=Sequences(values, data.sequences.offsets))


@pytest.fixture(scope="module")
def trained(
    toy: Dataset,
    quick: list[str],
    tiny: Path,
    bench: Bench,
    run_folders: RunFolders,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """``trained("numeric/random", 1, 2)``: the run of a scheme on data with newest and second newest items moved."""
    made: dict[object, Path] = {}

    def train(scheme: str, *backs: int) -> Path:
        if (scheme, backs) not in made:
            root = tmp_path_factory.mktemp("leak")
            write_atomic(moved(toy, *backs), root / "data" / "toy")
            words = ["--dataset", root / "data" / "toy", "--results", root / "results"]
            own = [line.format(tiny=tiny) for line in OWN.get(scheme, [])]
            assert bench("run", "--id-scheme", scheme.split()[0], *quick, *words, *own).code == 0
            made[scheme, backs] = run_folders(root / "results")[0]
        return made[scheme, backs]

    return train


def cached(run_folder: Path) -> dict[str, bytes]:
    folder = run_folder.parents[4] / "cache" / "ids"
    return {path.name: without_notes(path) for path in folder.iterdir()}


def without_notes(path: Path) -> bytes:
    """The arrays of a cached identifier file, and all that is said about them but how long they took."""
    from bench.ids import storage

    ids, _ = storage.load(path)
    arrays, facts = storage.parts(ids)
    described = repr((ids.vocabulary.fingerprint, ids.template, facts)).encode()
    return b"".join(array.tobytes() for array in arrays.values()) + described


def targets(run_folder: Path) -> list[str]:
    found: list[str] = pd.read_parquet(run_folder / "per_user.parquet")["target"].tolist()
    return found


def test_the_schemes_are_all_that_are_here() -> None:
    trees = ["category", "category+independent", "collaborative", "collaborative+independent", "independent"]
    texts = ["idgenrec", "idgenrec-gen-only", "idgenrec-rec-only", "title"]
    numbers, words = [f"numeric/{n}" for n in [*trees, "random", "sequential"]], [f"textual/{n}" for n in texts]
    assert [*numbers, "set/rpg", "set/setrec", *words] == ALL
    assert {load_scheme(name).name for name in names(SCHEMES)} == {*ALL, *LEAKING, *OTHERS, *TOO_LARGE}
    assert LEAKING == ["numeric/p5-leak", "textual/idgenrec-user-leak"]


def test_what_needs_more_items_knows_nothing_of_what_is_held_out() -> None:
    random = np.random.default_rng(8)
    titles = tuple(" ".join(f"word{word}" for word in random.integers(0, 90, 6)) for _ in range(300))
    items = ItemTable(tuple(f"i{item:03d}" for item in range(300)), {"title": titles})
    sequences = Sequences.from_rows(random.integers(0, 300, (80, 8)))
    data = Dataset("large", tuple(f"u{user}" for user in range(80)), items, sequences, np.tile(np.arange(8.0), 80))
    for name in TOO_LARGE:
        honest, shuffled = (leave_one_out(one) for one in (data, moved(data, 1, 2)))
        assert not np.array_equal(honest.test.items, shuffled.test.items)
        first, second = (load_scheme(name)().fit(split.train) for split in (honest, shuffled))
        assert isinstance(first, TokenIds)
        assert isinstance(second, TokenIds)
        assert np.array_equal(first.tokens, second.tokens)


def some_long(scheme: str) -> Any:
    """Controls of IDGenRec and of MTGRec are fitted and trained by the same code as these."""
    return pytest.param(scheme, marks=pytest.mark.long) if scheme in CONTROLS else scheme


@pytest.mark.parametrize("scheme", [some_long(scheme) for scheme in (*ALL, USERS)])
def test_identifiers_know_nothing_of_what_is_held_out(trained: Callable[..., Path], scheme: str) -> None:
    honest, shuffled = trained(scheme), trained(scheme, 1, 2)
    assert targets(honest) != targets(shuffled)
    assert ("before" in pd.read_parquet(honest / "ids.parquet")) == (scheme in RENAMED)
    for name in ("ids.safetensors", "ids.parquet", "tokenizer.json"):
        assert (honest / name).read_bytes() == (shuffled / name).read_bytes()
    assert cached(honest) == cached(shuffled)
    assert len(cached(honest)) == 1


@pytest.mark.parametrize("scheme", [some_long(scheme) for scheme in (*ALL, USERS, *OTHERS)])
def test_a_model_knows_nothing_of_what_is_tested(trained: Callable[..., Path], scheme: str) -> None:
    honest, shuffled = trained(scheme), trained(scheme, 1)
    assert targets(honest) != targets(shuffled)
    for name in ("model.safetensors", "ids.safetensors", "ids.parquet", "tokenizer.json", "config.json", "log.jsonl"):
        assert (honest / name).read_bytes() == (shuffled / name).read_bytes()


def test_a_leak_would_be_seen(trained: Callable[..., Path]) -> None:
    """A scheme that reads what it is given does follow the training part."""
    honest, other = trained("numeric/sequential"), trained("numeric/sequential", 3)
    assert (honest / "ids.parquet").read_bytes() != (other / "ids.parquet").read_bytes()
    assert (honest / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()


@pytest.mark.parametrize("scheme", LEAKING)
def test_what_declares_a_leak_has_one_and_is_marked(trained: Callable[..., Path], scheme: str) -> None:
    honest, shuffled = trained(scheme), trained(scheme, 1)  # test items alone are moved
    assert (honest / "ids.safetensors").read_bytes() != (shuffled / "ids.safetensors").read_bytes()
    assert cached(honest) != cached(shuffled)
    assert json.loads((honest / "result.json").read_text())["scheme"]["leaks"] is True
    assert json.loads((trained("numeric/sequential") / "result.json").read_text())["scheme"]["leaks"] is False


def test_a_leak_stays_in_the_identifiers(toy: Dataset) -> None:
    """What leaks is fitted on more, but trained and evaluated like any other."""
    split = leave_one_out(toy)
    leak, honest = (
        Request(load_scheme(name)(), toy, Contract(), 0, None, Path("results")).view(split.train)
        for name in ("numeric/p5-leak", "numeric/sequential")
    )
    assert honest.fingerprint == split.train.fingerprint
    assert np.shares_memory(honest.sequences.values, split.train.sequences.values)
    assert len(leak.sequences.values) == len(split.train.sequences.values) + 2 * len(toy.users)
    assert leak.fingerprint != honest.fingerprint
    assert leak.random().random() == honest.random().random()
