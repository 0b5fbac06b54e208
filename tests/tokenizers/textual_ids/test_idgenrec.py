"""The scheme as a whole: its stages, what it keeps, where its generator comes from, and its controls."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from textual_ids import GeneratorOnly, IdGenRec, IdGenRecSettings, RecommenderOnly
from textual_ids.generators import first_writer
from textual_ids.idgenrec import GENERATOR
from textual_ids.learner import GeneratorLearner

from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.runs import scheme_run
from bench.training import checkpoint
from bench.vocabulary import Vocabulary

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
OWN = (
    "bootstrap_epochs=60",
    "bootstrap_rate=0.02",
    "lengths=1",
    "candidates=3",
    "vocabulary=80",
    "generator_share=0.25",
    "generator_rate=3",
)


@pytest.fixture
def call(bench: Bench, quick: list[str], tiny: Path) -> Callable[..., SimpleNamespace]:
    """``call(results, variant, *settings)``: twelve steps, four of them the generator's."""

    def run(results: Path, variant: str = "idgenrec", *settings: str) -> SimpleNamespace:
        own = [f"--set=textual.{line}" for line in (*OWN, f"generator={tiny}", *settings)]
        return bench("run", "--id-scheme", f"textual/{variant}", *quick, *own, "--results", results)

    return run


