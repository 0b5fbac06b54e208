"""`bench ids show`: figures and examples of identifiers, made or taken from the cache, without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.data import sources
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids import diagnostics
from bench.ids.scheme import IdScheme
from bench.runs.matrix import Plan, resolve

Bench = Callable[..., SimpleNamespace]
QUICK = ("semantic.codes=4", "semantic.epochs=4", "semantic.variants=3", "semantic.latent=4", "semantic.hidden=8")


@pytest.fixture
def show(bench: Bench, toy_folder: Path, tmp_path: Path) -> Callable[..., SimpleNamespace]:
    def call(*words: str) -> SimpleNamespace:
        return bench("ids", "show", *words, "--dataset", toy_folder, "--results", tmp_path)

    return call


def test_what_is_shown_is_what_the_scheme_makes(show: Bench, toy_folder: Path, toy: Dataset) -> None:
    said = show("textual/title,semantic/mtgrec", "--item", "i03,i17", "--json", *(f"--set={line}" for line in QUICK))
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    schemes, *_ = resolve(Plan(["textual/title", "semantic/mtgrec"], [], [], overrides=QUICK))
    split = leave_one_out(sources.find(str(toy_folder), None))
    for found, scheme in zip(shown, schemes, strict=True):
        assert isinstance(scheme, IdScheme)
        ids = scheme.fit(split.train)
        assert (found["scheme"], found["dataset"]) == (scheme.name, "toy")
        figures = diagnostics.figures(ids, split.test.items)
        assert {name: value for name, value in found["figures"].items() if name != "drift"} == figures
        for item, described in zip((3, 17), found["items"], strict=True):
            assert described["item"] == toy.items.ids[item]
            assert described["text"] == toy.items.text["title"][item]
            assert described["identifier"] == ids.vocabulary.decode(ids.code(item))
            expected = [(toy.items.ids[o], s) for o, s in diagnostics.siblings(ids, item, 5) if s]
            assert [(other["item"], other["shared"]) for other in described["siblings"]] == expected
    assert "drift" not in shown[0]["figures"]
    assert len(shown[1]["figures"]["drift"]["any"]) == 2


def test_it_reads_as_tables(show: Bench) -> None:
    said = show("semantic/mtgrec", *(f"--set={line}" for line in QUICK), "--examples", "2")
    assert said.code == 0
    for words in ("items that share an identifier", "entropy, bits", "codebook used", "variants apart", "shared"):
        assert words in said.out
    assert "codebook" not in show("textual/title").out


def test_identifiers_are_made_once_and_shared_with_runs(
    show: Bench, bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    assert "making identifiers" in show("textual/title").err
    assert "making identifiers" not in show("textual/title", "--examples", "1").err
    said = bench("run", "--id-scheme", "textual/title", *quick, "--set=max_steps=1", "--results", tmp_path)
    assert said.code == 0
    assert "making identifiers" not in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["textul"], "unknown identifier scheme 'textul'; did you mean 'textual'?"),
        (
            ["textual/title", "--item", "i003"],
            "unknown item 'i003'; did you mean 'i03'? items are named as in the item file, e.g. 'i00'",
        ),
        (["semantic", "--set=semantic.collision=none"], "unknown setting of semantic/rqvae 'collision'; did you mean"),
        (["semantic/rqkmeans", "--set=semantic.fields=titel"], "unknown text field 'titel'; did you mean 'title'?"),
        (["pop"], "unknown identifier scheme 'pop'"),
    ],
)
def test_a_mistake_is_one_line(show: Bench, words: list[str], said: str) -> None:
    found = show(*words)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith(f"bench: {said}")
