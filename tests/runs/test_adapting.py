"""Few-shot: a model goes on learning from a few users of an unseen data set, and from nobody else there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from trivial_baselines import Markov

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.data.splits import Split, leave_one_out
from bench.errors import BenchError
from bench.results.read import Result, load
from bench.runs import adapting
from bench.runs.adapting import best_of, chosen, few, unfreeze
from bench.training import loop
from bench.training.loop import Job

Bench = Callable[..., SimpleNamespace]
SMALL = {"width": 8, "experts": 2, "layers": 1, "inner": 8, "dropout": 0.0, "adaptor_dropout": 0.0}
LINES = [f"--set=unisrec.{name}={value}" for name, value in {**SMALL, "learning_rate": 0.01}.items()]
SUBJECTS = ["--id-scheme=textual/title", "--baseline=unisrec,markov"]


@pytest.fixture(scope="module")
def moor(toy: Dataset) -> Dataset:
    """The walks of the toys, backwards, over items of other names."""
    backwards = Sequences.from_rows([toy.sequences[user][::-1] for user in range(len(toy.users))])
    items = ItemTable(tuple(f"m{item:02d}" for item in range(30)), toy.items.text)
    return replace(toy, name="moor", items=items, sequences=backwards)


@pytest.fixture(scope="module")
def words(quick: list[str], moor: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("unseen")
    write_atomic(moor, home / "moor")
    return ["run", *SUBJECTS, *quick, *LINES, "--zero-shot", str(home / "moor"), "--adapt", "10,0,30"]


@pytest.fixture(scope="module")
def done(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("adapted")
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    return results


def results_of(results: Path, name: str) -> dict[int, Result]:
    """By the number of users, of one subject on the unseen data set."""
    found = [each for each in load(results) if each.dataset.name == "moor" and each.scheme.name == name]
    return {each.adapted_on: each for each in found}


def stored(result: Result) -> dict[str, Any]:
    return dict(json.loads((result.folder / "result.json").read_text()))


@pytest.fixture(scope="module")
def split(moor: Dataset) -> Split:
    return leave_one_out(moor)


# -- who is learned from -----------------------------------------------------------------------------------------------


def test_fewer_users_are_among_more(split: Split) -> None:
    found = [set(chosen(split.train, count).tolist()) for count in (0, 5, 10, 40)]
    assert [len(users) for users in found] == [0, 5, 10, 40]
    assert found[1] < found[2] < found[3]
    other = replace(split.train, seed=1)
    assert set(chosen(other, 10).tolist()) != found[2]


def test_nobody_else_has_training_or_validation(split: Split) -> None:
    part = few(split, 10)
    users = set(chosen(split.train, 10).tolist())
    for user in range(40):
        expected = split.train.sequences[user].tolist() if user in users else []
        assert part.train.sequences[user].tolist() == expected
    assert set(part.validation.users.tolist()) == users
    assert part.test is split.test


def test_users_without_a_next_item_are_not_drawn(split: Split) -> None:
    rows = [[1], [], [2, 3], [4, 5, 6]]
    train = replace(split.train, sequences=Sequences.from_rows(rows).owned())
    assert chosen(train, 4).tolist() == [2, 3]


# -- what comes of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["textual/title", "unisrec/inductive", "markov"])
def test_every_number_is_a_row_that_says_what_it_saw(done: Path, name: str) -> None:
    found = results_of(done, name)
    assert sorted(found) == [0, 10, 30]
    for users, result in found.items():
        assert result.zero_shot == (users == 0)
        assert result.split["train_users"] == users
        assert result.split["test_users"] == 40
        assert result.origin == (f"adapted on {users} users, from toy" if users else "zero-shot from toy")
        if users:
            assert stored(result)["training"]["adapted"]["users"] == users
            assert result.contract["adapt_epochs"] == adapting.ADAPT_EPOCHS
        assert not {"stage-adapt.safetensors", "context"} & {path.name for path in result.folder.iterdir()}
    tested = [result.table.users.tolist() for result in found.values()]
    assert tested[0] == tested[1] == tested[2]
    assert len({result.contract_id for result in found.values()}) == 3


def test_a_chain_is_fitted_on_the_few_alone(done: Path, split: Split) -> None:
    """What a few users are worth without transfer: the curve that a transferred model has to beat."""
    for users in (10, 30):
        chain = Markov()
        rows = [split.train.sequences[user] if user in chosen(split.train, users) else [] for user in range(40)]
        chain.fit(replace(split.train, sequences=Sequences.from_rows(rows)))
        scores = chain.score(split.test.histories)
        expected = [(row >= row[item]).sum() for row, item in zip(scores, split.test.items, strict=True)]
        table = pd.read_parquet(results_of(done, "markov")[users].folder / "per_user.parquet")
        assert table["rank"].tolist() == expected


def test_a_model_is_never_worse_on_the_users_that_chose(done: Path) -> None:
    scheme = stored(results_of(done, "textual/title")[30])["training"]["adapted"]
    assert scheme["steps"] > 0
    assert scheme["validation_before"] is not None
    curve = stored(results_of(done, "unisrec/inductive")[30])["training"]["adapted"]
    looks = [point["ndcg@10"] for point in curve["curve"] if "ndcg@10" in point]
    assert len(looks) > 1
    assert curve["best_validation"] == max(looks) >= looks[0]


def test_training_that_makes_it_worse_is_taken_back() -> None:
    import torch

    model = torch.nn.Linear(1, 1)
    before = float(model.weight.detach())

    def training() -> int:
        model.weight.data += 1
        return 3

    def validate() -> float:
        return -float(model.weight.detach())

    assert best_of(model, validate, training)["steps"] == 3  # type: ignore[arg-type]
    assert float(model.weight.detach()) == before
    assert best_of(model, None, training) == {"steps": 3, "validation_before": None, "validation_after": None}  # type: ignore[arg-type]
    assert float(model.weight.detach()) == pytest.approx(before + 1)


def test_others_are_read_by_nobody(bench: Bench, words: list[str], done: Path, moor: Dataset, tmp_path: Path) -> None:
    """Other interactions of whoever is not learned from, and other test items: the same curve and the same weights."""
    users = set(chosen(leave_one_out(moor).train, 10).tolist())
    random = np.random.default_rng(0)
    rows = [
        moor.sequences[user] if user in users else random.permutation(moor.sequences[user])
        for user in range(len(moor.users))
    ]
    rows = [np.append(row[:-1], random.integers(30)) for row in rows]
    write_atomic(replace(moor, sequences=Sequences.from_rows(rows)), tmp_path / "moor")
    said = bench(*words, "--zero-shot", tmp_path / "moor", "--adapt", "10", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    for name in ("textual/title", "unisrec/inductive"):
        one, other = (stored(results_of(results, name)[10])["training"] for results in (done, tmp_path / "results"))
        for training in (one, other):
            training["adapted"].pop("seconds")
        assert one["adapted"] == other["adapted"]
        homes = [
            next(each for each in load(results) if (each.dataset.name, each.scheme.name) == ("toy", name)).folder
            for results in (done, tmp_path / "results")
        ]
        weights = [sorted(home.glob("*.safetensors")) for home in homes]
        assert [path.read_bytes() for path in weights[0]] == [path.read_bytes() for path in weights[1]]


# -- going on ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A command, and a results folder in which it has trained a model and was stopped while it adapted it: behind the
    report of a validation, which no checkpoint holds yet.
    """
    results = tmp_path_factory.mktemp("interrupted")
    alone = [word for word in words if not word.startswith(("--baseline", "--set=unisrec"))]
    alone[alone.index("--adapt") + 1] = "30"

    def stopped(job: Job) -> Any:
        def progress(step: int, total: int, stats: Any) -> None:
            job.progress(step, total, stats)
            if step == 4 and "ndcg@10" in stats:
                raise KeyboardInterrupt

        assert job.save_every == 0
        return loop.train(replace(job, progress=progress))

    alone += ["--save-every", "0"]
    with mock.patch.object(adapting, "train", stopped):
        assert bench(*alone, "--results", results).code == 130
    return alone, results


