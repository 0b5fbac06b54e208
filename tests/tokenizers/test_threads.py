"""Identifiers are the same bits however many threads there are; OPQ's rotation, for one, would not be by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bench.runs.subjects import SCHEMES, load_scheme, names

CODES = {"codes": "16"}
NETWORK = {**CODES, "epochs": "2", "hidden": "64", "latent": "32"}
SMALL = {
    **{f"semantic/{name}": CODES for name in ("opq", "pq", "rqkmeans", "rqkmeans-balanced")},
    **{f"semantic/{name}": {**NETWORK, "variants": "2"} for name in ("mtgrec", "mtgrec-single", "mtgrec-uniform")},
    "semantic/rqvae": NETWORK,
    "semantic/rqkmeans+": {**CODES, "epochs": "2", "hidden": "64"},
    "semantic/fsq": {"epochs": "2", "hidden": "64", "grid": "8,8"},
    "semantic/letter": {**NETWORK, "sasrec_epochs": "1", "clusters": "4"},
    "semantic/letter-no-cf": {**NETWORK, "clusters": "4"},
    "semantic/letter-no-diversity": {**NETWORK, "sasrec_epochs": "1"},
    "set/rpg": {"slots": "4", "codes": "16"},
    "set/setrec": {"epochs": "1"},
    "set/cf-only": {"epochs": "1"},
    **{f"textual/idgenrec{end}": {"bootstrap_epochs": "1"} for end in ("", "-gen-only", "-rec-only", "-user-leak")},
}
FITS = """
import json, sys, tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
import numpy as np
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids import storage
from bench.runs.fitting import fitted
from bench.runs.progress import Display
from bench.runs.subjects import load_scheme, settings
random = np.random.default_rng(0)
words = [f"{a}{b}{c}" for a in "bdfg" for b in "aeio" for c in "klmn"]
titles = tuple(" ".join(random.choice(words, 4)) for _ in range(280))
categories = tuple(title.split()[0] for title in titles)
items = ItemTable(tuple(map(str, range(280))), {"title": titles, "category": categories})
train = TrainView("threads", items, Sequences.from_rows(random.integers(0, 280, (300, 8))), seed=3)
for name, options in json.loads(sys.argv[1]).items():
    cls = load_scheme(name)
    with tempfile.TemporaryDirectory() as folder:
        ids = fitted(cls(settings(cls, options)), train, Path(folder), name, Display(loud=False))[0]
    arrays, facts = storage.parts(ids)
    content = b"".join(arrays[each].tobytes() for each in sorted(arrays))
    print(name, sha256(content + ids.vocabulary.fingerprint.encode()).hexdigest(), flush=True)
"""
ALL = {load_scheme(name).name: SMALL.get(load_scheme(name).name, {}) for name in names(SCHEMES)}
SLOW = [name for name in ALL if name.startswith("textual/idgenrec")]  # which differ in how they train, not in fit


def identifiers(threads: int, schemes: dict[str, dict[str, str]]) -> list[str]:
    paths = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}
    command = [sys.executable, "-c", FITS, json.dumps(schemes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_identifiers_are_equal_whatever_the_number_of_threads() -> None:
    schemes = {name: own for name, own in ALL.items() if name not in SLOW}
    one, two = identifiers(1, schemes), identifiers(2, schemes)
    assert len(one) == len(schemes) > 20
    assert one == two


@pytest.mark.long
def test_learnt_words_are_equal_whatever_the_number_of_threads() -> None:
    schemes = {name: ALL[name] for name in SLOW}
    assert identifiers(1, schemes) == identifiers(2, schemes) != []
