"""`bench ids show`: figures and examples of identifiers, made or taken from the cache, without training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data import sources
from bench.data.dataset import Dataset, ItemTable, TrainView
from bench.data.formats import write_atomic
from bench.data.splits import leave_one_out
from bench.ids import diagnostics
from bench.ids.forecast import churn, forecast
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embed
from bench.runs import subjects
from bench.runs.matrix import Plan, resolve

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
QUICK = ("semantic.codes=4", "semantic.epochs=4", "semantic.variants=3", "semantic.latent=4", "semantic.hidden=8")


def check_nearest(found: list[dict[str, Any]], train: TrainView, item: int, ids: TokenIds) -> None:
    """They are five of the items whose text is most like the item's, each with the first tokens that it shares."""
    vectors = embed(train, TextSettings()).astype(float)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[item] / lengths / lengths[item]
    others = [train.items.ids.index(other["item"]) for other in found]
    assert item not in others
    assert len(set(others)) == 5
    best = np.sort(np.delete(cosines, item))[::-1][:5]  # equal titles but for the word: many are equally near
    assert [other["similarity"] for other in found] == pytest.approx(best, abs=1e-3)
    assert cosines[others] == pytest.approx(best, abs=1e-3)
    for other, described in zip(others, found, strict=True):
        same = [a == b for a, b in zip(ids.code(item), ids.code(other), strict=False)]
        assert described["shared"] == (same.index(False) if False in same else len(same))


@pytest.fixture
def show(bench: Bench, toy_folder: Path, tmp_path: Path) -> Callable[..., SimpleNamespace]:
    def call(*words: str) -> SimpleNamespace:
        return bench("ids", "show", *words, "--dataset", toy_folder, "--results", tmp_path)

    return call


