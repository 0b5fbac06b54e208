"""Runs on decoder-only models: from scratch, pretrained, and under an adapter over a frozen base."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2ForCausalLM

import bench as library
from bench.backbone import causal_files, lora
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.model.recommender import Recommender
from bench.results import saved
from bench.runs import scheme_run

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
LEADING = ("numeric/category+independent", "textual/title", "semantic/rqkmeans", "set/setrec", "set/rpg")
SETS = {
    "set.epochs": 1,
    "set.width": 8,
    "set.hidden": 8,
    "set.dimensions": 8,
}
NETS = {
    **SETS,
    "semantic.dimensions": 8,
    "semantic.codes": 8,
    "set/rpg.quantizer": "pq",
    "set/rpg.slots": 2,
    "set/rpg.codes": 8,
}


def options(**lines: Any) -> list[str]:
    return [f"--set={name}={value}" for name, value in lines.items()]


def only(files: list[Path]) -> Path:
    (folder,) = files
    return folder


@pytest.fixture(scope="module")
def tiny_causal(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The config.json of a model of each kind that trains in no time."""
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    found = {}
    for kind in causal_files.KINDS:
        found[kind] = tmp_path_factory.mktemp(kind) / "config.json"
        found[kind].write_text(json.dumps({**shape, "model_type": kind, "num_key_value_heads": 2}))
    return found


@pytest.mark.parametrize("training", ["windows", "shared"])
def test_the_leading_variant_of_every_family_runs(
    bench: Bench, quick: list[str], tiny_causal: dict[str, Path], run_folders: RunFolders, tmp_path: Path, training: str
) -> None:
    schemes = LEADING if training == "windows" else ("textual/title", "set/setrec")
    lines = options(backbone=tiny_causal["qwen2"], training=training)
    nets = options(**{name: value for name, value in NETS.items() if training == "windows" or name in SETS})
    said = bench("run", "--id-scheme", ",".join(schemes), *quick, *lines, *nets, "--results", tmp_path)
    assert said.code == 0, said.err
    folders = run_folders(tmp_path)
    assert len(folders) == len(schemes)
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        assert config["model_type"] == {"windows": "qwen2", "shared": "bench-shared-qwen2"}[training]
        again = library.load(folder)
        assert len(again.recommend(["i03", "i04"], 5)) == 5


