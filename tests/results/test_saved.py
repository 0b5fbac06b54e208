"""A finished run at work again: the same ranks, recommendations by original ids, and one line for what is broken."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoTokenizer, T5ForConditionalGeneration

import bench as package
from bench.data import sources
from bench.data.dataset import Dataset, Sequences
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.model.recommender import decoding_of
from bench.results import digests
from bench.results import read as stored
from bench.results.saved import IDS, Saved, contract_of, restore
from bench.training.ranking import evaluate

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]

SCHEMES = "numeric/sequential,textual/title,semantic/rqkmeans"
COLLIDING = ["--set=semantic.levels=2", "--set=semantic.codes=3", "--set=semantic.collisions=none"]


@pytest.fixture(scope="module")
def runs(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a run of each scheme, the semantic one with collisions, and a baseline."""
    results = tmp_path_factory.mktemp("results")
    said = bench("run", "--id-scheme", SCHEMES, "--baseline", "pop", *quick, *COLLIDING, "--results", results)
    assert said.code == 0, said.err
    return results


@pytest.fixture(scope="module")
def saved(runs: Path) -> Saved:
    return package.load("numeric", results=runs)


@pytest.fixture
def copied(runs: Path, run_folders: RunFolders, tmp_path: Path) -> Path:
    """A run that a test may break."""
    return Path(
        shutil.copytree(
            next(run_folder for run_folder in run_folders(runs) if "numeric" in str(run_folder)), tmp_path / "run"
        )
    )


def test_the_restored_recommender_ranks_as_the_run_did(runs: Path, run_folders: RunFolders, toy_folder: Path) -> None:
    split = leave_one_out(sources.find(str(toy_folder), None))
    done = [run_folder for run_folder in run_folders(runs) if (run_folder / IDS).exists()]
    assert len(done) == 3
    for run_folder in done:
        contract = contract_of(stored.read(run_folder / "result.json", "run"))
        ranks, _ = evaluate(restore(run_folder), split.test, decoding_of(contract), 20, Accelerator(cpu=True))
        table = pd.read_parquet(run_folder / "per_user.parquet")
        for name, found in (("rank", ranks.strict), ("code_rank", ranks.code_rank)):
            assert np.array_equal(table[name].to_numpy(float, na_value=np.inf), found), (run_folder, name)
        assert np.array_equal(table["group_size"], ranks.group_size)


def test_recommending_is_ranking_the_catalogue(saved: Saved, toy: Dataset) -> None:
    history = ["i03", "i04", "i06"]
    everything = saved.recommend(history, k=99)  # beyond the beam's width of the contract
    assert sorted(one.item for one in everything) == sorted(toy.items.ids)
    scores = [one.score for one in everything]
    assert scores == sorted(scores, reverse=True)
    exact = package.load(saved.result.folder)
    object.__setattr__(exact.contract, "decoder", "exact")
    brute = {one.item: one.score for one in exact.recommend(history, k=30)}
    assert brute == pytest.approx({one.item: one.score for one in everything}, abs=1e-4)
    titles = dict(zip(toy.items.ids, toy.items.text["title"], strict=True))
    assert all(one.title == titles[one.item] for one in everything)
    ids = saved.recommender.ids
    assert all(one.identifier == ids.vocabulary.decode(ids.code(saved.rows[one.item])) for one in everything)


def test_many_histories_are_answered_as_each_alone(saved: Saved, toy: Dataset) -> None:
    histories = [[toy.items.ids[item] for item in row] for row in (toy.sequences[user] for user in range(40))]
    histories += [[], ["i00"] * 40]
    together = saved.recommend_many(histories * 2, k=3)
    assert len(together) == 2 * 42
    for history, found in zip(histories, together, strict=False):
        alone = saved.recommend(history, k=3)
        assert [one.item for one in found] == [one.item for one in alone]
        assert [one.score for one in found] == pytest.approx([one.score for one in alone], abs=1e-4)
    assert saved.recommend_many([]) == []


@pytest.mark.parametrize("scheme", ["numeric", "pop"])
def test_what_is_gone_through_once_is_read_all_the_same(runs: Path, scheme: str) -> None:
    """A generator that was looked at before would be the empty history, or no history at all."""
    saved = package.load(scheme, results=runs)
    history = ["i03", "i04"]
    expected = saved.recommend(history, 30, exclude_history=True)
    assert len(expected) == 28
    assert saved.recommend((item for item in history), 30, exclude_history=True) == expected
    assert saved.recommend_many((row for row in [history]), 30, exclude_history=True) == [expected]