def stages(run_folder: Path) -> list[tuple[str, int]]:
    training = json.loads((run_folder / "result.json").read_text())["training"]
    return [(stage["name"], stage["steps"]) for stage in training["stages"]]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The weights of everything that is trained, before and after."""
    found = []

    def train(job: Any) -> Any:
        before = {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}
        state = original(job)
        found.append((before, {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}))
        return state

    original = scheme_run.train
    monkeypatch.setattr(scheme_run, "train", train)
    return found


def test_recommender_and_generator_take_turns_and_names_change(
    call: Bench, run_folders: RunFolders, tmp_path: Path, jobs: list[Any]
) -> None:
    assert call(tmp_path).code == 0
    (run_folder,) = run_folders(tmp_path)
    assert stages(run_folder) == [("recommender", 4), ("generator 1", 4), ("recommender 1", 4)]
    training = json.loads((run_folder / "result.json").read_text())["training"]
    assert [stage["best_validation"] is None for stage in training["stages"]] == [
        True,
        True,
        False,
    ]  # names never see it
    (_, first), (before, after), (second, _) = jobs
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator"}
    for name, tensor in first.items():
        assert torch.equal(tensor, after[f"recommender.{name}"])  # what came out of one stage goes through the next
        assert torch.equal(tensor, second[name])
    _, kept = checkpoint.load(run_folder / GENERATOR)  # the one that has been taught names an unseen catalogue
    assert all(torch.equal(tensor, after[f"generator.{name}"]) for name, tensor in kept.items())
    table = pd.read_parquet(run_folder / "ids.parquet")
    assert table["identifier"].is_unique
    assert table["before"].is_unique
    assert (table["identifier"] != table["before"]).sum() > 0
    assert all(name and name == " ".join(name.split()) for name in table["identifier"])


def test_in_two_rounds_each_stage_goes_on_from_the_one_before(
    call: Bench, run_folders: RunFolders, tmp_path: Path, jobs: list[Any]
) -> None:
    assert call(tmp_path, "idgenrec", "rounds=2", "generator_share=0.2").code == 0
    (run_folder,) = run_folders(tmp_path)
    names = ["recommender", "generator 1", "recommender 1", "generator 2", "recommender 2"]
    assert [name for name, _ in stages(run_folder)] == names
    assert sum(steps for _, steps in stages(run_folder)) == 12
    (_, zero), (_, taught), (one, one_after), (two, _), (last, _) = jobs
    for before, after in ((one, zero), (last, one_after)):
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(torch.equal(tensor, taught[name]) for name, tensor in two.items() if name.startswith("generator"))
    assert all(torch.equal(one_after[name], two[f"recommender.{name}"]) for name in one_after)


@pytest.mark.parametrize("users", ["off", "on"])
def test_stopped_in_the_stage_of_the_generator_it_goes_on_to_the_same_end(
    users: str,
    call: Bench,
    run_folders: RunFolders,
    substance: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ("idgenrec", f"users={users}")
    assert call(tmp_path / "whole", *asked).code == 0
    steps = []

    def train(job: Any) -> Any:
        def progress(step: int, *_: object) -> None:
            if isinstance(job.recommender, GeneratorLearner):
                steps.append(step)
                if len(steps) == 2:
                    os.kill(os.getpid(), signal.SIGINT)

        return original(replace(job, progress=progress))

    original = scheme_run.train
    monkeypatch.setattr(scheme_run, "train", train)
    assert call(tmp_path / "stopped", *asked).code == 130
    assert call(tmp_path / "stopped", *asked).code == 0
    assert steps == [1, 2, 3, 4]
    (whole,), (stopped,) = run_folders(tmp_path / "whole"), run_folders(tmp_path / "stopped")
    assert substance(whole) == substance(stopped)


@pytest.mark.parametrize(
    ("variant", "settings", "expected"),
    [
        ("idgenrec", ["first=generator"], [("generator 1", 3), ("recommender 1", 9)]),
        ("idgenrec-rec-only", [], [("recommender", 4), ("recommender 1", 8)]),
        ("idgenrec-rec-only", ["first=generator"], [("recommender 1", 12)]),
        ("idgenrec-rec-only", ["rounds=2"], [("recommender", 2), ("recommender 1", 2), ("recommender 2", 8)]),
        ("idgenrec-gen-only", [], [("generator 1", 12), ("recommender as it began", 0)]),
    ],
)
def test_order_and_controls(
    call: Bench,
    run_folders: RunFolders,
    tmp_path: Path,
    jobs: list[Any],
    variant: str,
    settings: list[str],
    expected: list[tuple[str, int]],
) -> None:
    said = call(tmp_path, variant, *settings)
    assert said.code == 0, said.err
    (run_folder,) = run_folders(tmp_path)
    assert stages(run_folder) == expected
    assert ("before" in pd.read_parquet(run_folder / "ids.parquet")) == (variant != "idgenrec-rec-only")
    if variant == "idgenrec-gen-only":
        kept = {
            name.removeprefix("recommender."): t for name, t in jobs[0][0].items() if name.startswith("recommender")
        }
        assert all(torch.equal(tensor, kept[name]) for name, tensor in jobs[1][1].items())


def test_the_controls_begin_with_the_same_names(toy: Dataset, tiny: Path, tmp_path: Path) -> None:
    settings = IdGenRecSettings(generator=str(tiny), bootstrap_epochs=2, candidates=3, vocabulary=80)
    train = replace(leave_one_out(toy).train, cache=tmp_path)
    views = [replace(train, cached_seconds=[]) for _ in range(3)]
    schemes = (IdGenRec, RecommenderOnly, GeneratorOnly)
    found = [scheme(settings).fit(view) for scheme, view in zip(schemes, views, strict=True)]
    assert len({ids.tokens.tobytes() for ids in found}) == 1
    assert [len(view.cached_seconds) for view in views] == [
        0,
        2,
        2,
    ]  # generator and names have cost all of them the same
    assert views[1].cached_seconds == views[2].cached_seconds
    assert min(views[1].cached_seconds) > 0
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "textual").iterdir()) == ["generator", "names"]
    alone = IdGenRec(settings).fit(replace(train, cache=None))
    assert alone.tokens.tobytes() == found[0].tokens.tobytes()


def test_it_learns_to_write_salient_words(toy: Dataset) -> None:
    """Thirty items of two words and a category, all of whose words are telling."""
    settings = IdGenRecSettings(
        bootstrap_epochs=120, words=2, candidates=4, min_shared=1, vocabulary=120, bootstrap_batch=32
    )
    ids = IdGenRec(settings).fit(leave_one_out(toy).train)
    names = [set(ids.vocabulary.decode(ids.code(item)).split()) for item in range(30)]
    right = [names[item] == set(title.split()) for item, title in enumerate(toy.items.text["title"])]
    assert sum(right) > 24


def test_before_and_after_stand_side_by_side(
    call: Bench, bench: Bench, run_folders: RunFolders, toy_folder: Path, tiny: Path, tmp_path: Path
) -> None:
    own = [f"--set=textual.{line}" for line in (*OWN, f"generator={tiny}")]
    words = ["ids", "show", "textual", "--dataset", toy_folder, "--results", tmp_path, "--item", "i03,i17", *own]
    assert "after training" not in bench(*words).out
    assert call(tmp_path).code == 0
    assert bench(*words).out.count("after training:") == 2
    (shown,) = json.loads(bench(*words, "--json").out)
    table = pd.read_parquet(run_folders(tmp_path)[0] / "ids.parquet").set_index("item")
    for before, after in zip(shown["items"], shown["trained"], strict=True):
        assert before["identifier"] == table.loc[before["item"], "before"]
        assert after["identifier"] == table.loc[after["item"], "identifier"]


# -- where the generator comes from -----------------------------------------------------------------------------------


def a_t5(folder: Path, t5_tokenizer: Path) -> Path:
    """A T5 of no use with T5's tokenizer, as Transformers leaves it."""
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(5)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=32128, **shape)).save_pretrained(folder)
    for file in t5_tokenizer.iterdir():
        if "token" in file.name or file.name == "spiece.model":
            shutil.copy(file, folder)
    return folder


