"""A scheme through its stages: fitted once, trained from the backbone asked for, tested once, saved for others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import tokenizers
import torch

from bench.data.dataset import Dataset
from bench.data.splits import Targets, leave_one_out
from bench.model.recommender import Recommender
from bench.runs import scheme_run, subjects
from bench.runs.fitting import fit_key

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


# -- fitting ----------------------------------------------------------------------------------------------------------


def test_identifiers_are_made_once(bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path) -> None:
    words = ["run", "--id-scheme", "textual/title", *quick, "--results", tmp_path, "--set", "max_steps=1"]
    said = [bench(*words, *more) for more in ([], ["--set", "dropout=0.2"], ["--seed=1"], ["--set", "textual.words=1"])]
    assert [told.code for told in said] == [0, 0, 0, 0]
    assert ["making identifiers for 30 items" in told.err for told in said] == [True, False, True, True]
    assert len(list((tmp_path / "cache" / "ids").iterdir())) == 3
    assert len(run_folders(tmp_path)) == 4


def test_a_key_knows_all_that_identifiers_depend_on(toy: Dataset, plugin: str) -> None:
    train = leave_one_out(toy).train

    def key(name: str = f"{plugin}:Alternating", seed: int = 0, **settings: str) -> str:
        cls = subjects.load_scheme(name)
        return fit_key(cls(subjects.settings(cls, settings)), leave_one_out(toy, seed).train)

    keys = [
        key(),
        key(f"{plugin}:Short"),
        key(seed=1),
        key("textual/title"),
        key("textual/title", words="6"),
        key("numeric"),
    ]
    assert len(set(keys)) == 6
    assert key() == keys[0] == fit_key(subjects.load_scheme(f"{plugin}:Alternating")(), train)
    Path(plugin).write_text(Path(plugin).read_text() + "\n# another thought\n")
    assert key() != keys[0]


def test_one_identifier_too_few_is_refused(bench: Bench, quick: list[str], plugin: str, tmp_path: Path) -> None:
    said = bench("run", "--id-scheme", f"{plugin}:Short", *quick, "--results", tmp_path / "results")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        "bench: mine/short made 29 identifiers for 30 items; fit must return one for each item, in catalogue order"
    )


def test_identifiers_of_other_users_than_the_views_are_refused(
    bench: Bench, quick: list[str], plugin: str, tmp_path: Path
) -> None:
    said = bench("run", "--id-scheme", f"{plugin}:Strangers", *quick, "--results", tmp_path / "results")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        "bench: mine/strangers made identifiers for 3 users of 40; "
        "fit must return one for each row of train.sequences, in their order, or none at all"
    )


# -- stages -----------------------------------------------------------------------------------------------------------


def test_stages_share_the_budget_and_stopped_between_them_go_on(
    bench: Bench,
    quick: list[str],
    plugin: str,
    run_folders: RunFolders,
    substance: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["run", "--id-scheme", f"{plugin}:Alternating", *quick, "--set=epochs=8", "--results"]
    assert bench(*words, tmp_path / "whole").code == 0
    (whole,) = run_folders(tmp_path / "whole")
    log = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in log if "ndcg@10" in line] == [
        ("first", 6),
        *(("second", step) for step in (6, 12, 18)),
    ]
    training = json.loads((whole / "result.json").read_text())["training"]
    assert (training["steps"], training["epochs"]) == (24, 8)
    assert log == training["curve"]
    assert [(stage["name"], stage["steps"], stage["budget_fraction"]) for stage in training["stages"]] == [
        ("first", 6, 0.25),
        ("second", 18, 0.75),
    ]
    assert training["tested"] == "second"

    monkeypatch.setenv("STOP_BETWEEN", "1")
    assert bench(*words, tmp_path / "stopped").code == 130
    monkeypatch.delenv("STOP_BETWEEN")
    assert bench(*words, tmp_path / "stopped").code == 0
    (stopped,) = run_folders(tmp_path / "stopped")
    assert substance(stopped) == substance(whole)
    assert (stopped / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()


def test_the_next_stage_starts_from_the_weights_of_the_last(
    bench: Bench, quick: list[str], plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def train(job: Any) -> Any:
        seen.append([p.clone() for p in job.recommender.parameters()])
        state = original(job)
        seen.append([p.clone() for p in job.recommender.parameters()])
        return state

    original = scheme_run.train
    monkeypatch.setattr(scheme_run, "train", train)
    assert bench("run", "--id-scheme", f"{plugin}:Alternating", *quick, "--results", tmp_path).code == 0
    equal = [all(map(torch.equal, seen[a], seen[b])) for a, b in ((1, 2), (0, 1), (2, 3))]
    assert equal == [True, False, False]


# -- what is read, and what is left -----------------------------------------------------------------------------------


def test_validation_reads_its_sample_and_test_is_read_once(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Dataset
) -> None:
    read: list[Targets] = []

    def evaluate(recommender: Any, targets: Targets, *rest: Any) -> Any:
        read.append(targets)
        return original(recommender, targets, *rest)

    original = scheme_run.evaluate
    monkeypatch.setattr(scheme_run, "evaluate", evaluate)
    assert bench("run", "--id-scheme=numeric", *quick, "--set=validation_users=9", "--results", tmp_path).code == 0
    split = leave_one_out(toy)
    assert [len(targets) for targets in read] == [9, 9, 40]
    for sample in read[:2]:
        assert sample.items.tolist() == split.validation.take(sample.users).items.tolist()
        assert sample.users.tolist() == read[0].users.tolist() == sorted(set(sample.users.tolist()))
    assert read[2].items.tolist() == split.test.items.tolist()


def test_the_encoder_reads_no_more_tokens_than_the_contract_says(
    bench: Bench, quick: list[str], tmp_path: Path, trained: list[Recommender], toy: Dataset
) -> None:
    for tokens in ("512", "11"):
        words = ["--set=max_steps=1", f"--set=max_tokens={tokens}", "--results", tmp_path]
        assert bench("run", "--id-scheme=numeric", *quick, *words).code == 0
    longest = [int(model.input_lengths(leave_one_out(toy).test.histories).max()) for model in trained]
    assert longest[0] > 30
    assert longest[1] == 10  # two numbers of four digits, a comma between them, and the end


@pytest.mark.parametrize("scheme", ["numeric", "textual/title"])
def test_transformers_opens_what_was_trained(
    bench: Bench,
    quick: list[str],
    run_folders: RunFolders,
    tmp_path: Path,
    trained: list[Recommender],
    toy: Dataset,
    scheme: str,
) -> None:
    from transformers import T5ForConditionalGeneration

    assert bench("run", "--id-scheme", scheme, *quick, "--results", tmp_path).code == 0
    ours, (run_folder,) = trained[0], run_folders(tmp_path)
    theirs, info = T5ForConditionalGeneration.from_pretrained(run_folder, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch = ours.collate(leave_one_out(toy).test.histories, leave_one_out(toy).test.items)
    tokens, mask, labels = batch["tokens"], batch["mask"], batch["labels"]
    assert tokens is not None
    assert labels is not None
    start = torch.cat([torch.zeros(len(labels), 1, dtype=torch.long), labels[:, :-1].clamp(min=0)], 1)
    with torch.no_grad():
        expected = theirs.eval()(input_ids=tokens, attention_mask=mask, decoder_input_ids=start).logits
        found = ours.backbone(tokens, mask, start)
    assert (found - expected).abs().max() < 1e-4
    assert theirs.config.decoder_start_token_id == ours.ids.vocabulary.pad
    assert theirs.config.eos_token_id == ours.ids.vocabulary.eos

    table = pd.read_parquet(run_folder / "ids.parquet")
    tokenizer = tokenizers.Tokenizer.from_file(str(run_folder / "tokenizer.json"))
    assert table["item"].tolist() == list(toy.items.ids)
    assert [tuple(code) for code in table["tokens"]] == [ours.ids.code(item) for item in range(30)]
    assert [tokenizer.decode(list(code)) for code in table["tokens"]] == table["identifier"].tolist()
    assert table["identifier"].nunique() == 30


def test_a_baseline_needs_no_words(bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path) -> None:
    assert bench("run", "--baseline=pop", *quick, "--set=template=sampled", "--results", tmp_path).code == 0
    assert len(run_folders(tmp_path)) == 1


@pytest.mark.parametrize("training", ["windows", "shared"])
def test_whole_words_go_with_the_t5_from_stage_to_stage(
    bench: Bench, quick: list[str], plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: str
) -> None:
    """Zero before the first stage; the second starts with what the first has learned. A row for every item that is
    shown in ranking, and no more, however many are read for many targets.
    """
    tables: list[torch.Tensor] = []

    def train(job: Any) -> Any:
        tables.append(job.recommender.backbone.whole_words.weight.detach().clone())
        state = original(job)
        tables.append(job.recommender.backbone.whole_words.weight.detach().clone())
        return state

    original = scheme_run.train
    monkeypatch.setattr(scheme_run, "train", train)
    words = ["run", "--id-scheme", f"{plugin}:Alternating", *quick, "--set=whole_words=true", "--set=max_history=5"]
    words.append(f"--set=training={training}")
    assert bench(*words, "--results", tmp_path).code == 0
    assert [table.shape for table in tables] == [(6, 16)] * 4
    assert not tables[0].any()
    assert tables[1].any()
    assert torch.equal(tables[1], tables[2])
    assert not torch.equal(tables[2], tables[3])


NUMBERED = """
import numpy as np
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme, Stage
from bench.vocabulary import Vocabulary