def test_all_items_are_ranked_without_a_beam_as_wide_as_they_are_many(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Sequences.from_rows([[3, 4]])
    beam = saved.recommender.rank(rows, 30, replace(decoding_of(saved.contract, False), width=30))
    monkeypatch.setattr("bench.model.sequence.beam_search", None)
    found = saved.recommend(["i03", "i04"], 30, exclude_history=False)
    assert [saved.rows[one.item] for one in found] == beam.items[0].tolist()
    assert [one.score for one in found] == pytest.approx(beam.scores[0].tolist(), abs=1e-4)


def test_the_wider_the_beam_the_fewer_users_are_ranked_at_once(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    recommender, decoding = saved.recommender, decoding_of(saved.contract, False)
    monkeypatch.setattr("bench.model.sequence.CERTIFIED", 1)
    inner, depth = int((recommender.trie.count > 0).sum()), recommender.trie.depth
    tokens = recommender.ids.vocabulary.size
    assert recommender.scored(replace(decoding, width=3), 1) == 3 * max(tokens, 3 * depth)  # whoever asked for it
    monkeypatch.setattr("bench.model.sequence.CERTIFIED", decoding.width)
    assert recommender.scored(decoding, decoding.width) == 0  # as the run was tested, if not with a wide beam
    monkeypatch.setattr("bench.model.sequence.CERTIFIED", 1)
    narrow = replace(decoding, width=2)
    assert recommender.scored(narrow, 3) == 3 * max(tokens, 3 * depth)
    assert recommender.scored(narrow, 10**9) == inner * max(tokens, inner * depth)


def test_no_request_groups_the_catalogue_anew(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a million items that took 0.7 s of every request."""
    expected = saved.recommend(["i03", "i04"], k=5)
    monkeypatch.setattr(type(saved.recommender.ids), "groups", None)
    vars(saved.recommender.ids).pop("groups", None)
    assert saved.recommend(["i03", "i04"], k=5) == expected


@pytest.mark.parametrize("length", [0, 1, 19, 25, 30])
def test_the_history_is_left_out_where_that_is_asked_for(saved: Saved, toy: Dataset, length: int) -> None:
    history = list(toy.items.ids[:length])  # of more than 20 items the recommender reads the newest 20
    found = [one.item for one in saved.recommend(history, k=30, exclude_history=True)]
    assert sorted(found) == list(toy.items.ids[length:])
    few = saved.recommend(history, k=4, exclude_history=True)
    assert len(few) == min(4, 30 - length)
    assert not {one.item for one in few} & set(history)
    assert len(saved.recommend(history, k=30, exclude_history=False)) == 30


def test_items_that_share_an_identifier_share_a_score(runs: Path) -> None:
    saved = package.load("semantic/rqkmeans", results=runs)
    groups = saved.recommender.ids.groups
    assert len(set(groups)) < 30
    found = saved.recommend(["i03"], k=30)
    assert len({one.item for one in found}) == 30
    scores: dict[int, set[float]] = {}
    for one in found:
        scores.setdefault(int(groups[saved.rows[one.item]]), set()).add(one.score)
    assert all(len(seen) == 1 for seen in scores.values())
    partner = next(item for item in saved.items if (groups == groups[saved.rows[item]]).sum() > 1)
    without = [one.item for one in saved.recommend([partner], k=30, exclude_history=True)]
    assert len(without) == 29
    assert partner not in without


def test_the_saved_model_opens_in_transformers(runs: Path, run_folders: RunFolders) -> None:
    for run_folder in run_folders(runs):
        if not (run_folder / IDS).exists():
            continue
        ours, theirs = restore(run_folder), T5ForConditionalGeneration.from_pretrained(run_folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(run_folder)
        vocabulary = ours.ids.vocabulary
        assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
        text = vocabulary.decode(ours.ids.code(3))
        assert tokenizer(text, add_special_tokens=False).input_ids == vocabulary.encode(text)
        source = torch.tensor([[*ours.ids.code(3), *ours.ids.code(4), 1]])
        target = torch.tensor([[0, *ours.ids.code(5)]])
        with torch.no_grad():
            logits = theirs(input_ids=source, decoder_input_ids=target).logits
            assert torch.allclose(ours.backbone(source, None, target), logits, atol=1e-4)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda saved: saved.recommend(["i3"]), "unknown item 'i3'; did you mean"),
        (lambda saved: saved.recommend([50]), "ids of items are text; got int 50; write '50'"),
        (lambda saved: saved.recommend(["i03", "lego"]), "unknown item 'lego'; items are named as in the item file"),
        (
            lambda saved: saved.recommend(["i03"], k=0),
            "k, the number of items to recommend, must be a whole number, 1 or more; got 0",
        ),
        (lambda saved: saved.recommend(["i03"], k="3"), "k, the number of items to recommend, must be a whole number"),
        (lambda saved: saved.recommend(["i03"], k=2.5), "k, the number of items to recommend, must be a whole number"),
        (lambda saved: saved.recommend("i03"), "a history is a list of item ids, oldest first; got a text: i03"),
        (lambda saved: saved.recommend({"i03", "i04"}), "a history is a list of item ids, oldest first; got set: "),
        (lambda saved: saved.recommend(None), "a history is a list of item ids, oldest first; got NoneType: None"),
        (lambda saved: saved.recommend_many(["i03", "i04"]), "a history is a list of item ids"),
    ],
)
def test_a_wrong_question_is_one_line(saved: Saved, ask: Callable[[Saved], object], said: str) -> None:
    with pytest.raises(BenchError) as caught:
        ask(saved)
    assert str(caught.value).startswith(said)


def broken(run_folder: Path) -> str:
    with pytest.raises(BenchError) as caught:
        package.load(run_folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_broken_run_hurts_no_other(bench: Bench, runs: Path, run_folders: RunFolders, tmp_path: Path) -> None:
    results = Path(shutil.copytree(runs, tmp_path / "results"))
    folders = {
        run_folder.relative_to(results).parts[2].partition("@")[0]: run_folder for run_folder in run_folders(results)
    }
    lost, other = folders["textual.title"], folders["pop"]
    (lost / "result.json").write_text("{")
    (other / "per_user.parquet").unlink()
    said = bench("recommend", "numeric", "--history", "i03,i04", "--results", results)
    assert said.code == 0, said.err
    assert [line.partition("' is ")[0] for line in said.err.splitlines()] == [
        f"skipped: '{other / 'per_user.parquet'}",
        f"skipped: '{lost / 'result.json'}",
    ]
    said = bench("recommend", "textual", "--history", "i03,i04", "--results", results)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith(f"bench: '{lost / 'result.json'}' is corrupt (")


def test_corruption_is_named(copied: Path) -> None:
    weights, ids = copied / "model.safetensors", copied / IDS
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert f"'{weights}' is corrupt: its SHA-256 differs" in broken(copied)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"'{weights}' is corrupt: its SHA-256 differs" in broken(copied)
    weights.unlink()
    assert f"'{weights}' is missing beside its result.json" in broken(copied)
    weights.write_bytes(whole)
    (copied / "ids.parquet").write_bytes(b"PAR1")
    assert f"'{copied / 'ids.parquet'}' is corrupt: its SHA-256 differs" in broken(copied)
    ids.write_bytes(ids.read_bytes()[:-2])
    assert f"'{ids}' is corrupt: its SHA-256 differs" in broken(copied)
    ids.unlink()
    assert broken(copied) == f"'{ids}' is missing beside its result.json; copy it again, or run it again with --force"


def test_a_contract_from_elsewhere_is_refused(copied: Path) -> None:
    result = json.loads((copied / "result.json").read_text())
    result["contract"]["color"] = "blue"
    (copied / "result.json").write_text(json.dumps(result))
    digests.seal(copied)
    assert "was run under a contract with 'color', unknown here; update bench" in broken(copied)


def test_a_test_of_another_runs_model_names_that_run(copied: Path) -> None:
    result = json.loads((copied / "result.json").read_text())
    result["contract"] |= {"trained_on": "toy+park@123456", "zero_shot": True}
    result["training"] |= {"model": "runs/toy+park/numeric"}
    (copied / "result.json").write_text(json.dumps(result))
    digests.seal(copied)
    said = "is a test of the model in 'runs/toy+park/numeric', which holds it; name that run"
    assert broken(copied) == f"'{copied}' {said}"


def test_a_run_is_found_as_compare_finds_it(runs: Path) -> None:
    assert package.load("textual", results=str(runs)).result.scheme.name == "textual/title"
    assert package.load("pop", results=runs).result.scheme.name == "pop"
    with pytest.raises(BenchError, match="unknown run 'textul'; did you mean"):
        package.load("textul", results=runs)


def test_importing_bench_is_light() -> None:
    code = "import sys, bench; bench.load; assert not {'torch', 'numpy', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_prints_tables_and_json(bench: Bench, runs: Path, saved: Saved) -> None:
    words = ["recommend", "numeric", "--results", runs, "--history", "i03,i04", "-k", "2"]
    said = bench(*words, "--history", "")
    assert said.code == 0, said.err
    assert "numeric/sequential on toy, seed 0" in said.out
    assert "after i03 iron car, i04 wooden car" in said.out
    assert "after nothing" in said.out
    found = json.loads(bench(*words, "--json").out)
    assert list(found) == ["run", "scheme", "dataset", "seed", "recommended"]
    (answer,) = found["recommended"]
    assert answer["history"] == ["i03", "i04"]
    assert answer["items"] == [vars(one) for one in saved.recommend(["i03", "i04"], k=2)]
    assert [
        one["item"] for one in json.loads(bench(*words, "--exclude-history", "--json").out)["recommended"][0]["items"]
    ] == [one.item for one in saved.recommend(["i03", "i04"], k=2, exclude_history=True)]
    missing = bench("recommend", "numeric", "--results", runs, "--history", "i3")
    assert (missing.code, missing.err.startswith("bench: unknown item 'i3'; did you mean")) == (1, True)


def test_a_folder_without_a_run_is_named(bench: Bench, runs: Path, tmp_path: Path) -> None:
    said = bench("recommend", tmp_path, "--history", "i03", "--results", runs)
    expected = f"bench: '{tmp_path}' is a folder without a finished run: there is no result.json in it\n"
    assert (said.code, said.err) == (1, expected)
    said = bench("recommend", tmp_path, "--history", "i03", "--results", tmp_path / "nothing")
    assert (said.code, said.err) == (1, expected)
