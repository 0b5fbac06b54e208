"""Identifiers from vectors alone: what was named keeps its name, and what comes later is named beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bench import tensors
from bench.errors import BenchError
from bench.ids import naming
from bench.runs.subjects import load_scheme, settings

Bench = Callable[..., SimpleNamespace]
NETWORK = {"codes": "8", "levels": "2", "epochs": "2", "hidden": "8"}
KINDS: list[tuple[str, dict[str, str]]] = [
    ("semantic/rqkmeans", {"codes": "8", "levels": "2"}),
    ("semantic/rqkmeans", {"codes": "32", "levels": "2", "capacity": "3"}),
    ("semantic/rqkmeans", {"codes": "64", "levels": "2", "collisions": "reassign"}),
    ("semantic/rqkmeans", {"codes": "64", "levels": "2", "collisions": "sinkhorn"}),
    ("semantic/rqkmeans-balanced", {"codes": "8", "levels": "2"}),
    ("semantic/pq", {"codes": "8", "levels": "2"}),
    ("semantic/opq", {"codes": "8", "levels": "2"}),
    ("semantic/rqvae", {**NETWORK, "latent": "4"}),
    ("semantic/rqkmeans+", NETWORK),
    ("semantic/fsq", {"grid": "4,4", "levels": "2", "epochs": "2", "hidden": "8"}),
    ("semantic/letter-no-cf", {**NETWORK, "latent": "4", "clusters": "2"}),
    ("set/rpg", {"slots": "3", "codes": "64"}),
    ("set/rpg", {"slots": "3", "codes": "64", "quantizer": "pq"}),
]


def vectors(count: int = 400, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    blobs = np.random.default_rng(99).normal(size=(12, 6))
    return (blobs[random.integers(0, 12, count)] + 0.4 * random.normal(size=(count, 6))).astype(np.float32)


def scheme(name: str, options: dict[str, str]) -> Any:
    cls = load_scheme(name)
    return naming.require(cls(settings(cls, options)))


def names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(count))


def table(folder: Path) -> dict[str, str]:
    frame = pd.read_parquet(folder / "ids.parquet")
    return dict(zip(frame["item"], frame["identifier"], strict=True))


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_yesterdays_items_keep_their_names_and_todays_get_names_of_their_own(
    name: str, options: dict[str, str], tmp_path: Path
) -> None:
    made = scheme(name, options)
    naming.fit(made, names("old", 300), vectors(300), 0, tmp_path / "f")
    first = table(tmp_path / "f")
    for day in (1, 2):
        fresh, count = naming.encode(made, names(f"day{day}-", 40), vectors(40, day), tmp_path / "f")
        assert (count, len(fresh.items)) == (40, 300 + 40 * day)
    after = table(tmp_path / "f")
    assert {item: after[item] for item in first} == first
    assert len(set(after.values())) == len(after) == 380
    if options.get("capacity"):
        sharing = pd.Series([words.rsplit(" ", 1)[0] for words in after.values()]).value_counts()
        assert sharing.max() <= 3


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_new_item_has_the_codes_of_a_known_one_with_its_vector(
    name: str, options: dict[str, str], tmp_path: Path
) -> None:
    """Where codes need not be unique, and are not balanced."""
    if name == "semantic/rqkmeans-balanced":
        pytest.skip("its codes are those of clusters of equal size, and not the nearest")
    given = {key: value for key, value in options.items() if key != "capacity"} | {"collisions": "none"}
    made = scheme(name, given)
    old = naming.fit(made, names("old", 300), vectors(300), 0, tmp_path / "f")
    found, _ = naming.encode(made, names("new", 300), vectors(300), tmp_path / "f")
    assert (found.codes[300:] == old.codes).all(axis=1).mean() > 0.99  # but for the last bits of a rotation


def test_naming_again_changes_nothing_whatever_vectors_are_now(tmp_path: Path) -> None:
    made = scheme(*KINDS[0])
    naming.fit(made, names("old", 300), vectors(300), 0, tmp_path / "f")
    naming.encode(made, names("new", 40), vectors(40, 1), tmp_path / "f")
    before = (tmp_path / "f" / "ids.parquet").read_bytes()
    found, count = naming.encode(made, names("new", 40), vectors(40, 7), tmp_path / "f")
    assert (count, len(found.items)) == (0, 340)
    assert (tmp_path / "f" / "ids.parquet").read_bytes() == before


def test_a_counter_goes_on_from_those_there_are(tmp_path: Path) -> None:
    made = scheme("semantic/rqkmeans", {"codes": "2", "levels": "1"})
    rows = np.array([[0.0], [0.0], [9.0]], np.float32)
    naming.fit(made, ("a", "b", "c"), rows, 0, tmp_path / "f")
    naming.encode(made, ("d", "e", "f"), np.array([[9.0], [0.1], [8.0]], np.float32), tmp_path / "f")
    found = table(tmp_path / "f")
    low, high = found["a"].split()[0], found["c"].split()[0]
    assert low != high
    expected = [f"{low} b0", f"{low} b1", f"{high} b0", f"{high} b1", f"{low} b2", f"{high} b2"]
    assert found == dict(zip("abcdef", expected, strict=True))


# -- across versions --------------------------------------------------------------------------------------------------

STATE = {
    "codebook.0": np.array([[0, 0], [10, 10]], np.float32),
    "codebook.1": np.array([[-1, 0], [1, 0], [0, 5]], np.float32),
}
FACTS = {"format": 1, "scheme": "semantic/rqkmeans", "seed": 0, "width": 2}


def test_a_folder_of_the_first_format_names_as_it_did(bench: Bench, tmp_path: Path) -> None:
    """Written by hand as the first version wrote it; what comes out was worked out by hand."""
    facts = {**FACTS, "settings": {"levels": 2, "codes": 3, "collisions": "counter"}}
    tensors.write(tmp_path / "quantizer.safetensors", STATE, facts, "a quantizer")
    pd.DataFrame({"item": ["a"], "identifier": ["a1 b2 c0"], "codes": [[1, 2, 0]]}).to_parquet(tmp_path / "ids.parquet")
    rows = [[1.2, 0.1], [10, 15.2], [9, 9.9], [-3, 0]]
    pd.DataFrame({"item": list("bcde"), "vector": rows}).to_parquet(tmp_path / "new.parquet")
    said = bench("ids", "encode", tmp_path, "--vectors", tmp_path / "new.parquet", "--out", tmp_path / "x.json")
    assert said.code == 0, said.err
    expected = {"a": "a1 b2 c0", "b": "a0 b1 c0", "c": "a1 b2 c1", "d": "a1 b0 c0", "e": "a0 b0 c0"}
    assert table(tmp_path) == expected
    assert json.loads((tmp_path / "x.json").read_text()) == {item: words.split() for item, words in expected.items()}


def test_a_copy_for_others_goes_where_a_link_leads(bench: Bench, tmp_path: Path) -> None:
    naming.fit(scheme(*KINDS[0]), names("old", 30), vectors(30), 0, tmp_path / "f")
    pd.DataFrame({"item": ["new"], "vector": [[0.0] * 6]}).to_parquet(tmp_path / "v.parquet")
    (tmp_path / "shared").mkdir()
    link = tmp_path / "x.json"
    link.symlink_to(tmp_path / "shared" / "x.json")
    said = bench("ids", "encode", tmp_path / "f", "--vectors", tmp_path / "v.parquet", "--out", link)
    assert said.code == 0, said.err
    assert link.is_symlink()
    assert len(json.loads((tmp_path / "shared" / "x.json").read_text())) == 31
    stream = bench("ids", "encode", tmp_path / "f", "--vectors", tmp_path / "v.parquet", "--out", "/dev/stdout")
    assert stream.code == 0, stream.err
    named = bench("ids", "encode", tmp_path / "f", "--vectors", tmp_path / "v.parquet", "--out", tmp_path / "x.txt")
    assert f"cannot write identifiers to '{tmp_path / 'x.txt'}': its name must end in .json or .parquet" in named.err


def test_another_format_is_refused(tmp_path: Path) -> None:
    tensors.write(tmp_path / "quantizer.safetensors", STATE, {**FACTS, "format": 2, "settings": {}}, "q")
    with pytest.raises(BenchError, match=r"is of format 2, and this bench reads 1; update it"):
        naming.stored(tmp_path)


# -- the commands -----------------------------------------------------------------------------------------------------


def test_vectors_become_names_on_the_command_line(bench: Bench, tmp_path: Path) -> None:
    np.save(tmp_path / "today.npy", vectors(300))
    (tmp_path / "today.ids.txt").write_text("\n".join(names("old", 300)) + "\n")
    words = ["--vectors", tmp_path / "today.npy", "--out", tmp_path / "f", "--set", "semantic.codes=8"]
    said = bench("ids", "fit", "semantic/rqkmeans", *words)
    assert said.code == 0, said.err
    assert said.err.splitlines()[-1] == f"written: {tmp_path / 'f'}, 300 items, all with identifiers of their own"
    both = np.concatenate([vectors(300)[-10:], vectors(20, 1)])
    frame = {"item": [*names("old", 300)[-10:], *names("new", 20)], "vector": list(both)}
    pd.DataFrame(frame).to_parquet(tmp_path / "tomorrow.parquet")
    said = bench("ids", "encode", tmp_path / "f", "--vectors", tmp_path / "tomorrow.parquet")
    assert said.code == 0, said.err
    assert "20 items are new, 10 keep their identifiers; 320 in all" in said.err
    again = bench("ids", "fit", "semantic/rqkmeans", *words)
    assert again.code == 1
    assert "holds a quantizer already; name new items with it, or give another folder" in again.err


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("textual/title", "textual/title does not name items by vectors alone; use a quantizer, such as"),
        (
            "semantic/letter",
            "semantic/letter learns from interactions as well; without them there is",
        ),
        ("all", "one scheme is fitted at a time"),
    ],
)
def test_what_needs_more_than_vectors_is_told(bench: Bench, tmp_path: Path, scheme: str, said: str) -> None:
    pd.DataFrame({"item": ["a", "b"], "vector": [[0.0, 1.0], [1.0, 0.0]]}).to_parquet(tmp_path / "v.parquet")
    found = bench("ids", "fit", scheme, "--vectors", tmp_path / "v.parquet", "--out", tmp_path / "f")
    assert found.code == 1
    assert said in found.err.splitlines()[-1]


def test_what_does_not_fit_the_folder_is_told(bench: Bench, tmp_path: Path) -> None:
    pd.DataFrame({"item": ["a"], "vector": [[0.0, 1.0]]}).to_parquet(tmp_path / "v.parquet")
    words = ["ids", "encode", tmp_path / "f", "--vectors", tmp_path / "v.parquet"]
    assert "holds no quantizer; make one with bench ids fit" in bench(*words).err
    naming.fit(scheme(*KINDS[0]), names("old", 30), vectors(30), 0, tmp_path / "f")
    assert "was fitted on vectors of 6 dimensions; got 2" in bench(*words).err
    (tmp_path / "f" / "ids.parquet").write_bytes(b"nothing")
    pd.DataFrame({"item": ["a"], "vector": [[0.0] * 6]}).to_parquet(tmp_path / "v.parquet")
    assert "is corrupt" in bench(*words).err
