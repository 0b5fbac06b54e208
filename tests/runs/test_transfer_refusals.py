"""What cannot be tested on unseen data, and plugins that can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.data.joined import join
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.users import UserIds
from bench.runs.matrix import Plan, resolve
from bench.runs.request import Request
from bench.runs.transfer_run import _read_alike, refuse
from bench.vocabulary import Vocabulary

Bench = Callable[..., SimpleNamespace]


RunFolders = Callable[[Path], list[Path]]


FAST = ["--set=max_steps=2"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["--id-scheme=numeric"],
            "--zero-shot moor was asked for, but numeric/sequential cannot name the items of another catalogue: its "
            "numbers follow the training histories of the catalogue, of which an unseen one has none; use a scheme "
            "whose vocabulary transfers, such as textual",
        ),
        (
            ["--id-scheme=textual/title,numeric/independent"],
            "every item has a token of its own, and that of an unseen item ",
        ),
        (
            ["--id-scheme=semantic/rqkmeans"],
            "semantic/rqkmeans cannot name the items of another catalogue: its texts are compared by tfidf-svd, which "
            "is made for one catalogue; with encoder=hashed, a sentence encoder or a file of vectors it can; use a",
        ),
        (["--id-scheme=set/setrec"], "its texts are compared by tfidf-svd, which is made for one catalogue; with enc"),
        (["--id-scheme=set/cf-only"], "it knows items by who took them, and nobody has taken those of an unseen cat"),
        (
            ["--id-scheme=semantic/rqvae", "--set=semantic.encoder=hashed"],
            "what makes its codes is learned on the items of one catalogue, and is not kept; use a scheme",
        ),
        (
            ["--baseline=max+1"],
            "--zero-shot moor was asked for, but baseline max+1 reads numbers that are given to the items of one "
            "catalogue; fit it there with a run of its own: --baseline max+1 --dataset moor",
        ),
        (
            ["--zero-shot=PARK"],
            "--zero-shot park was asked for, but the model is trained on it, in 'toy+park'; name a ",
        ),
        (["--zero-shot=MOOR+PARK"], "--zero-shot moor+park was asked for, but the model is trained on it, in "),
        (["--zero-shot=nowhere"], "unknown data set 'nowhere'; known: beauty, "),
        (["--dataset=TOY+TOY"], "'toy+toy' joins 'toy' to itself; "),
        (
            ["--zero-shot=BARE", "--set=missing_text=refuse"],
            "textual identifiers need text for every item: 30 of 30 items have none",
        ),
        (
            ["--zero-shot=MOOR+BARE", "--adapt=0,5", "--set=part_power=0.5"],
            "part_power=0.5 does not hold for the users of 'moor+bare' that --adapt 5 takes; test its data sets apart "
            "(--zero-shot moor,bare), or leave part_power at 1",
        ),
        (["--zero-shot=FEW"], "at least 20 items are needed for the metrics of the report, which go up to hit@20"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_trained(
    bench: Bench, words: list[str], folders: dict[str, str], toy: Dataset, tmp_path: Path, more: list[str], said: str
) -> None:
    write_atomic(replace(toy, name="bare", items=ItemTable(toy.items.ids, {})), tmp_path / "bare")
    few = replace(toy, items=ItemTable(("a", "b", "c"), {"title": ("x", "y", "z")}))
    few = replace(few, sequences=Sequences(toy.sequences.values % 3, toy.sequences.offsets), name="few")
    write_atomic(few, tmp_path / "few")
    sources = {**folders, "bare": str(tmp_path / "bare"), "few": str(tmp_path / "few")}
    for name, folder in sources.items():
        more = [word.replace(name.upper(), folder) for word in more]
    told = bench(*words, *more, "--results", tmp_path / "results")
    assert told.code == 1
    errors = [line for line in told.err.splitlines() if line.startswith("bench: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "results" / "runs").exists()


def test_a_part_need_not_have_what_the_whole_has(toy: Dataset, park: Dataset, tmp_path: Path) -> None:
    (scheme,), contract, preset = resolve(Plan(["numeric/category"], [], ["toy+park"], preset="smoke"))

    def asked(dataset: Dataset) -> None:
        refuse(Request(scheme, dataset, contract, 0, preset, tmp_path), [])

    asked(join([toy, park]))
    with pytest.raises(BenchError, match="category identifiers need a column of categories"):
        asked(park)


def test_all_leaves_out_what_cannot_be_tested_on_the_unseen(
    bench: Bench, run_folders: Callable[[Path], list[Path]], words: list[str], tmp_path: Path
) -> None:
    said = bench(*words, *FAST, "--baseline=all", "--results", tmp_path)
    assert said.code == 0, said.err
    left = "skipped in 'all' on toy+park: max+1: --zero-shot moor was asked for, but baseline max+1 reads numbers "
    assert sum(line.startswith(left) for line in said.err.splitlines()) == 1
    assert {folder.parent.parent.name.partition("@")[0] for folder in run_folders(tmp_path)} >= {"textual.title", "pop"}


PLUGIN = '''
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary


def named(items, vocabulary):
    return TokenIds.from_lists([vocabulary.ids([f"t{item}"]) for item in range(len(items))], vocabulary)


class Keeper(IdScheme):
    """Keeps a word in the run, and asks for it when it transfers."""

    name = "mine/keeper"
    supports_transfer = True

    def fit(self, train):
        return named(train.items, Vocabulary.private(f"t{item}" for item in range(99)))

    def save_state(self, folder):
        (folder / "generator.txt").write_text("kept")

    def transfer(self, trained, target, kept):
        assert (kept / "generator.txt").read_text() == "kept"
        assert not trained.training and not any(p.requires_grad for p in trained.parameters())
        assert len(target.sequences) == 0 and len(target.sequences.values) == 0
        return named(target.items, trained.ids.vocabulary)


class Foreign(Keeper):
    name = "mine/foreign"

    def transfer(self, trained, target, kept):
        return named(target.items, Vocabulary.private(["x", *(f"t{item}" for item in range(30))]))


class Short(Keeper):
    name = "mine/short"

    def transfer(self, trained, target, kept):
        return named(target.items.ids[1:], trained.ids.vocabulary)
'''


def test_a_plugin_finds_what_it_kept_and_is_held_to_the_vocabulary(
    bench: Bench, quick: list[str], folders: dict[str, str], run_folders: RunFolders, tmp_path: Path
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    rest = [*quick, *FAST, "--zero-shot", folders["moor"], "--results", tmp_path / "results", "--seed"]
    said = bench("run", "--id-scheme", f"{plugin}:Keeper", *rest, "0,1")
    assert said.code == 0, said.err
    assert len(run_folders(tmp_path / "results")) == 4
    assert bench("run", "--id-scheme", f"{plugin}:Foreign", *rest, "0").err.splitlines()[-1] == (
        "bench: transfer of mine/foreign wrote 'moor' in a vocabulary of 34 rows, which is not the trained model's of "
        "102; it must use trained.ids.vocabulary"
    )
    assert bench("run", "--id-scheme", f"{plugin}:Short", *rest, "0").err.splitlines()[-1] == (
        "bench: transfer of mine/short returned 29 identifiers for the 30 items of 'moor'; it must return one "
        "identifier for each item, in catalogue order"
    )


def test_users_of_the_trained_data_are_not_those_of_the_unseen() -> None:
    ids = TokenIds.from_lists([[3], [4, 3]], Vocabulary.private("ab"))
    trained = replace(ids, users=UserIds(np.array([[3]], np.int32), np.array([1], np.int32)))
    found = _read_alike(trained, trained)
    assert isinstance(found, TokenIds)
    assert found.users is None
    assert found.append_eos
    assert found.tokens is ids.tokens