class Numbered(IdScheme):
    name = "mine/numbered"

    def fit(self, train):
        digits = Vocabulary.private("0123456789")
        return TokenIds.from_lists([digits.ids(f"{item + SHIFT:03d}") for item in range(len(train.items))], digits)

    def stages(self, train, ids):
        yield Stage(ids)
        MORE
"""


def test_a_changed_scheme_does_not_go_on_with_what_the_old_one_trained(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identifiers of a stopped run may be made by other code when it is started again."""
    mine, trained = tmp_path / "mine.py", []
    train = scheme_run.train
    monkeypatch.setattr(scheme_run, "train", lambda job: trained.append(job.path.exists()) or train(job))
    words = ["run", "--id-scheme", f"{mine}:Numbered", *quick, "--results", tmp_path / "results"]

    def start(shift: str, stop: bool) -> Any:
        mine.write_text(NUMBERED.replace("SHIFT", shift).replace("MORE", "raise KeyboardInterrupt" if stop else ""))
        return bench(*words)

    assert start("100", stop=True).code == 130
    assert start("200", stop=False).code == 0
    assert trained == [False, False]
    assert "the file that defines it has changed since, so it is run again" in start("300", stop=False).err
    assert trained == [False, False, False]
    assert "finished already" in start("300", stop=False).err


