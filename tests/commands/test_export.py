"""Identifiers go out and come in again: the same codes, the same training, the same ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids import storage
from bench.runs import subjects

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


@pytest.fixture(scope="module")
def run(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a scheme of codes and one of words."""
    results = tmp_path_factory.mktemp("results")
    said = bench("run", "--id-scheme", "numeric/collaborative,textual/title", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


def learned(run_folder: Path) -> tuple[Any, ...]:
    """What identifiers, training and testing came to."""
    ids, _ = storage.load(run_folder / "ids.safetensors")
    training = json.loads((run_folder / "result.json").read_text())["training"]
    ranks = pd.read_parquet(run_folder / "per_user.parquet")
    return ids.tokens.tolist(), ids.vocabulary.fingerprint, ids.template, training["curve"], ranks.to_json()


def test_codes_written_as_index_json_train_to_the_same_ranks(
    bench: Bench, run: Path, quick: list[str], run_folders: RunFolders, toy_folder: Path, toy: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "paths.index.json"
    said = bench("ids", "export", "numeric/collaborative", "--dataset", toy_folder, "--out", out, "--results", tmp_path)
    assert (said.code, said.err.splitlines()[-1]) == (0, f"written: {out}, 30 items")
    seen = json.loads(out.read_text())
    ids = subjects.load_scheme("numeric/collaborative")().fit(leave_one_out(toy).train)
    name = ids.vocabulary.tokenizer.id_to_token
    assert seen == {key: [name(t) for t in ids.code(item)] for item, key in enumerate(toy.items.ids)}
    said = bench("run", "--id-scheme", f"file:{out}", *quick, "--results", tmp_path)
    assert said.code == 0, said.err
    ours = next(run_folder for run_folder in run_folders(run) if "numeric" in str(run_folder))
    assert learned(run_folders(tmp_path)[0]) == learned(ours)
    assert json.loads((run_folders(tmp_path)[0] / "result.json").read_text())["scheme"]["name"] == "file/paths"


@pytest.mark.parametrize("kind", ["folder", "parquet", "exported"])
def test_a_finished_run_can_be_run_again_from_its_table(
    bench: Bench, run: Path, quick: list[str], run_folders: RunFolders, tmp_path: Path, kind: str
) -> None:
    run_folder = next(run_folder for run_folder in run_folders(run) if "textual" in str(run_folder))
    source = {"folder": run_folder, "parquet": run_folder / "ids.parquet", "exported": tmp_path / "ids.parquet"}[kind]
    if kind == "exported":
        assert bench("ids", "export", run_folder, "--out", source).code == 0
    said = bench("run", "--id-scheme", f"file:{source}", *quick, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    assert learned(run_folders(tmp_path / "results")[0]) == learned(run_folder)


def test_a_file_has_a_row_and_its_content_a_run(
    bench: Bench, quick: list[str], run_folders: RunFolders, toy: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "mine.sem_ids"
    seen = {item: [number // 10, number % 10] for number, item in enumerate(toy.items.ids)}
    path.write_text(json.dumps({**seen, "i29": [0, 0], "other": [1, 1]}))
    words = ["run", "--id-scheme", f"file:{path}", *quick, "--set=max_steps=2", "--results", tmp_path]
    said = bench(*words)
    assert said.code == 0, said.err
    remarks = [
        "1 of 31 items of 'mine.sem_ids' are not in the catalogue and are skipped: 'other'",
        "2 items share their identifier with another, as '<a_0> <b_0>' is that of 'i00', 'i29'",
    ]
    about = [line for line in said.err.splitlines() if line.startswith("file/mine ") and " items " in line]
    assert about[:2] == [f"file/mine on toy, seed 0: {remark}" for remark in remarks]
    stored = json.loads((run_folders(tmp_path)[0] / "result.json").read_text())
    assert stored["warnings"] == remarks
    assert np.isclose(stored["identifiers"]["collision_rate"], 2 / 30)
    assert "finished already" in bench(*words).err
    path.write_text(json.dumps(seen))
    assert bench(*words).code == 0
    assert len(run_folders(tmp_path)) == 2
    report = bench("report", "--results", tmp_path, "--json")
    rows = {line["row"] for line in json.loads(report.out) if line["table"] == "quality"}
    contents = [
        json.loads((run_folder / "result.json").read_text())["scheme"]["settings"]["content"]
        for run_folder in run_folders(tmp_path)
    ]
    assert rows == {f"file/mine (content={content})" for content in contents}


def test_words_as_idgenrec_publishes_them_are_run(
    bench: Bench, quick: list[str], run_folders: RunFolders, toy: Dataset, tmp_path: Path
) -> None:
    """Its initial identifiers: a header, then an item, a tab and words on each line."""
    path = tmp_path / "toy.textual_ids.tsv"
    published = dict(zip(toy.items.ids, toy.items.text["title"], strict=True))
    lines = (f"{key}\t{published[key]}\n" for key in sorted(published, reverse=True))
    path.write_text("item_id\tidentifier\n" + "".join(lines))
    said = bench("run", "--id-scheme", f"file:{path}", *quick, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    (run_folder,) = run_folders(tmp_path / "results")
    table = pd.read_parquet(run_folder / "ids.parquet")
    assert dict(zip(table["item"], table["identifier"], strict=True)) == published
    stored = json.loads((run_folder / "result.json").read_text())
    assert stored["scheme"]["name"] == "file/toy.textual_ids"
    assert stored["training"]["steps"] == 12
    assert len(pd.read_parquet(run_folder / "per_user.parquet")) == len(toy.users)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["textual", "--out", "ids.csv"],
            "cannot write identifiers to 'ids.csv': its name must end in .json or .parquet",
        ),
        (["all", "--out", "ids.json"], "one scheme is exported at a time; 'all' names "),
        (["textul", "--out", "ids.json"], "unknown identifier scheme 'textul'; did you mean 'textual'?"),
        (
            ["file:nowhere.json", "--out", "ids.json"],
            "no file 'nowhere.json' (asked for as file:nowhere.json); give index",
        ),
    ],
)
def test_a_mistake_is_one_line(bench: Bench, toy_folder: Path, tmp_path: Path, words: list[str], said: str) -> None:
    found = bench("ids", "export", *words, "--dataset", toy_folder, "--results", tmp_path)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith(f"bench: {said}")


def test_what_a_file_lacks_stops_a_run_before_it_trains(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    path = tmp_path / "few.json"
    path.write_text('{"i00": ["<a>"], "i01": ["<b>"]}')
    words = ["run", "--id-scheme", f"file:{path}", *quick, "--set=max_steps=2", "--results", tmp_path]
    said = bench(*words)
    assert said.code == 1
    assert "bench: 28 of 30 items have no identifier in 'few.json': 'i02', 'i03', 'i04', ...; add them" in said.err
    assert not run_folders(tmp_path)
    assert bench(*words, "--set=file.missing=counter").code == 0
    assert "unknown setting of file/few 'missin'; did you mean 'missing'?" in bench(*words, "--set=file.missin=x").err