@pytest.mark.parametrize("kind", list(causal_files.KINDS))
def test_transformers_opens_what_was_trained(
    bench: Bench,
    quick: list[str],
    tiny_causal: dict[str, Path],
    run_folders: RunFolders,
    tmp_path: Path,
    trained: list[Recommender],
    toy: Dataset,
    kind: str,
) -> None:
    lines = options(backbone=tiny_causal[kind])
    assert bench("run", "--id-scheme", "textual/title", *quick, *lines, "--results", tmp_path).code == 0
    folder, peers = only(run_folders(tmp_path)), {"qwen2": Qwen2ForCausalLM, "llama": LlamaForCausalLM}
    theirs, info = peers[kind].from_pretrained(folder, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    histories = leave_one_out(toy).test.histories
    source = trained[0].writer.write(histories)  # type: ignore[operator]
    model: Any = trained[0].backbone
    with torch.no_grad():
        expected = theirs.eval()(input_ids=source.tokens, attention_mask=source.mask.long()).logits
        found = model(source.tokens, source.mask)
    assert (found - expected)[source.mask].abs().max() < 1e-4
    assert theirs.config.eos_token_id == trained[0].ids.vocabulary.eos
    restored: Any = saved.restore(folder).backbone
    assert torch.equal(restored(source.tokens, source.mask), found)
    # AutoTokenizer takes whatever stands beside a Qwen2 for Qwen2's own
    tokenizer, vocabulary = PreTrainedTokenizerFast.from_pretrained(folder), trained[0].ids.vocabulary
    for text in ("green robot. Toys", vocabulary.decode(source.tokens[0].tolist())):
        assert tokenizer(text, add_special_tokens=False).input_ids == vocabulary.encode(text)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (vocabulary.pad, vocabulary.eos)


def recommended(model: Any) -> list[tuple[str, float]]:
    return [(found.item, found.score) for found in model.recommend(["i03", "i04", "i05"], 10)]


def test_a_run_keeps_the_adapter_and_the_base_by_its_digest(
    bench: Bench,
    quick: list[str],
    qwen: Path,
    run_folders: RunFolders,
    tmp_path: Path,
    trained: list[Recommender],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = load_file(qwen / "model.safetensors")
    lines = options(backbone=qwen, adapter="lora", lora_rank=2, lora_targets="q_proj,o_proj")
    said = bench("run", "--id-scheme", "textual/title", *quick, *lines, "--results", tmp_path)
    assert said.code == 0, said.err
    folder = only(run_folders(tmp_path))
    assert not (folder / "model.safetensors").exists()
    stored = json.loads((folder / "result.json").read_text())
    assert stored["contract"]["adapter"] == "lora"
    assert (
        stored["contract"]["backbone"]
        == f"qwen@{json.loads((folder / 'config.json').read_text())['adapter']['digest']}"
    )
    assert str(qwen.parent) not in (folder / "adapter_config.json").read_text() + (folder / "config.json").read_text()
    state = trained[0].backbone.state_dict()
    for name, tensor in before.items():
        ours = name.removeprefix("model.").replace("embed_tokens", "embedding")
        targeted = name.split(".")[-2] in ("q_proj", "o_proj")
        ours = ours.replace(".weight", ".base_layer.weight").replace(".bias", ".base_layer.bias") if targeted else ours
        assert torch.equal(state[ours], tensor), name
    assert state["layers.0.self_attn.q_proj.lora_B.default.weight"].abs().sum() > 0
    monkeypatch.setattr(lora, "_ASKED", [])
    monkeypatch.setenv("BENCH_BASES", str(qwen.parent))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = recommended(library.load(folder))
    assert len(found) == 10
    monkeypatch.setenv("BENCH_BASES", str(tmp_path))
    monkeypatch.setattr(lora, "_ASKED", [])
    monkeypatch.chdir(tmp_path)
    said = bench("recommend", folder, "--history", "i03")
    assert said.code != 0
    assert "holds an adapter of 'qwen'" in said.err.splitlines()[-1]


def test_codes_become_words_of_the_language_model(
    bench: Bench,
    quick: list[str],
    qwen: Path,
    run_folders: RunFolders,
    tmp_path: Path,
    trained: list[Recommender],
    toy: Dataset,
) -> None:
    lines = options(backbone=qwen, vocabulary="extended", **{"semantic.dimensions": 8, "semantic.codes": 8})
    said = bench("run", "--id-scheme", "semantic/rqkmeans", *quick, *lines, "--results", tmp_path)
    assert said.code == 0, said.err
    folder, ids = only(run_folders(tmp_path)), trained[0].ids
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = pd.read_parquet(folder / "ids.parquet")
    code = table["tokens"][0].tolist()
    written = tokenizer.convert_ids_to_tokens(code)
    assert all(token.startswith("<|") and token.endswith("|>") for token in written)
    assert tokenizer.encode("".join(written)) == code
    assert ids.vocabulary.language_model
    assert ids.vocabulary.start == tokenizer.convert_tokens_to_ids("<|im_start|>")
    sentence = trained[0].writer.write(leave_one_out(toy).test.histories).tokens[0]  # type: ignore[operator]
    assert tokenizer.decode(sentence).startswith("The user interacted with these items, oldest first:<|")
    theirs = Qwen2ForCausalLM.from_pretrained(folder).eval()
    model: Any = trained[0].backbone
    with torch.no_grad():
        assert (theirs(sentence[None]).logits - model(sentence[None])).abs().max() < 1e-4
    moved = model.embedding.weight[code] - Qwen2ForCausalLM.from_pretrained(qwen).get_input_embeddings().weight[code]
    assert moved.abs().max() > 1e-3


def test_texts_are_read_by_the_backbone_itself(
    bench: Bench, quick: list[str], qwen: Path, run_folders: RunFolders, tmp_path: Path, trained: list[Recommender]
) -> None:
    lines = options(backbone=qwen, **{**SETS, "set.encoder": "backbone", "set.dimensions": 0})
    said = bench("run", "--id-scheme", "set/setrec", *quick, *lines, "--results", tmp_path)
    assert said.code == 0, said.err
    theirs, tokenizer = Qwen2ForCausalLM.from_pretrained(qwen).eval(), AutoTokenizer.from_pretrained(qwen)
    vectors: Any = trained[0].ids.features[1].vectors  # type: ignore[union-attr]
    for item, text in {0: "red car. Toys", 12: "green robot. Toys"}.items():
        tokens: Tensor = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = theirs.model(tokens).last_hidden_state[0]
        np.testing.assert_allclose(vectors[item], states.mean(0).numpy(), atol=1e-4)
    said = bench("run", "--id-scheme", "set/setrec", *quick, "--set=set.encoder=backbone", "--results", tmp_path)
    assert said.code != 0
    assert "encoder=backbone of set/setrec needs a pretrained backbone; " in said.err.splitlines()[-1]


def test_what_was_stopped_ends_as_if_it_had_not_been(
    bench: Bench,
    quick: list[str],
    qwen: Path,
    run_folders: RunFolders,
    substance: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an adapter over a base in half precision, with new rows: the checkpoint holds no weight of the base."""
    lines = {"adapter": "lora", "base_precision": "bf16", "vocabulary": "extended", "semantic.dimensions": 8}
    asked = [
        "run",
        "--id-scheme",
        "semantic/rqkmeans",
        *quick,
        *options(backbone=qwen, **lines, **{"semantic.codes": 8}),
    ]
    assert bench(*asked, "--results", tmp_path / "whole").code == 0
    step = scheme_run.Job

    def stopping(**given: Any) -> Any:
        progress = given["progress"]

        def halt(done: int, *rest: Any) -> None:
            progress(done, *rest)
            if done == 8:
                raise KeyboardInterrupt

        return step(**{**given, "progress": halt})

    words = [*asked, "--results", tmp_path / "stopped"]
    with monkeypatch.context() as patch:
        patch.setattr(scheme_run, "Job", stopping)
        patch.setattr("bench.training.loop.SAVE_EVERY", 0.0)
        assert bench(*words).code == 130
    names = {name for file in tmp_path.rglob("stage-0-*.safetensors") for name in load_file(file)}
    assert any("lora_A" in name for name in names)
    assert not any("mlp" in name or "embedding.base" in name for name in names)
    said = bench(*words)
    assert said.code == 0, said.err
    assert "resuming" in said.err
    one, other = (only(run_folders(tmp_path / name)) for name in ("stopped", "whole"))
    assert substance(one) == substance(other)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            {"adapter": "lora", "backbone": "mini"},
            "adapter=lora needs a pretrained backbone; 'mini' starts from scratch",
        ),
        ({"vocabulary": "extended"}, "vocabulary=extended needs a pretrained backbone"),
        ({"adapter": "lora", "lora_targets": "query", "backbone": "{qwen}"}, "unknown LoRA target 'query'"),
        ({"lora_rank": 3}, "setting 'lora_rank' must be 8 where there is no adapter=lora; got 3"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    bench: Bench, quick: list[str], qwen: Path, tmp_path: Path, lines: dict[str, Any], expected: str
) -> None:
    given = {name: str(value).format(qwen=qwen) for name, value in lines.items()}
    said = bench("run", "--id-scheme", "numeric", *quick, *options(**given), "--results", tmp_path)
    assert said.code != 0
    assert expected in said.err.splitlines()[-1]
