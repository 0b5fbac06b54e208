"""An exported run, decoded with nothing of ours: NumPy, safetensors, Arrow and Transformers alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from transformers import AutoTokenizer, T5ForConditionalGeneration

import bench as package
from bench import files

Bench = Callable[..., SimpleNamespace]
SCHEMES = ["numeric/sequential", "textual/title", "semantic/rqkmeans"]
SMALL_CODES = ["--set=semantic.levels=2", "--set=semantic.codes=3", "--set=semantic.collisions=none"]
AFTER = Path(__file__).resolve().parents[2] / "docs" / "pages" / "after.md"
HISTORY = ["i03", "i04", "i06"]


@pytest.fixture(scope="module")
def runs(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    schemes = ",".join([*SCHEMES, "set/setrec"])
    said = bench("run", "--id-scheme", schemes, "--baseline", "pop", *quick, *SMALL_CODES, "--results", results)
    assert said.code == 0, said.err
    return results


def exported(bench: Bench, runs: Path, scheme: str, out: Path) -> Path:
    said = bench("export", scheme, "--results", runs, "--out", out)
    assert said.code == 0, said.err
    return out


class Reader:
    """What another program has of an export, and the walk down its tree."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "export.json").read_text())
        self.trie: dict[str, NDArray[np.int32]] = load_file(folder / "trie.safetensors")
        self.table: list[Mapping[str, Any]] = pq.read_table(folder / "items.parquet").to_pylist()
        self.model = T5ForConditionalGeneration.from_pretrained(folder / "model").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "model")

    def children(self, node: int) -> list[int]:
        return list(range(self.trie["first"][node], self.trie["first"][node] + self.trie["count"][node]))

    def walk(self, tokens: Sequence[int]) -> int:
        node = 0
        for token in tokens:
            (node,) = (child for child in self.children(node) if self.trie["token"][child] == token)
        return node

    def items(self, node: int) -> list[str]:
        begin = int(self.trie["item_first"][node])
        rows = self.trie["items"][begin : begin + self.trie["item_count"][node]]
        return [self.table[row]["item"] for row in rows]

    def written(self, history: Sequence[str]) -> torch.Tensor:
        """The input of the model: identifiers without the end token, as the facts say they are put together."""
        layout, end = self.facts["history"], self.facts["end"]
        code = {line["item"]: [token for token in line["tokens"] if token != end] for line in self.table}
        tokens = list(layout["before"])
        for number, item in enumerate(history):
            tokens += [*(layout["separator"] if number else []), *code[item]]
        return torch.tensor([[*tokens, *layout["after"]]])

    def scores(self, history: Sequence[str]) -> dict[str, float]:
        """The log-probability of every item, token by token over what may follow, or over the vocabulary."""
        source, found = self.written(history), {}
        by_prefix = self.facts["scores"]["normalized_over"] == "prefix"
        for line in self.table:
            tokens = [self.facts["start"], *line["tokens"]]
            with torch.no_grad():
                logits = self.model(input_ids=source, decoder_input_ids=torch.tensor([tokens])).logits[0]
            total = 0.0
            for step, token in enumerate(line["tokens"]):
                allowed = [int(self.trie["token"][child]) for child in self.children(self.walk(tokens[1 : step + 1]))]
                of = allowed if by_prefix else list(range(logits.shape[1]))
                total += float(logits[step, of].log_softmax(-1)[of.index(token)])
            found[line["item"]] = total
        return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_program_ranks_as_the_run_does(bench: Bench, runs: Path, tmp_path: Path, scheme: str) -> None:
    reader = Reader(exported(bench, runs, scheme, tmp_path / "out"))
    assert reader.facts["scores"]["normalized_over"] == "prefix"
    ours = {one.item: one.score for one in package.load(scheme, results=runs).recommend(HISTORY, k=30)}
    assert len(ours) == 30
    assert ours == pytest.approx(reader.scores(HISTORY), abs=1e-3)


