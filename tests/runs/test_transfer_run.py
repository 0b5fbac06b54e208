"""One model on several data sets: tested on each part and on unseen data, without training, and marked as such."""

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
import torch
from textual_ids import IdGenRec
from textual_ids.generators import kept_writer

from bench.backbone import huggingface
from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.formats import write_atomic
from bench.data.joined import join
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids import storage
from bench.model.recommender import Decoding, recommender_for
from bench.results import digests
from bench.results.read import load
from bench.runs import run as one_run
from bench.runs import scheme_run, subjects
from bench.training import checkpoint

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
Substance = Callable[[Path], dict[str, Any]]

# Scores of one identifier then do not depend on which others there are, so that they can be compared.
PLAIN = ["--set=normalize=vocabulary", "--set=objective=vocabulary", "--set=decoder=exact", "--set=max_steps=8"]
FAST = ["--set=max_steps=2"]


@pytest.fixture(scope="module")
def done(bench: Bench, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of both schemes that transfer, ranked exactly."""
    results = tmp_path_factory.mktemp("transfer")
    said = bench(*words, "--id-scheme=textual/title,numeric/random", *PLAIN, "--results", results)
    assert said.code == 0, said.err
    return results


def run_of(results: Path, dataset: str, scheme: str = "textual/title") -> Path:
    (found,) = [result for result in load(results) if (result.dataset.name, result.scheme.name) == (dataset, scheme)]
    return found.folder


def stored(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "result.json").read_text()))


def test_validation_of_each_part_stands_beside_the_joined_one(done: Path, toy: Dataset, park: Dataset) -> None:
    count = int(stored(run_of(done, "toy+park"))["contract"]["validation_users"])
    asked = leave_one_out(join([toy, park])).validation.parted(count, 0)[0].users
    share = float((asked < len(toy.users)).mean())
    assert 0.3 < share < 0.7
    for scheme in ("textual/title", "numeric/random"):
        training = stored(run_of(done, "toy+park", scheme))["training"]
        looks = [point for point in training["curve"] if "ndcg@10" in point]
        assert looks
        for point in looks:
            mean = share * point["ndcg@10/toy"] + (1 - share) * point["ndcg@10/park"]
            assert point["ndcg@10"] == pytest.approx(mean)
        best = next(point for point in looks if point["step"] == training["best_step"])
        assert training["best_validation"] == best["ndcg@10"]
        assert training["best_validation_parts"] == {name: best[f"ndcg@10/{name}"] for name in ("toy", "park")}
        log = [json.loads(line) for line in (run_of(done, "toy+park", scheme) / "log.jsonl").read_text().splitlines()]
        assert log == training["curve"]
    assert "best_validation_parts" not in stored(run_of(done, "toy"))["training"]


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_the_model_its_parts_and_the_unseen_are_runs_of_their_own(done: Path, toy: Dataset, park: Dataset) -> None:
    found = {(result.scheme.name, result.dataset.name): result for result in load(done)}
    assert sorted(found) == [
        (scheme, data) for scheme in ("numeric/random", "textual/title") for data in ("moor", "park", "toy", "toy+park")
    ]
    whole = found["textual/title", "toy+park"]
    assert whole.dataset.joined
    assert (whole.trained_on, whole.zero_shot, whole.split["test_users"]) == ("", False, 80)
    expected = {"toy": (False, 40, 40), "park": (False, 40, 40), "moor": (True, 0, 40)}
    for name, (zero_shot, train_users, test_users) in expected.items():
        result = found["textual/title", name]
        assert (result.trained_on, result.zero_shot) == ("toy+park", zero_shot)
        assert result.contract["trained_on"] == f"toy+park@{join([toy, park]).fingerprint[:6]}"
        assert {key: result.contract[key] for key in whole.contract} == whole.contract
        assert result.contract_id != whole.contract_id
        assert (result.split["train_users"], result.split["test_users"]) == (train_users, test_users)
        assert result.costs.parameters == whole.costs.parameters
        assert result.costs.training_seconds == whole.costs.training_seconds
        assert stored(result.folder)["training"]["model"] == whole.path
        assert sorted(path.name for path in result.folder.iterdir()) == [
            "ids.parquet",
            "per_user.parquet",
            "result.json",
            "result.sha256",
        ]
        assert len(result.table) == test_users
    parts = [found["textual/title", name].table for name in ("toy", "park")]
    assert sorted(parts[0].users) == sorted(toy.users)
    assert whole.table.users.tolist() == sorted(f"{name}:{user}" for name in ("toy", "park") for user in toy.users)


def test_parts_are_tested_when_they_are_asked_for(bench: Bench, folders: dict[str, str], tmp_path: Path) -> None:
    both, results = f"{folders['toy']}+{folders['park']}", tmp_path / "results"
    words = ["run", "--baseline=pop", "--preset=smoke", "--dataset", both, "--zero-shot", folders["moor"]]
    assert bench(*words, "--no-parts", "--results", results).code == 0
    assert sorted(run.dataset.name for run in load(results)) == ["moor", "toy+park"]
    assert bench("report", "--results", results, "--request", tmp_path / "again.toml").code == 0
    assert "parts = false" in (tmp_path / "again.toml").read_text()
    before = (run_of(results, "toy+park", "pop") / "result.json").stat()
    assert bench(*words, "--results", results).code == 0
    assert sorted(run.dataset.name for run in load(results)) == ["moor", "park", "toy", "toy+park"]
    assert (run_of(results, "toy+park", "pop") / "result.json").stat() == before
    assert bench("report", "--results", results, "--request", tmp_path / "all.toml").code == 0
    assert "parts" not in (tmp_path / "all.toml").read_text()


@pytest.mark.parametrize("scheme", ["textual/title", "numeric/random"])
def test_a_part_is_ranked_as_the_whole_without_the_items_of_the_others(
    done: Path, toy: Dataset, park: Dataset, scheme: str
) -> None:
    home = run_of(done, "toy+park", scheme)
    ids, _ = storage.load(home / "ids.safetensors")
    whole = recommender_for(ids, huggingface.load(home, 0.0)).eval()
    test = leave_one_out(join([toy, park])).test
    ranked = whole.rank(test.histories, 60, Decoding("exact"))
    for number, name in enumerate(("toy", "park")):
        table = pd.read_parquet(run_of(done, name, scheme) / "per_user.parquet")
        for row, (user, rank) in enumerate(zip(table["user"], table["rank"], strict=True), start=40 * number):
            own = [item for item in ranked.items[row].tolist() if item // 30 == number]
            assert rank == own.index(int(test.items[row])) + 1, (name, user)
        shown = pd.read_parquet(run_of(done, name, scheme) / "ids.parquet")
        assert [tuple(code) for code in shown["tokens"]] == [ids.code(30 * number + item) for item in range(30)]


def test_what_is_read_back_is_what_was_tested(done: Path, toy: Dataset, park: Dataset) -> None:
    home = run_of(done, "toy+park")
    ids, _ = storage.load(home / "ids.safetensors")
    test = leave_one_out(join([toy, park])).test
    ranked = recommender_for(ids, huggingface.load(home, 0.0)).eval().rank(test.histories, 60, Decoding("exact"))
    table = pd.read_parquet(home / "per_user.parquet")
    expected = [ranked.items[row].tolist().index(item) + 1 for row, item in enumerate(test.items.tolist())]
    assert table["rank"].tolist() == expected


# -- the unseen -------------------------------------------------------------------------------------------------------


def test_the_unseen_is_named_in_the_vocabulary_of_the_model(done: Path, moor: Dataset) -> None:
    trained, _ = storage.load(run_of(done, "toy+park") / "ids.safetensors")
    shown = pd.read_parquet(run_of(done, "moor") / "ids.parquet")
    assert shown["item"].tolist() == list(moor.items.ids)
    assert len({tuple(code) for code in shown["tokens"]}) == 30
    for title, identifier, code in zip(shown["title"], shown["identifier"], shown["tokens"], strict=True):
        assert trained.vocabulary.decode(code) == identifier
        words = title.replace("żuraw", "").split()  # no toy and no tree has a ż
        assert set(identifier.split()) <= {*words, *map(str, range(2, 31))}
        few = {word for word in words if len(trained.vocabulary.encode(word)) <= 2}
        assert few <= set(identifier.split())


def test_an_unseen_copy_of_the_data_is_ranked_as_the_data_itself(
    bench: Bench, quick: list[str], toy: Dataset, run_folders: RunFolders, tmp_path: Path
) -> None:
    ids = tuple(f"copy of {item}" for item in toy.items.ids)
    write_atomic(replace(toy, name="copy", items=replace(toy.items, ids=ids)), tmp_path / "copy")
    said = bench(
        "run", "--id-scheme=textual/title", *quick, *FAST, "--zero-shot", tmp_path / "copy", "--results", tmp_path
    )
    assert said.code == 0, said.err
    one, other = (pd.read_parquet(run_folder / "per_user.parquet") for run_folder in run_folders(tmp_path))
    same = ["user", "rank", "code_rank", "group_size", "popularity", "history_length"]
    assert one[same].equals(other[same])
    assert one[["warm_rank", "cold_rank"]].isna().all(axis=None)  # what is warm, only the model's own data can tell
    assert [f"copy of {target}" for target in other["target"]] == one["target"].tolist()
    assert one["rank"].notna().sum() > 0


def test_interactions_of_the_unseen_change_neither_identifiers_nor_weights(
    bench: Bench, words: list[str], done: Path, moor: Dataset, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in run_of(done, "toy+park").iterdir()}
    mixed = np.random.default_rng(1).permutation(moor.sequences.values)
    write_atomic(replace(moor, sequences=Sequences(mixed, moor.sequences.offsets)), tmp_path / "moor")
    again = bench(*words, *PLAIN, "--zero-shot", tmp_path / "moor", "--results", done)
    assert again.code == 0, again.err
    assert {path: path.read_bytes() for path in before} == before
    results = [
        result for result in load(done) if (result.dataset.name, result.scheme.name) == ("moor", "textual/title")
    ]
    assert len({result.dataset.fingerprint for result in results}) == 2
    shown = [pd.read_parquet(result.folder / "ids.parquet") for result in results]
    assert shown[0]["item"].tolist() == shown[1]["item"].tolist()
    assert shown[0].drop(columns="item").map(str).equals(shown[1].drop(columns="item").map(str))
    for result in results[1:]:
        for path in result.folder.iterdir():
            path.unlink()  # the results of the other tests have one moor
        result.folder.rmdir()


def test_text_of_the_unseen_changes_no_bit_of_the_model(
    bench: Bench, words: list[str], moor: Dataset, tmp_path: Path
) -> None:
    text = {name: tuple(f"zebra {cell[::-1]}" for cell in column) for name, column in moor.items.text.items()}
    write_atomic(replace(moor, items=replace(moor.items, text=text)), tmp_path / "other" / "moor")
    write_atomic(moor, tmp_path / "same" / "moor")
    kept = []
    for name in ("same", "other"):
        results = tmp_path / f"{name}-results"
        said = bench(*words, *FAST, "--zero-shot", tmp_path / name / "moor", "--results", results)
        assert said.code == 0, said.err
        home = run_of(results, "toy+park")
        files = ("ids.parquet", "ids.safetensors", "tokenizer.json", "model.safetensors", "per_user.parquet")
        kept.append({file: (home / file).read_bytes() for file in files})
    assert kept[0] == kept[1]


def test_how_the_unseen_is_named_is_tested_anew_and_trains_nothing(
    bench: Bench, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*words, *FAST, "--id-scheme=textual/title", "--results", tmp_path]
    assert bench(*asked).code == 0
    monkeypatch.setattr(scheme_run, "train", never)
    said = bench(*asked, "--set=textual/title.pieces=1")
    assert said.code == 0, said.err
    assert said.err.count("finished already in") == 3
    settings = sorted(result.scheme.settings.get("pieces", 0) for result in load(tmp_path))
    assert settings == [0, 0, 0, 1, 2]


# -- going on ---------------------------------------------------------------------------------------------------------


def never(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be done here")


def test_stopped_after_training_only_what_is_missing_is_done(
    bench: Bench,
    words: list[str],
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bench(*words, *FAST, "--results", tmp_path / "whole").code == 0
    transferred = one_run.transferred

    def stop(request: Any, *rest: Any) -> Any:
        if request.dataset.name == "park":
            raise KeyboardInterrupt
        return transferred(request, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(one_run, "transferred", stop)
        assert bench(*words, *FAST, "--results", tmp_path / "stopped").code == 130
    assert len(run_folders(tmp_path / "stopped")) == 2
    monkeypatch.setattr(scheme_run, "train", never)
    said = bench(*words, *FAST, "--results", tmp_path / "stopped")
    assert said.code == 0, said.err
    found = [run_folders(tmp_path / name) for name in ("whole", "stopped")]
    assert len(found[0]) == 4
    for one, other in zip(*found, strict=True):
        assert one.relative_to(tmp_path / "whole") == other.relative_to(tmp_path / "stopped")
        assert substance(one) == substance(other)
    monkeypatch.setattr(one_run, "transferred", never)
    assert bench(*words, *FAST, "--results", tmp_path / "stopped").err.count("finished already in") == 4


def test_a_test_of_weights_that_are_gone_is_done_again(
    bench: Bench, words: list[str], run_folders: RunFolders, tmp_path: Path
) -> None:
    assert bench(*words, *FAST, "--results", tmp_path).code == 0
    home = run_of(tmp_path, "toy+park")
    other = huggingface.load(home)
    other.embedding.weight.data.mul_(2)
    huggingface.save_weights(other, home)
    result = json.loads((home / "result.json").read_text())
    result["files"]["model.safetensors"] = digests.of_file(home / "model.safetensors")
    (home / "result.json").write_text(json.dumps(result))
    digests.seal(home)
    said = bench(*words, *FAST, "--results", tmp_path)
    assert said.code == 0
    for name in ("toy", "park", "moor"):
        title = f"textual/title on {name}, trained on toy+park, seed 0"
        assert f"{title}: its model has changed since, so it is run again" in said.err
    assert bench(*words, *FAST, "--results", tmp_path).err.count("finished already in") == 4


# -- what can't be done -----------------------------------------------------------------------------------------------


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_reports_and_lists_say_which_model_it_is(
    bench: Bench, quick: list[str], done: Path, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    alone = ["run", "--id-scheme", "textual/title", *quick, *PLAIN, "--dataset", folders["moor"], "--results", done]
    assert bench(*alone).code == 0
    assert bench("report", "--results", done).code == 0
    chapters = (done / "report.md").read_text().split("\n## ")
    moor, toy = (next(part for part in chapters if part.startswith(f"{name}\n")) for name in ("moor", "toy"))
    rows = [line.split("|")[1].strip() for line in moor.splitlines() if line.startswith("| textual")]
    assert {"textual/title", "textual/title, zero-shot from toy+park"} <= set(rows)
    assert "the rows were not made under one contract" in moor
    (said,) = re.findall(r"- \*zero-shot\*: \*\*(.*): no interaction of these data was learned from\*\*", moor)
    unseen = [f"{name}, zero-shot from toy+park" for name in ("numeric/random", "textual/title")]
    assert said in (", ".join(unseen), ", ".join(reversed(unseen)))  # the better first
    assert "textual/title, trained on toy+park: not trained on these data alone**" in toy
    assert "**trained_on**=" in moor
    assert "trained on toy+park has no result" not in moor
    listed = bench("ls", "--results", done).out
    assert [line.split("  ")[-1].strip() for line in listed.splitlines() if line.startswith("moor/")].count(
        "zero-shot from toy+park"
    ) == 2


def test_a_trained_generator_names_the_unseen(
    bench: Bench, words: list[str], tiny: Path, moor: Dataset, tmp_path: Path
) -> None:
    own = (
        f"generator={tiny}",
        "bootstrap_epochs=40",
        "candidates=3",
        "lengths=1",
        "bootstrap_rate=0.02",
        "generator_share=0.4",
    )
    own = (*own, "generator_rate=30", "vocabulary=80")
    said = bench(
        *words, "--id-scheme=textual/idgenrec", *(f"--set=textual.{line}" for line in own), "--results", tmp_path
    )
    assert said.code == 0, said.err
    home, unseen = (run_of(tmp_path, name, "textual/idgenrec") for name in ("toy+park", "moor"))
    scheme = IdGenRec(subjects.settings(IdGenRec, dict(line.split("=") for line in own)))
    ids, vocabulary = pd.read_parquet(unseen / "ids.parquet"), storage.load(home / "ids.safetensors")[0].vocabulary
    assert ids["identifier"].is_unique
    view = TrainView("moor", moor.items, Sequences.from_rows([]), seed=0)
    trained = SimpleNamespace(ids=SimpleNamespace(vocabulary=vocabulary))
    expected = scheme.transfer(trained, view, home)  # type: ignore[arg-type]
    assert ids["tokens"].map(tuple).tolist() == [expected.code(item) for item in range(30)]
    kept = checkpoint.load(home / "generator.safetensors")[1]
    again = kept_writer(scheme.settings, view, vocabulary, home / "generator.safetensors").model.state_dict()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    (home / "generator.safetensors").write_bytes(b"")
    with pytest.raises(BenchError, match=r"generator.safetensors' is corrupt"):
        scheme.transfer(trained, view, home)  # type: ignore[arg-type]
