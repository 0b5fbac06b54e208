"""Codes and sets of vectors on unseen data: named from the text alone, in the space of the training catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.data.dataset import Dataset, Sequences
from bench.data.formats import write_atomic
from bench.ids import storage
from bench.ids.spaces import Placing
from bench.results.read import Result, load
from bench.runs import scheme_run

Bench = Callable[..., SimpleNamespace]
Words = list[str]
CODES = ("semantic/rqkmeans", "semantic/rqkmeans-balanced", "semantic/pq")
SETS = ("set/setrec", "set/semantic-only")
OF_CODES = ["--set=semantic.encoder=hashed", "--set=semantic.codes=8", "--set=semantic.dimensions=6"]
OF_SETS = [f"--set=set.{line}" for line in ("encoder=hashed", "dimensions=6", "hidden=8", "slots=2")]


@pytest.fixture(scope="module")
def asked(words: Words) -> Words:
    few = ["--set=set/setrec.epochs=2", "--set=set/setrec.width=8"]
    return [
        *words,
        *few,
        f"--id-scheme={','.join((*CODES, *SETS))}",
        *OF_CODES,
        *OF_SETS,
        "--set=max_steps=4",
        "--no-parts",
    ]


@pytest.fixture(scope="module")
def done(bench: Bench, asked: Words, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("texts")
    said = bench(*asked, "--adapt=0,5", "--results", results)
    assert said.code == 0, said.err
    return results


def runs(results: Path) -> dict[tuple[str, str, int], Result]:
    """By data set, scheme and users adapted on."""
    return {(run.dataset.name, run.scheme.name, run.adapted_on): run for run in load(results)}


def names(run: Result) -> pd.DataFrame:
    return pd.read_parquet(run.folder / "ids.parquet")


def test_every_one_is_tested_without_and_after_a_few_users(done: Path) -> None:
    assert set(runs(done)) == {
        *(("toy+park", scheme, 0) for scheme in (*CODES, *SETS)),
        *(("moor", scheme, users) for scheme in (*CODES, *SETS) for users in (0, 5)),
    }


@pytest.mark.parametrize("scheme", CODES)
def test_codes_of_the_unseen_are_those_of_training_items(done: Path, moor: Dataset, scheme: str) -> None:
    found = runs(done)
    trained, _ = storage.load(found["toy+park", scheme, 0].folder / "ids.safetensors")
    known = names(found["toy+park", scheme, 0])
    shown = names(found["moor", scheme, 0])
    assert shown["item"].tolist() == list(moor.items.ids)
    tokens, before = (np.array(table["tokens"].tolist()) for table in (shown, known))
    assert tokens.shape[1] == before.shape[1]
    for level in range(before.shape[1]):
        assert {*tokens[:, level].tolist()} <= {*before[:, level].tolist()}
    assert [trained.vocabulary.decode(code) for code in shown["tokens"]] == shown["identifier"].tolist()


def test_interactions_of_the_unseen_change_no_identifier(
    bench: Bench, asked: Words, done: Path, moor: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for run in load(done) for path in run.folder.iterdir()}
    mixed = np.random.default_rng(1).permutation(moor.sequences.values)
    write_atomic(replace(moor, sequences=Sequences(mixed, moor.sequences.offsets)), tmp_path / "moor")
    monkeypatch.setattr(scheme_run, "train", never)
    again = bench(*asked, "--zero-shot", tmp_path / "moor", "--results", done)
    assert again.code == 0, again.err
    assert {path: path.read_bytes() for path in before} == before
    for scheme in CODES:
        shown = [names(run) for run in load(done) if (run.dataset.name, run.scheme.name) == ("moor", scheme)]
        assert len(shown) == 3
        assert all(table["tokens"].map(str).equals(shown[0]["tokens"].map(str)) for table in shown)


def test_text_of_the_unseen_changes_no_bit_of_what_is_kept(
    bench: Bench, asked: Words, done: Path, moor: Dataset, tmp_path: Path
) -> None:
    text = {name: tuple(f"zebra {cell[::-1]}" for cell in column) for name, column in moor.items.text.items()}
    write_atomic(replace(moor, items=replace(moor.items, text=text)), tmp_path / "moor")
    said = bench(*asked, "--zero-shot", tmp_path / "moor", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    one, other = runs(done), runs(tmp_path / "results")
    for scheme in (*CODES, *SETS):
        homes = [found["toy+park", scheme, 0].folder for found in (one, other)]
        kept = [{path.name: path.read_bytes() for path in home.iterdir()} for home in homes]
        for name in {*kept[0]} - {"result.json", "result.sha256", "log.jsonl"}:
            assert kept[0][name] == kept[1][name], (scheme, name)
        assert "space.safetensors" in kept[0]
        assert ("codebooks.safetensors" in kept[0]) is (scheme in CODES)
    changed = [names(found["moor", "semantic/rqkmeans", 0])["identifier"].tolist() for found in (one, other)]
    assert changed[0] != changed[1]


def test_an_unseen_copy_of_the_data_is_ranked_as_the_data_itself(
    bench: Bench, quick: Words, toy: Dataset, tmp_path: Path
) -> None:
    ids = tuple(f"copy of {item}" for item in toy.items.ids)
    write_atomic(replace(toy, name="copy", items=replace(toy.items, ids=ids)), tmp_path / "copy")
    words = ["run", "--id-scheme=set/semantic-only", *quick, *OF_SETS, "--zero-shot", tmp_path / "copy"]
    said = bench(*words, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    found = runs(tmp_path / "results")
    one, other = (
        pd.read_parquet(found[name, "set/semantic-only", 0].folder / "per_user.parquet") for name in ("copy", "toy")
    )
    same = ["user", "rank", "code_rank", "group_size", "popularity", "history_length"]
    assert one[same].equals(other[same])
    assert one["rank"].notna().sum() > 0


def test_texts_are_counted_once(done: Path) -> None:
    """What the space takes is read from the cache that identifiers were made with, where it was counted: of what comes
    from a cache nobody knows how long the processor took.
    """
    stored = json.loads((runs(done)["toy+park", CODES[0], 0].folder / "result.json").read_text())
    assert stored["costs"]["id_construction_processor_seconds"] is not None


def test_a_backbone_reads_the_texts_of_the_unseen_too(bench: Bench, words: Words, qwen: Path, tmp_path: Path) -> None:
    more = ["--id-scheme=semantic/rqkmeans", "--set=semantic.encoder=backbone", "--set=max_steps=2", "--no-parts"]
    said = bench(*words, *more, "--set=semantic.codes=8", f"--set=backbone={qwen}", "--results", tmp_path)
    assert said.code == 0, said.err
    assert ("moor", "semantic/rqkmeans", 0) in runs(tmp_path)


def test_a_file_of_collaborative_vectors_need_not_know_the_unseen(
    bench: Bench, quick: Words, toy: Dataset, tmp_path: Path
) -> None:
    """Nobody has taken its items: their slot is left out, whatever the file holds."""
    vectors = np.random.default_rng(0).normal(size=(len(toy.items), 4)).astype(np.float32)
    pd.DataFrame({"item": toy.items.ids, "vector": list(vectors)}).to_parquet(tmp_path / "vectors.parquet")
    ids = tuple(f"other {item}" for item in toy.items.ids)
    write_atomic(replace(toy, name="other", items=replace(toy.items, ids=ids)), tmp_path / "other")
    given = f"--set=set/setrec.vectors={tmp_path / 'vectors.parquet'}"
    words = ["run", "--id-scheme=set/setrec", *quick, *OF_SETS, given, "--zero-shot", tmp_path / "other"]
    said = bench(*words, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    assert ("other", "set/setrec", 0) in runs(tmp_path / "results")


def test_a_run_that_keeps_no_space_says_so(
    bench: Bench, quick: Words, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runs of earlier versions, which are finished, and whose files are all there."""
    words = ["run", "--id-scheme=set/semantic-only", *quick, *OF_SETS, "--set=max_steps=2", "--results", tmp_path]
    with monkeypatch.context() as before:
        before.setattr(Placing, "save_state", lambda *_: None)
        assert bench(*words).code == 0
    said = bench(*words, "--zero-shot", folders["moor"])
    assert said.code == 1
    assert "does not keep the space of texts (space.safetensors)" in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].endswith("; run the model again with --force")


def never(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be done here")
