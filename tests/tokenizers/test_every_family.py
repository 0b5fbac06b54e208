"""What every identifier scheme of ours promises, whatever it is made of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numeric_ids import (
    Category,
    CategoryIndependent,
    Collaborative,
    CollaborativeIndependent,
    CollaborativeSettings,
    Independent,
    P5Leak,
    Random,
    Sequential,
    SequentialSettings,
)
from semantic_ids import (
    Fsq,
    Letter,
    LetterNoCf,
    LetterNoDiversity,
    MtgRec,
    Pq,
    RqKmeans,
    RqKmeansBalanced,
    RqKmeansPlus,
    RqVae,
)
from textual_ids import IdGenRec, Settings, Title

from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.ids.identifiers import Template, TokenIds
from bench.ids.scheme import IdScheme
from bench.runs.subjects import settings as settings_of
from bench.vocabulary import Vocabulary

TREE = CollaborativeSettings(clusters=3, leaf=4)
CODES = {"codes": "16"}
NETWORK = {**CODES, "epochs": "3", "hidden": "16", "latent": "8"}
GRID = {**{name: NETWORK[name] for name in ("epochs", "hidden")}, "grid": "4,4"}
ALIGNED = {**NETWORK, "sasrec_epochs": "1"}
LEARNT = {"bootstrap_epochs": "2", "candidates": "4"}
SCHEMES: list[IdScheme] = [
    Random(),
    Sequential(),
    *(Sequential(SequentialSettings(order=o)) for o in ("random", "short-to-long", "long-to-short")),
    P5Leak(),  # on what all others get: given no more than that, it leaks nothing
    Collaborative(TREE),
    CollaborativeIndependent(TREE),
    Category(),
    CategoryIndependent(),
    Independent(),
    *(Title(Settings(order=o)) for o in ("salient", "frequent", "title")),
    RqKmeans(settings_of(RqKmeans, CODES)),
    Pq(settings_of(Pq, CODES)),
    RqVae(settings_of(RqVae, NETWORK)),
    MtgRec(settings_of(MtgRec, {**NETWORK, "variants": "2"})),
    RqKmeansBalanced(settings_of(RqKmeansBalanced, CODES)),
    RqKmeansPlus(settings_of(RqKmeansPlus, {**CODES, "epochs": "3", "hidden": "16"})),
    Fsq(settings_of(Fsq, GRID)),
    Letter(settings_of(Letter, {**ALIGNED, "clusters": "4"})),
    LetterNoCf(settings_of(LetterNoCf, {**NETWORK, "clusters": "4"})),
    LetterNoDiversity(settings_of(LetterNoDiversity, ALIGNED)),
    IdGenRec(settings_of(IdGenRec, LEARNT)),
]
NAMES = [
    *("random", "sequential", "sequential-random", "sequential-short", "sequential-long", "p5-leak"),
    *("collaborative", "collaborative+independent", "category", "category+independent", "independent"),
    *("title-salient", "title-frequent", "title-title"),
    *("rqkmeans", "pq", "rqvae", "mtgrec", "rqkmeans-balanced", "rqkmeans+", "fsq"),
    *("letter", "letter-no-cf", "letter-no-diversity", "idgenrec"),
]
PROBE = """
import numpy as np
from hashlib import sha256
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.runs.subjects import settings
from numeric_ids import *
from semantic_ids import Fsq, Letter, MtgRec, Pq, RqKmeans, RqKmeansBalanced, RqKmeansPlus, RqVae, Rpg
from set_ids import SetRec
from textual_ids import IdGenRec, Title
titles = tuple(f"thing {word} of {word[::-1]}" for word in ("ab", "cd", "ef", "gh", "ij", "kl", "ab"))
items = ItemTable(tuple("1234567"), {"title": titles, "category": tuple("ABBCAAA")})
train = TrainView("probe", items, Sequences.from_rows([[3, 1], [0, 3, 2], [4, 1]]), seed=7)
tree = CollaborativeSettings(clusters=2, leaf=2)
trees = [Collaborative(tree), CollaborativeIndependent(tree), Category(), CategoryIndependent(), Independent()]
numberings = [Sequential(SequentialSettings(order=order)) for order in ("original", "random", "short-to-long")]
network = {"codes": "2", "epochs": "3", "hidden": "16", "latent": "8"}
quantizers = [(RqKmeans, {}), (Pq, {}), (RqVae, network), (MtgRec, {**network, "variants": "2"})]
quantizers += [(RqKmeansBalanced, {"codes": "3"}), (RqKmeansPlus, {"codes": "2", "epochs": "3", "hidden": "16"})]
quantizers += [(Fsq, {"epochs": "3", "hidden": "16", "grid": "3,3"})]
quantizers += [(Letter, {**network, "codes": "3", "sasrec_epochs": "2", "clusters": "2"})]
quantizers += [(IdGenRec, {"bootstrap_epochs": "2", "candidates": "4"})]
codes = [scheme(settings(scheme, options)) for scheme, options in quantizers]
for scheme in [Random(), P5Leak(), Title(), *trees, *numberings, *codes]:
    ids = scheme.fit(train)
    print(sha256(ids.tokens.tobytes() + ids.vocabulary.fingerprint.encode()).hexdigest())