def test_what_was_interrupted_is_resumed_and_its_log_has_every_point_once(
    bench: Bench, interrupted: tuple[list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, stopped = interrupted
    results = shutil.copytree(stopped, tmp_path / "results")
    resumed = resumed_at(monkeypatch)
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    assert resumed == [4]
    log = (results_of(results, "textual/title")[30].folder / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in log if "ndcg@10" in line]
    assert len(steps) == len(set(steps)) > 1


def test_what_was_begun_with_another_model_is_begun_afresh(
    bench: Bench, interrupted: tuple[list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are not those of the model that the result names."""
    words, stopped = interrupted
    results = shutil.copytree(stopped, tmp_path / "results")
    (file,) = (path for path in results.rglob("begun.json") if "moor" in str(path))
    begun = json.loads(file.read_text())
    begun["code"]["its model"] = "01234567"
    file.write_text(json.dumps(begun))
    resumed = resumed_at(monkeypatch)
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    assert "adapted on 30 users, seed 0: its model has changed since it was begun; starting afresh" in said.err
    assert resumed == []


def resumed_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of the checkpoints that are read from now on."""
    restore, found = loop._Run.restore, list[int]()

    def noted(run: Any, state: Any, tensors: Any) -> None:
        found.append(state.step)
        restore(run, state, tensors)

    monkeypatch.setattr(loop._Run, "restore", noted)
    return found


def test_a_base_in_eight_bits_stays_frozen() -> None:
    import torch

    backbone = torch.nn.Linear(1, 1)
    backbone.weight = torch.nn.Parameter(torch.zeros(1, 1, dtype=torch.int8), requires_grad=False)
    backbone.unfreeze = lambda: None  # type: ignore[assignment]
    model = torch.nn.ModuleDict({"backbone": backbone, "head": torch.nn.Linear(1, 1)}).requires_grad_(False)
    model.backbone = backbone
    unfreeze(model)  # type: ignore[arg-type]
    assert [p.requires_grad for p in (backbone.weight, backbone.bias, model["head"].weight)] == [False, True, True]


def test_more_numbers_train_only_what_is_new(
    bench: Bench, words: list[str], done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    fit = loop.train

    def counted(job: Any) -> Any:
        trained.append(len(job.sequences.values))
        return fit(job)

    monkeypatch.setattr(adapting, "train", counted)
    alone = [word for word in words if not word.startswith(("--baseline", "--set=unisrec"))]
    said = bench(*alone, "--adapt", "0,10,20", "--results", done)
    assert said.code == 0, said.err
    assert len(trained) == 1
    assert said.err.count("finished already in") == 3  # the model, and two tests of it
    (added,) = [each for each in load(done) if each.adapted_on == 20]
    for path in added.folder.iterdir():
        path.unlink()
    added.folder.rmdir()


def test_the_report_says_what_each_row_saw(bench: Bench, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert bench("report", "--results", done).code == 0
    text = (done / "report.md").read_text()
    assert "unisrec/inductive, adapted on 30 users, from toy" in text
    assert "learned from few users of these data**; they were drawn by the seed" in text
    listed = bench("ls", "--results", done).out
    assert "adapted on 10 users, from toy" in listed


# -- what can't be done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--adapt=0,41"], "--adapt 41 was asked for, but 'moor' has 40 users to learn from; ask for fewer"),
        (["--adapt=ten"], "--adapt takes whole numbers separated by commas; got 'ten'"),
        (["--baseline=itemknn,unisrec", "--adapt=5"], "--adapt 5 was asked for, but itemknn does not go on learning; "),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    bench: Bench, words: list[str], tmp_path: Path, more: list[str], said: str
) -> None:
    told = bench(*words, *more, "--results", tmp_path)
    assert told.code == 1
    assert said in told.err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_without_an_unseen_data_set_there_is_nobody_to_adapt_to(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    told = bench("run", "--baseline=pop", *quick, "--adapt=10", "--results", tmp_path)
    assert told.err.splitlines()[-1] == (
        "bench: --adapt takes users of unseen data sets, and none is named; add --zero-shot NAME"
    )


def test_a_trained_baseline_without_adapt_says_why(toy: Dataset) -> None:
    from recbole_baselines import ItemKNN

    assert not ItemKNN().adapts
    with pytest.raises(BenchError, match="itemknn cannot be adapted to 'toy': it has a trained vector"):
        ItemKNN().adapt(SimpleNamespace(dataset="toy"), None, None)  # type: ignore[arg-type]