def test_the_data_set_may_come_first_as_in_a_run(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    words = ["--item", "i03", "--json", "--results", tmp_path]
    scheme_first = bench("ids", "show", "numeric,textual/title", "--dataset", toy_folder, *words)
    named = ["--id-scheme", "numeric,textual/title"]
    for asked in ([toy_folder, *named], [*named, "--dataset", toy_folder]):
        said = bench("ids", "show", *asked, *words)
        assert said.code == 0, said.err
        assert said.out == scheme_first.out
    assert "nothing to show: name an identifier scheme" in bench("ids", "show", "--dataset", toy_folder).err
    both = bench("ids", "show", "numeric", "--dataset", toy_folder, "--id-scheme", "textual/title", *words)
    assert both.code == 1
    assert both.err.splitlines()[-1] == (
        "bench: --id-scheme and --dataset name all there is to show; drop 'numeric', or one of the two"
    )


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
        stats = diagnostics.stats(ids, split.test.items)
        assert {name: value for name, value in found["stats"].items() if name not in ("drift", "forecast")} == stats
        for item, described in zip((3, 17), found["items"], strict=True):
            assert described["item"] == toy.items.ids[item]
            assert described["text"] == toy.items.text["title"][item]
            assert described["identifier"] == ids.vocabulary.decode(ids.code(item))
            expected = [(toy.items.ids[o], how["shared"]) for o, how in diagnostics.siblings(ids, item, 5)]
            assert [(other["item"], other["shared"]) for other in described["siblings"]] == expected
            check_nearest(described["nearest"], split.train, item, ids)
    assert "drift" not in shown[0]["stats"]
    assert len(shown[1]["stats"]["drift"]["any"]) == 2


def test_it_reads_as_tables(show: Bench) -> None:
    said = show("semantic/mtgrec", *(f"--set={line}" for line in QUICK), "--examples", "2")
    assert said.code == 0
    for words in ("items that share an identifier", "entropy, bits", "codebook used", "variants apart", "shared"):
        assert words in said.out
    assert "codebook" not in show("textual/title").out


def test_several_schemes_stand_side_by_side(show: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = show("all", *(f"--set={line}" for line in QUICK), "--item", "i03")
    assert said.code == 0, said.err
    lines = [line.split() for line in said.out.splitlines()]
    named = [
        name for name in subjects.names(subjects.SCHEMES) if "/" in name and name not in ("semantic/opq", "set/rpg")
    ]
    assert all(sum(name in line[:1] for line in lines) == 3 for name in named)  # two of figures, and its identifier
    assert "i03 iron car" in said.out
    assert "nearest by text, with their cosine: iron robot (" in said.out
    assert "semantic/opq can't name the items of toy: opq learns its rotation from 256 or more items" in said.out
    shown = json.loads(show("all", *(f"--set={line}" for line in QUICK), "--item", "i03", "--json").out)
    fields = ["scheme", "dataset", "stats", "items", "trained", "problem", "changed"]
    assert all(list(found) == fields for found in shown)
    assert [found["scheme"] for found in shown if found["problem"]] == ["semantic/opq", "set/rpg"]
    keys = ["item", "text", "identifier", "siblings", "nearest"]
    assert all(list(item) == keys for found in shown for item in found["items"])


def test_what_is_known_before_training_is_shown(show: Bench, toy: Dataset) -> None:
    words = ["numeric/sequential,semantic/rqkmeans", "--examples", "0", "--set=semantic.codes=4"]
    schemes, *_ = resolve(Plan(["numeric/sequential", "semantic/rqkmeans"], [], [], overrides=["semantic.codes=4"]))
    shown = json.loads(show(*words, "--churn", "1", "--json").out)
    train = leave_one_out(toy).train
    for found, scheme in zip(shown, schemes, strict=True):
        assert isinstance(scheme, IdScheme)
        expected: dict[str, Any] = {**forecast(scheme.fit(train), train.items, train.sequences)}
        expected["churn"] = churn(scheme.fit(train), scheme.fit(replace(train, seed=1)))
        given = found["stats"]["forecast"]
        assert {name: given[name] for name in expected} == expected
        assert set(given) - set(expected) == {"text_recall", "text_lift"}
    assert shown[0]["stats"]["forecast"]["churn"] == 0  # nothing is drawn
    assert 0 < shown[1]["stats"]["forecast"]["churn"] < 1
    assert "churn" not in json.loads(show(*words, "--json").out)[0]["stats"]["forecast"]
    said = show(*words)
    for text in ("before training", "neighbor lift", "capacity tail", "perplexity"):
        assert text in said.out


def test_without_text_there_are_no_nearest(bench: Bench, toy: Dataset, tmp_path: Path) -> None:
    write_atomic(replace(toy, items=ItemTable(toy.items.ids, {})), tmp_path / "bare")
    said = bench(
        "ids", "show", "numeric", "--dataset", tmp_path / "bare", "--item", "i03", "--json", "--results", tmp_path
    )
    assert said.code == 0, said.err
    assert "no nearest items by text: text embeddings need text for every item" in said.err
    assert json.loads(said.out)[0]["items"][0]["nearest"] == []


def test_identifiers_are_made_once_and_shared_with_runs(
    show: Bench, bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    assert "making identifiers" in show("textual/title").err
    assert "making identifiers" not in show("textual/title", "--examples", "1").err
    said = bench("run", "--id-scheme", "textual/title", *quick, "--set=max_steps=1", "--results", tmp_path)
    assert said.code == 0
    assert "making identifiers" not in said.err


TURNED = """
import numpy as np
from dataclasses import replace
from bench.ids.scheme import Stage
from numeric_ids import Sequential


class Turned(Sequential):
    '''The identifiers of three items change hands in training.'''
    name = "turned"

    def stages(self, train, ids):
        items = np.arange(len(ids))
        items[[3, 5, 17]] = [5, 17, 3]
        yield Stage(replace(ids, tokens=ids.tokens[:, items], lengths=ids.lengths[:, items]))
"""


def test_texts_are_read_by_the_backbone(show: Bench, qwen: Path) -> None:
    lines = [f"--set={line}" for line in (f"backbone={qwen}", "semantic.encoder=backbone", "semantic.dimensions=8")]
    said = show("semantic/rqkmeans", *lines, "--set=semantic.codes=8", "--json")
    assert said.code == 0, said.err
    assert len(json.loads(said.out)[0]["items"]) > 0


def test_names_stand_as_they_were_before_training_and_after(
    show: Bench, bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    scheme, words = tmp_path / "turned.py", ("--item", "i03,i04")
    scheme.write_text(TURNED)
    name = f"{scheme}:Turned"
    assert "training changed" not in show(name, *words).out
    (never,) = json.loads(show(name, *words, "--json").out)
    assert (never["trained"], never["changed"]) == ([], None)
    assert bench("run", "--id-scheme", name, *quick, "--set=max_steps=1", "--results", tmp_path).code == 0
    table = pd.read_parquet(run_folders(tmp_path)[0] / "ids.parquet").set_index("item")
    rows = [[item, *table.loc[item, ["before", "identifier"]]] for item in ("i03", "i04")]
    assert [before != after for _, before, after in rows] == [True, False]
    lines = [re.split(" {2,}", line.strip()) for line in show(name, *words).out.splitlines()]
    position = lines.index(["training changed 3 of the identifiers"])
    assert lines[position + 1 : position + 4] == [["item", "before training", "after training"], *rows]
    (shown,) = json.loads(show(name, *words, "--json").out)
    assert ([item["identifier"] for item in shown["trained"]], shown["changed"]) == ([row[2] for row in rows], 3)
    export = ["ids", "export", name, *quick[:2], "--out", tmp_path / "names.parquet", "--results", tmp_path]
    assert "these are from before training, which changed 3 of them: export the run's folder" in bench(*export).err


def test_names_that_training_left_alone_are_said_to_be_so(
    show: Bench, bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    """Those of a scheme that was never run are not."""
    assert bench("run", "--id-scheme=numeric", *quick, "--set=max_steps=1", "--results", tmp_path).code == 0
    assert "training changed none of the identifiers\n" in show("numeric").out
    assert "after training" not in show("numeric").out
    assert json.loads(show("numeric", "--json").out)[0]["changed"] == 0
    said = show("numeric,textual/title").out
    assert "training changed none of the identifiers of numeric/sequential\n" in said


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
        (
            ["set/setrec", "--set=set.encoder=backbone"],
            "encoder=backbone of set/setrec needs a pretrained backbone; 'm",
        ),
    ],
)
def test_a_mistake_is_one_line(show: Bench, words: list[str], said: str) -> None:
    found = show(*words)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith(f"bench: {said}")