def test_a_checkpoint_is_used_as_it_is(toy: Dataset, t5_tokenizer: Path, tmp_path: Path) -> None:
    folder = a_t5(tmp_path / "generator", t5_tokenizer)
    settings = IdGenRecSettings(generator=str(folder), lengths=1, candidates=3)
    train = leave_one_out(toy).train
    writer = first_writer(settings, train)
    assert writer.vocabulary.language_model
    assert writer.vocabulary.decode(writer.sources[3]) == f"{toy.items.text['title'][3]}; Toys"
    assert writer.model.config.dropout == 0
    ids = IdGenRec(settings).fit(train)
    assert ids.groups.max() == 29
    backbone = Vocabulary.of_language_model(folder, 32128)
    assert IdGenRec(settings).fit(replace(train, language=backbone)).tokens.tobytes() == ids.tokens.tobytes()
    assert IdGenRec(settings).cache_key() != IdGenRec().cache_key()
    other = Vocabulary.trained(["other words"], 40)
    with pytest.raises(BenchError, match="writes other tokens than the backbone reads"):
        IdGenRec(settings).fit(replace(train, language=other))


def test_checkpoints_take_turns_as_well(
    bench: Bench, quick: list[str], run_folders: RunFolders, t5_tokenizer: Path, tmp_path: Path
) -> None:
    """Both models in T5's own vocabulary, as in the paper."""
    folder = a_t5(tmp_path / "t5", t5_tokenizer)
    own = [f"--set=textual.{line}" for line in ("lengths=1", "candidates=3", "generator_share=0.25", "max_history=3")]
    both = [f"--set=backbone={folder}", f"--set=textual.generator={folder}"]
    said = bench("run", "--id-scheme=textual", *quick, *own, *both, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    (run_folder,) = run_folders(tmp_path / "results")
    assert stages(run_folder) == [("recommender", 4), ("generator 1", 4), ("recommender 1", 4)]
    table = pd.read_parquet(run_folder / "ids.parquet")
    assert table["identifier"].is_unique
    assert Vocabulary.of_language_model(folder, 32128).encode(table["identifier"][0]) == table["tokens"][0].tolist()


def test_a_checkpoint_that_is_not_there_is_an_error(toy: Dataset) -> None:
    with pytest.raises(BenchError, match=r"no folder './missing' \(asked for as generator\)"):
        IdGenRec(IdGenRecSettings(generator="./missing")).fit(leave_one_out(toy).train)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"candidates": 0}, "'candidates' must be 1 or more; got 0"),
        ({"max_text": 1}, "'max_text' must be 2 or more; got 1"),
        ({"generator_rate": 0.0}, "'generator_rate' must be above 0"),
        ({"rounds": 4, "generator_share": 0.25}, "4 rounds of generator_share=0.25 leave nothing"),
        ({"generator": "some/checkpoint", "words": 5}, "'words' is for a generator that starts from scratch; 'some/ch"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        IdGenRecSettings(**wrong)
