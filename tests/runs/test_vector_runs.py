"""Sets of vectors through whole runs: like any other scheme, with one number more that validation chose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import bench as package
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import VectorIds
from bench.model.recommender import Decoding, Recommender
from bench.model.vector_set import VectorSetRecommender
from bench.results.saved import restore
from bench.runs import scheme_run
from bench.runs.scheme_run import SchemeRun

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
SMALL = ["--set=set.epochs=2", "--set=set.hidden=8", "--set=set.width=8", "--set=set.dimensions=8"]


@pytest.fixture(scope="module")
def run(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("set")
    said = bench("run", "--id-scheme=set,set/cf-only,set/semantic-only,numeric", *quick, *SMALL, "--results", results)
    assert said.code == 0, said.err
    return results


def run_of(run: Path, scheme: str) -> Path:
    return next(run.glob(f"runs/*/set.{scheme}@*/*/0/result.json")).parent


def test_the_result_says_what_was_chosen(run: Path) -> None:
    stored = json.loads((run_of(run, "setrec") / "result.json").read_text())
    found = stored["identifiers"]
    assert (found["tokens_mean"], found["decode_steps"], found["collision_rate"]) == (5.0, 1, 0.0)
    assert round(10 * found["semantic_weight"]) in range(11)
    assert stored["training"]["steps"] == 12
    for control in ("cf-only", "semantic-only"):
        facts = json.loads((run_of(run, control) / "result.json").read_text())["identifiers"]
        assert "semantic_weight" not in facts


def test_the_report_has_them_beside_tokens(bench: Bench, run: Path, tmp_path: Path) -> None:
    asked = ["--out", tmp_path / "r.md", "--html", tmp_path / "r.html", "--figures", tmp_path / "f"]
    said = bench("report", "--results", run, *asked)
    assert said.code == 0, said.err
    text = (tmp_path / "r.md").read_text()
    for words in ("set/setrec", "set/cf-only", "set/semantic-only", "numeric/sequential", "semantic weight"):
        assert words in text


def test_a_finished_run_ranks_again_as_it_was_tested(run: Path, toy: Dataset) -> None:
    for scheme in ("setrec", "cf-only"):
        run_folder = run_of(run, scheme)
        model = restore(run_folder)
        test = leave_one_out(toy).test
        found = model.rank(test.histories, len(toy.items), Decoding())
        ranks = (found.items == test.items[:, None]).argmax(1) + 1
        stored = pd.read_parquet(run_folder / "per_user.parquet")
        assert stored["user"].tolist() == [toy.users[user] for user in test.users]
        inside = stored["rank"].notna().to_numpy()
        assert np.array_equal(stored["rank"][inside], ranks[inside])
        assert (ranks[~inside] > 20).all()


def test_a_head_that_is_missing_or_of_another_run_is_told(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run_of(run, "setrec"), tmp_path / "run")
    shutil.copy(run_of(run, "cf-only") / "head.safetensors", tmp_path / "run")
    with pytest.raises(BenchError, match=r"head\.safetensors' is corrupt: its SHA-256 differs"):
        restore(tmp_path / "run")
    (tmp_path / "run" / "head.safetensors").unlink()
    with pytest.raises(
        BenchError,
        match=r"head\.safetensors' is missing beside its result.json; copy it again, or run it again with --force",
    ):
        restore(tmp_path / "run")


def test_recommending_by_an_index_is_recommending(bench: Bench, run: Path, toy: Dataset) -> None:
    histories = [["i03", "i04"], ["i11"], [toy.items.ids[item] for item in toy.sequences[0]]]
    plain, found = (package.load("set/setrec", results=run, index=index) for index in (None, "Flat"))
    for exclude in (False, True):
        expected = plain.recommend_many(histories, 7, exclude)
        for one, other in zip(expected, found.recommend_many(histories, 7, exclude), strict=True):
            assert [item.item for item in one] == [item.item for item in other]
            assert [item.score for item in one] == pytest.approx([item.score for item in other], abs=1e-4)
    words = ["recommend", "--history", "i03", "--results", run, "--index"]
    assert bench(*words, "Flat", "set/setrec").out == bench(*words[:-1], "set/setrec").out
    assert "numeric/sequential are tokens, which are written and not searched" in bench(*words, "Flat", "numeric").err
    assert "faiss can't build an index 'flatt'" in bench(*words, "flatt", "set/setrec").err


def test_ids_show_names_features_and_the_nearest(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    words = ["ids", "show", "set", "--dataset", toy_folder, "--results", tmp_path, "--item", "i03", *SMALL]
    said = bench(*words)
    assert said.code == 0, said.err
    assert "1 collaborative + 4 semantic" in said.out
    assert "cosine" in said.out
    (shown,) = json.loads(bench(*words, "--json").out)
    assert len(shown["items"][0]["siblings"]) == 5


def test_stopped_and_started_again_it_ends_the_same(
    bench: Bench,
    quick: list[str],
    run: Path,
    run_folders: RunFolders,
    substance: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["run", "--id-scheme=set", *quick, *SMALL, "--results", tmp_path]
    step = scheme_run.Job

    def stopping(**given: Any) -> Any:
        progress, given["progress"] = given["progress"], lambda done, *rest: halt(progress, done, *rest)
        return step(**given)

    def halt(progress: Any, done: int, *rest: Any) -> None:
        progress(done, *rest)
        if done == 8:  # after the first validation, in the middle of an epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scheme_run, "Job", stopping)
        patch.setattr("bench.training.loop.SAVE_EVERY", 0.0)
        assert bench(*words).code == 130
    said = bench(*words)
    assert said.code == 0, said.err
    assert "resuming" in said.err
    (run_folder,) = run_folders(tmp_path)
    assert substance(run_folder) == substance(run_of(run, "setrec"))


def test_the_weight_is_chosen_before_every_validation_and_on_its_users_alone(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Dataset
) -> None:
    read: list[tuple[str, list[int], list[int]]] = []
    calibrate, evaluate = VectorSetRecommender.calibrate, scheme_run.evaluate

    def noted(name: str, original: Any) -> Any:
        def call(model: Recommender, targets: Any, *rest: Any) -> Any:
            read.append((name, targets.users.tolist(), targets.items.tolist()))
            return original(model, targets, *rest)

        return call

    monkeypatch.setattr(VectorSetRecommender, "calibrate", noted("chosen", calibrate))
    monkeypatch.setattr(scheme_run, "evaluate", noted("read", evaluate))
    words = ["--set=validation_users=9", *SMALL, "--results", tmp_path]
    assert bench("run", "--id-scheme=set", *quick, *words).code == 0
    split = leave_one_out(toy)
    assert [name for name, *_ in read] == ["chosen", "read", "chosen", "read", "read"]
    for _, users, items in read[:4]:
        assert users == read[0][1]
        assert items == split.validation.items[users].tolist()
    assert read[4][2] == split.test.items.tolist()


def test_the_best_weights_keep_the_weight_they_were_chosen_with(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two validations, of which the first is better: its weight is what is tested, stored and restored."""
    given = iter([(0.2, 0.9), (0.7, 0.1)])

    def calibrate(model: VectorSetRecommender, *_: Any) -> None:
        weight, score[0] = next(given)
        model.weight.fill_(weight)

    score = [0.0]
    validator = SchemeRun.validator
    monkeypatch.setattr(VectorSetRecommender, "calibrate", calibrate)

    def scored(*mine: Any) -> Callable[[], dict[str, float]]:
        validate = validator(*mine)
        return lambda: dict.fromkeys(validate(), score[0])

    monkeypatch.setattr(SchemeRun, "validator", scored)
    assert bench("run", "--id-scheme=set", *quick, *SMALL, "--results", tmp_path).code == 0
    (run_folder,) = run_folders(tmp_path)
    stored = json.loads((run_folder / "result.json").read_text())
    assert (stored["training"]["best_step"], stored["identifiers"]["semantic_weight"]) == (6, 0.2)
    model = restore(run_folder)
    assert isinstance(model, VectorSetRecommender)
    assert isinstance(model.ids, VectorIds)
    assert torch.equal(model.weight, torch.tensor(0.2))


@pytest.mark.parametrize("line", ["set.attention=repo", "set.negatives=16", "set.cold=mean", "whole_words=true"])
def test_every_option_runs(bench: Bench, quick: list[str], tmp_path: Path, line: str) -> None:
    words = ["--set=max_steps=2", *SMALL, f"--set={line}", "--results", tmp_path]
    said = bench("run", "--id-scheme=set", *quick, *words)
    assert said.code == 0, said.err
