"""``bench run`` ends with what it came to."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

Bench = Callable[..., SimpleNamespace]

BROKEN = """
from bench.evaluation.baseline import Baseline

class Broken(Baseline):
    name = "broken"

    def fit(self, train):
        raise ValueError("it never works")

    def score(self, histories):
        raise NotImplementedError
"""


def test_a_run_ends_with_its_scores_and_what_it_beat(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    bench("run", *quick, "--baseline", "pop", "--results", tmp_path)
    said = bench("run", *quick, "--id-scheme", "numeric", "--results", tmp_path)
    lines = [line.split() for line in said.out.splitlines() if line]
    assert "mean nothing: preset smoke only shows that everything runs" in said.out.splitlines()[0]
    assert ["scheme", "NDCG@10", "95", "%", "interval", "Hit@10", "time", "run"] in lines
    assert {(line[0], line[-1]) for line in lines if line[-1] in ("now", "earlier")} == {
        ("numeric/sequential", "now"),
        ("pop", "earlier"),
    }
    assert said.err.endswith(f"Now: bench report --results {tmp_path}\n")


def test_what_has_been_stored_is_shown_where_another_run_fails(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BROKEN)
    words = ["--baseline", f"pop,{tmp_path / 'mine.py'}:Broken", "--dataset", toy_folder, "--preset", "smoke"]
    said = bench("run", *words, "--results", tmp_path / "results")
    assert said.code == 1
    assert "it never works" in said.err
    assert "pop" in said.out
    assert "broken" not in said.out


def test_commands_that_follow_can_be_pasted(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    """A folder with a space in its name is one word, and a semicolon ends no command."""
    odd, joined, file = tmp_path / "my results;", tmp_path / "all of them", tmp_path / "my request.toml"
    words = ["run", "--baseline", "pop", "--dataset", toy_folder, "--preset", "smoke"]
    for said, option, path in (
        (bench(*words, "--results", odd), "--results", odd),
        (bench("results", "join", odd, "--out", joined), "--results", joined),
        (bench(*words, "--write-config", file), "--config", file),
    ):
        assert said.code == 0, said.err
        assert shlex.split(said.err.splitlines()[-1])[-2:] == [option, str(path)]
