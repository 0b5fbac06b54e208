"""Runs whose backbone is pretrained, and whole words in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from bench.backbone import huggingface
from bench.backbone.numbers import number_tokens
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids.prompts import UNSEEN
from bench.model.recommender import Recommender
from bench.model.sequence import SequenceRecommender

Bench = Callable[..., SimpleNamespace]


RunFolders = Callable[[Path], list[Path]]


def pretrained(folder: Path, t5_tokenizer: Path) -> dict[str, torch.Tensor]:
    """A small T5 with T5's own tokenizer in ``folder``, as Transformers leaves it; its weights."""
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(5)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}
    theirs = T5ForConditionalGeneration(T5Config(vocab_size=32128, decoder_start_token_id=0, **shape))
    theirs.save_pretrained(folder)
    for file in t5_tokenizer.iterdir():
        if "token" in file.name or file.name == "spiece.model":
            shutil.copy(file, folder)
    return dict(theirs.state_dict())


def test_a_pretrained_backbone_is_where_training_starts(
    bench: Bench,
    quick: list[str],
    plugin: str,
    t5_tokenizer: Path,
    tmp_path: Path,
    trained: list[Recommender],
) -> None:
    """Trained at a rate that moves nothing, the model that comes out is the one that went in."""
    expected = pretrained(tmp_path / "backbone", t5_tokenizer)
    frozen = [f"--set=backbone={tmp_path / 'backbone'}", "--set=learning_rate=1e-30", "--set=max_steps=1"]
    schemes = f"numeric,{plugin}:Alternating"
    said = bench("run", "--id-scheme", schemes, *quick, *frozen, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    numeric, private = (model.backbone.state_dict() for model in trained)
    assert torch.equal(numeric["embedding.weight"], expected["shared.weight"])
    assert trained[0].ids.vocabulary.language_model
    assert private["embedding.weight"].shape[0] == 33  # a vocabulary of its own has embeddings of its own
    norm = "encoder.block.0.layer.0.layer_norm.weight"
    for found in (numeric, private):
        assert torch.equal(found["encoder.blocks.0.attention_norm.weight"], expected[norm])
        query = expected["encoder.block.0.layer.0.SelfAttention.q.weight"]
        assert torch.equal(found["encoder.blocks.0.attention.query.weight"], query)
    table = pd.read_parquet(next((tmp_path / "results").rglob("numeric*/*/0/ids.parquet")))
    assert sorted(table["identifier"]) == [str(number) for number in np.arange(1001, 1031)]


def test_a_pretrained_backbone_with_words_prompts_and_new_numbers(
    bench: Bench,
    quick: list[str],
    run_folders: RunFolders,
    t5_tokenizer: Path,
    tmp_path: Path,
    trained: list[Recommender],
    toy: Dataset,
) -> None:
    before = pretrained(tmp_path / "backbone", t5_tokenizer)["shared.weight"]
    asked = ["--set=whole_words=true", "--set=reinitialize=numbers", "--set=template=unseen", "--set=max_steps=2"]
    words = ["run", "--id-scheme=numeric", *quick, f"--set=backbone={tmp_path / 'backbone'}", *asked, "--results"]
    said = bench(*words, tmp_path / "results")
    assert said.code == 0, said.err
    (run_folder,), (model,) = run_folders(tmp_path / "results"), trained
    assert isinstance(model, SequenceRecommender)
    contract = json.loads((run_folder / "result.json").read_text())["contract"]
    assert (contract["whole_words"], contract["reinitialize"], contract["template"]) == (True, "numbers", "unseen")

    vocabulary, moved = model.ids.vocabulary, torch.zeros(32128, dtype=torch.bool)
    moved[number_tokens(vocabulary)] = True
    change = (model.backbone.embedding.weight.detach() - before).abs().amax(1)
    assert change[moved].min() > 0.1
    assert change[~moved].max() < 0.1  # two steps of training
    assert model.backbone.config.whole_words == 21
    assert huggingface.load(run_folder).state_dict()["whole_words.weight"].any()

    source = model.writer.write(leave_one_out(toy).test.histories)
    assert vocabulary.decode(source.tokens[0].tolist()).startswith(UNSEEN.before)
    assert model.prompts == tuple(range(1, 11))

    assert huggingface.load(run_folder).config.whole_words == 21
    shutil.copytree(run_folder, tmp_path / "second")
    again = ["run", "--id-scheme=textual/title", *quick, f"--set=backbone={tmp_path / 'second'}", "--set=max_steps=1"]
    refused = bench(*again, "--results", tmp_path / "results")
    assert refused.code == 1
    assert "was trained with whole-word embeddings, which this contract does not use" in refused.err


@pytest.mark.parametrize("scheme", ["numeric", "textual/title", "set"])
@pytest.mark.parametrize("asked", ["reinitialize=numbers", "template=sampled", "template=unseen"])
def test_words_asked_of_a_backbone_without_them_are_refused_before_anything_is_made(
    bench: Bench, quick: list[str], tiny: Path, tmp_path: Path, scheme: str, asked: str
) -> None:
    said = bench("run", f"--id-scheme={scheme}", *quick, f"--set={asked}", "--results", tmp_path / "results")
    assert said.code == 1
    needs = f"bench: {asked} needs identifiers in a language model's words, but backbone '{tiny}' starts from scratch"
    assert said.err.splitlines()[-1].startswith(needs)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("asked", ["reinitialize=numbers", "template=sampled"])
def test_codes_of_their_own_have_no_words_of_a_pretrained_backbone(
    bench: Bench, quick: list[str], t5_tokenizer: Path, tmp_path: Path, asked: str
) -> None:
    pretrained(tmp_path / "backbone", t5_tokenizer)
    words = [f"--set={asked}", f"--set=backbone={tmp_path / 'backbone'}", "--results", tmp_path]
    said = bench("run", "--id-scheme=numeric/collaborative", *quick, *words)
    assert said.code == 1
    assert f"bench: {asked} needs identifiers in a language model's words, but these have" in said.err.splitlines()[-1]