many = ItemTable(tuple(map(str, range(600))), {})  # too many for a dense matrix
rows = np.random.default_rng(0).integers(0, 600, (1500, 3))
ids = Collaborative(CollaborativeSettings(leaf=50)).fit(TrainView("many", many, Sequences.from_rows(rows), seed=7))
print(sha256(ids.tokens.tobytes()).hexdigest())
slots = {"slots": "2", "codes": "4", "dimensions": "4", "quantizer": "pq"}
print(sha256(Rpg(settings(Rpg, slots)).fit(train).codes.tobytes()).hexdigest())
tiny = {"epochs": "2", "width": "4", "hidden": "4", "dimensions": "4"}
print(sha256(b"".join(f.vectors.tobytes() for f in SetRec(settings(SetRec, tiny)).fit(train).features)).hexdigest())
"""


def views(dataset: Dataset, t5: Vocabulary | None) -> Iterator[TrainView]:
    train = leave_one_out(dataset, seed=3).train
    yield train
    if t5:
        yield replace(train, language=t5)


def permute_held_out(dataset: Dataset) -> Dataset:
    """The same training parts, with every validation and test item given to another user."""
    rows = [dataset.sequences[user].copy() for user in range(len(dataset.users))]
    held_out = [row[-2:].copy() for row in rows]
    for row, other in zip(rows, held_out[1:] + held_out[:1], strict=True):
        row[-2:] = other[::-1]
    return replace(dataset, sequences=Sequences.from_rows(rows))


def content(ids: TokenIds) -> str:
    return sha256(ids.tokens.tobytes() + ids.lengths.tobytes() + ids.vocabulary.fingerprint.encode()).hexdigest()


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_held_out_interactions_change_nothing(scheme: IdScheme, small: Dataset) -> None:
    other = permute_held_out(small)
    assert not np.array_equal(leave_one_out(other).test.items, leave_one_out(small).test.items)
    found = {content(scheme.fit(view)) for dataset in (small, other) for view in views(dataset, None)}
    assert len(found) == 1


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_every_item_has_tokens_of_its_own(scheme: IdScheme, small: Dataset, t5: Vocabulary) -> None:
    for train in views(small, t5):
        ids = scheme.fit(train)
        assert len(ids) == len(small.items)
        assert len({ids.code(item) for item in range(len(ids))}) == len(ids)
        assert ids.vocabulary.unk not in ids.tokens


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(scheme, id=name, marks=[pytest.mark.long] if name.startswith("letter") else [])  # a minute each
        for scheme, name in zip(SCHEMES, NAMES, strict=True)
    ],
)
def test_real_toys_are_named_apart_with_and_without_a_language_model(
    scheme: IdScheme, toys: Dataset, t5: Vocabulary
) -> None:
    if isinstance(scheme, IdGenRec):
        pytest.skip("names 11,924 items in minutes: tests/benchmarks/generation.py does")
    if isinstance(scheme, Collaborative):
        scheme = type(scheme)()  # leaves of four items take long here
    for train in views(toys, t5):
        ids = scheme.fit(train)
        assert ids.groups.max() + 1 == len(ids) == 11_924
        assert ids.vocabulary.unk not in ids.tokens


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_history_shows_where_its_items_end(scheme: IdScheme, small: Dataset) -> None:
    """By a separator that is in no identifier, or by last tokens that stand nowhere else."""
    ids = scheme.fit(next(views(small, None)))
    separators = ids.vocabulary.encode(ids.template.separator)
    codes = [ids.code(item) for item in range(len(ids))]
    assert ids.vocabulary.unk not in separators
    ends = set(separators) or {code[-1] for code in codes}
    inside = {token for code in codes for token in (code if separators else code[:-1])}
    assert not ends & inside


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_language_model_can_read_the_whole_template(scheme: IdScheme, small: Dataset, t5: Vocabulary) -> None:
    ids = scheme.fit(replace(next(views(small, None)), language=t5))
    if not ids.vocabulary.language_model:
        assert ids.template == Template()  # new tokens, with no words about them
        return
    for text in (ids.template.before, ids.template.separator, ids.template.after):
        assert t5.encode(text)
        assert t5.unk not in t5.encode(text)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_what_transfers_names_an_unseen_catalogue_in_its_own_vocabulary(
    scheme: IdScheme, small: Dataset, tmp_path: Path
) -> None:
    assert not scheme.supports_transfer or type(scheme).transfer is not IdScheme.transfer
    if not scheme.supports_transfer:
        assert scheme.no_transfer_reason[0].islower()
        assert scheme.no_transfer_reason[-1] != "."
        return
    ids = scheme.fit(leave_one_out(small).train)
    scheme.save_state(tmp_path)
    trained: Any = SimpleNamespace(ids=ids)
    titles = tuple(title.upper() for title in small.items.text["title"][::-1])
    items = replace(small.items, text={"title": (*titles, "Żubr 77")}, ids=(*small.items.ids, "new"))
    found = scheme.transfer(trained, TrainView("unseen", items, Sequences.from_rows([]), 0), tmp_path)
    assert isinstance(found, TokenIds)
    assert found.vocabulary is ids.vocabulary
    assert found.template == ids.template
    assert len(set(found.groups.tolist())) == len(found) == 13
    assert not (found.tokens == ids.vocabulary.unk).any()


def test_processes_with_other_hash_seeds_agree() -> None:
    paths = os.pathsep.join(filter(None, sys.path))
    found = set()
    for seed in ("0", "77"):
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed}
        found.add(subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, check=True).stdout)
    (output,) = found
    assert len(set(output.split())) == 23