def test_fit_must_return_identifiers(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(NUMBERED.replace("return TokenIds", "TokenIds").replace("SHIFT", "0").replace("MORE", ""))
    said = bench("run", "--id-scheme", f"{mine}:Numbered", *quick, "--results", tmp_path / "results")
    assert (
        said.err.splitlines()[-1]
        == "bench: fit of mine/numbered returned NoneType; it must return TokenIds, VectorIds, SlotIds"
    )


def test_a_scheme_of_ones_own_needs_a_name_of_its_own(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(NUMBERED.replace("mine/numbered", "pop").replace("SHIFT", "0").replace("MORE", ""))
    said = bench("run", "--id-scheme", f"{mine}:Numbered", *quick, "--results", tmp_path / "results")
    assert (said.code, "the name 'pop' is taken by an installed plugin of bench.baselines" in said.err) == (1, True)


def test_stages_cannot_take_more_than_the_budget(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(NUMBERED.replace("SHIFT", "100").replace("MORE", 'yield Stage(ids, "again", budget_fraction=0.5)'))
    said = bench("run", "--id-scheme", f"{mine}:Numbered", *quick, "--results", tmp_path / "results")
    assert said.code == 1
    assert "the stages of mine/numbered ask for 1.50 of the training budget by 'again'" in said.err