def test_transformers_writes_the_items_that_the_run_recommends(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the function that the docs show. ``generate`` sums log-probabilities over the vocabulary: so does a run under
    ``normalize=vocabulary``.
    """
    said = bench("run", "--id-scheme", "numeric", *quick, "--set=normalize=vocabulary", "--results", tmp_path)
    assert said.code == 0, said.err
    reader = Reader(exported(bench, tmp_path, "numeric", tmp_path / "exported"))
    monkeypatch.chdir(tmp_path)
    shown, *_ = re.findall(r"```python\n(.*?)```", AFTER.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(shown, names)
    depth = reader.facts["depth"]
    found = reader.model.generate(
        reader.written(HISTORY),
        num_beams=20,
        num_return_sequences=5,
        length_penalty=reader.facts["scores"]["length_penalty"],
        min_new_tokens=depth,
        max_new_tokens=depth,
        prefix_allowed_tokens_fn=names["allowed_behind"](1),
    )
    items = [reader.items(reader.walk(row.tolist()[1 : depth + 1]))[0] for row in found]
    assert items == [one.item for one in package.load("numeric", results=tmp_path).recommend(HISTORY, k=5)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_item_is_at_the_end_of_its_way_and_nowhere_else(
    bench: Bench, runs: Path, tmp_path: Path, scheme: str
) -> None:
    reader = Reader(exported(bench, runs, scheme, tmp_path / "out"))
    leaves = np.flatnonzero(reader.trie["count"] == 0)
    by_code: dict[tuple[int, ...], list[str]] = {}
    for line in reader.table:
        by_code.setdefault(tuple(line["tokens"]), []).append(line["item"])
    assert len(leaves) == len(by_code)
    for code, items in by_code.items():
        assert reader.items(reader.walk(code)) == items
    assert (reader.trie["item_count"][reader.trie["count"] > 0] == 0).all()
    assert {array.dtype for array in reader.trie.values()} == {np.dtype(np.int32)}
    some = reader.table[4]
    said = reader.tokenizer.decode([token for token in some["tokens"] if token != reader.facts["end"]])
    assert said.replace(" ", "") == some["identifier"].replace(" ", "")


def test_what_other_programs_would_misread_is_refused(
    bench: Bench, quick: list[str], runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def refused(scheme: str, *words: str, results: Path = runs) -> str:
        said = bench("export", scheme, "--results", results, "--out", out, *words)
        assert said.code == 1
        assert not out.exists()
        return str(said.err)

    assert "items of set/setrec are not written token by token" in refused("set/setrec")
    assert "pop is a baseline, which has no identifiers to export" in refused("pop")
    assert "unknown target 'tgi'; known: transformers, vllm, sglang" in refused("numeric", "--for", "tgi")
    for server in ("vllm", "sglang"):
        said = refused("numeric", "--for", server)
        assert f"{server} decodes decoder-only models" in said
        assert "is a T5ForConditionalGeneration: it reads with an encoder; export it for transformers" in said
    changed = ["--id-scheme", "numeric", *quick, "--results", tmp_path]
    assert bench("run", *changed, "--set=training=shared").code == 0
    assert "was trained under training=shared, whose mask other programs do not" in refused("numeric", results=tmp_path)
    (whole,) = (f for f in runs.glob("runs/*/numeric*/*/0") if f.is_dir())
    out.mkdir()
    assert f"'{out}' is there already" in bench("export", whole, "--out", out).err


def test_what_a_killed_export_left_is_removed_by_the_next(bench: Bench, runs: Path, tmp_path: Path) -> None:
    """Killed for good, between two files. What a living process writes stays."""
    call = f"""
import os, sys
from pathlib import Path
from bench import cli, files
def kill(step, path):
    if path.name == "export.json" and step == "rename":
        os.kill(os.getpid(), 9)
files.hook = kill
sys.argv = ["bench", "export", "numeric", "--results", {str(runs)!r}, "--out", {str(tmp_path / "out")!r}]
cli.main()
"""
    assert subprocess.run([sys.executable, "-c", call], check=False, capture_output=True).returncode == -9
    (left,) = tmp_path.iterdir()
    assert (left / "model" / "model.safetensors").exists()
    busy = files.beside(tmp_path / "out")
    busy.mkdir()
    exported(bench, runs, "numeric", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [busy.name, "out"]


def test_an_export_is_not_named_like_an_archive(bench: Bench, runs: Path, tmp_path: Path) -> None:
    for name in ("out.zip", "out.tar.gz"):
        said = bench("export", "numeric", "--results", runs, "--out", tmp_path / name)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert f"'{tmp_path / name}' is named like an archive, and an export is a folder; give it" in said.err
    assert not list(tmp_path.iterdir())


def test_others_may_read_what_is_written_as_the_umask_says(
    bench: Bench, runs: Path, toy_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def to(name: str) -> str:
        return str(out / name)

    tables = ["--out", to("r.md"), "--csv", to("r.csv"), "--values", to("v.parquet"), "--latex", to("r.tex")]
    pictures = ["--html", to("r.html"), "--figures", to("pictures"), "--request", to("again.toml")]
    words: list[list[str | Path]] = [
        ["export", "numeric", "--out", to("export")],
        ["ids", "export", "numeric", "--out", to("ids.parquet"), "--dataset", toy_folder],
        ["recommend", "pop", "--users", "all", "--data-dir", toy_folder.parent, "--out", to("recs.parquet")],
        ["results", "pack", "--out", to("packed")],
        ["results", "pack", "--out", to("packed.zip")],
        ["report", *tables, *pictures],
    ]
    mask = os.umask(0o022)
    try:
        for each in words:
            said = bench(*each, "--results", runs)
            assert said.code == 0, said.err
    finally:
        os.umask(mask)
    found = {path.relative_to(out).as_posix(): path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()}
    assert len(found) > 30
    assert {name: oct(mode) for name, mode in found.items() if mode != 0o644} == {}


def test_an_export_is_whole_or_not_there(bench: Bench, runs: Path, tmp_path: Path) -> None:
    said = bench("export", "numeric", "--results", runs, "--out", "/dev/null/out")
    assert said.code == 1
    assert "cannot write the export to '/dev/null/out'" in said.err
    exported(bench, runs, "numeric", tmp_path / "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]
