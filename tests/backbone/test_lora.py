"""Adapters over a frozen base: only they learn, peft opens them, and they lie over their own base alone."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from bench import backbone
from bench.backbone import lora
from bench.backbone.causal import Causal
from bench.backbone.extending import extend
from bench.backbone.protocol import load_trained_state, trained_state, weight_of
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.model.recommender import recommender_for
from bench.vocabulary import Vocabulary

TOKENS = torch.arange(20, 60).view(2, 20)
HISTORIES = Sequences.from_rows([[3, 7], [1], [2, 9, 12, 5], [8, 8, 20]])
CLOSE = {"atol": 1e-4, "rtol": 0}


def contract(folder: Path, **lines: Any) -> Contract:
    return replace(Contract(), backbone=str(folder), adapter="lora", lora_rank=3, **lines)


def adapted(folder: Path, **lines: Any) -> Causal:
    """A base under an adapter that has learned something."""
    torch.manual_seed(3)
    model = backbone.adapted(backbone.load(folder, 0.0), contract(folder, **lines))
    assert isinstance(model, Causal)
    return moved(model)


def moved(model: Causal) -> Causal:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def extended(folder: Path) -> tuple[Causal, Vocabulary, list[int]]:
    """A base with rows for four codes behind its words, under an adapter."""
    language = backbone.language_of(str(folder))
    assert language
    vocabulary, rows = language.extended(["a0", "a1", "b0", "b1"])
    model = backbone.load(folder, 0.0)
    extend(model, language, vocabulary, seed=4)
    found = backbone.adapted(model, contract(folder))
    assert isinstance(found, Causal)
    return moved(found), vocabulary, rows


def stored(model: Causal, folder: Path) -> Path:
    folder.mkdir()
    vocabulary = Vocabulary.private("a")
    backbone.save(model, folder)
    (folder / "config.json").write_text(json.dumps(backbone.export_config(model, vocabulary)))
    return folder


def base_copy(qwen: Path, tmp_path: Path) -> Path:
    """A base that nobody else uses, and that this process has not opened yet."""
    folder = tmp_path / "qwen"
    shutil.copytree(qwen, folder)
    (folder / "vocab.txt").write_text(str(tmp_path))
    return folder


@torch.no_grad()
def ours_of(model: Causal) -> Tensor:
    return model(TOKENS)


def message(call: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_only_the_adapter_learns_and_only_it_is_kept(qwen: Path) -> None:
    model = adapted(qwen, lora_targets="q_proj,o_proj,down_proj")
    language = backbone.language_of(str(qwen))
    assert language
    codes = [language.encode(f"red {number}") for number in range(30)]
    recommender = recommender_for(TokenIds.from_lists(codes, language), model)
    recommender(recommender.collate(HISTORIES, np.array([4, 5, 6, 7]))).backward()
    trained = {name for name, parameter in recommender.named_parameters() if parameter.grad is not None}
    assert {name.split(".")[-4] for name in trained} == {"q_proj", "o_proj", "down_proj"}
    assert all(".lora_" in name for name in trained)
    assert trained_state(recommender).keys() == trained
    assert len(trained) == 2 * 3 * 2  # two matrices, three targets, two layers
    items, rows = np.array([4, 5, 6, 7]), np.zeros(4, np.int64)
    whole = recommender_for(recommender.ids, backbone.load(qwen))  # which has gradients of its weights to compute too
    steps = [each.work(HISTORIES, items, each.input_lengths(HISTORIES), rows).flops for each in (recommender, whole)]
    assert steps[0] < 0.8 * steps[1]  # type: ignore[operator]


def test_new_rows_learn_and_those_of_the_base_do_not(qwen: Path) -> None:
    model, vocabulary, rows = extended(qwen)
    ids = TokenIds.from_lists([[a, b] for a in rows[:2] for b in rows[2:]], vocabulary)
    recommender = recommender_for(ids, model)
    histories = Sequences.from_rows([[1, 2], [3]])
    recommender(recommender.collate(histories, np.array([0, 3]))).backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert "embedding.rows" in learned
    assert "embedding.base" not in learned
    before = torch.cat([model.embedding.base, model.embedding.rows])  # type: ignore[union-attr]
    assert torch.equal(model.embed(torch.arange(model.vocabulary_size)), before)
    hidden = torch.randn(3, model.d_model)
    torch.testing.assert_close(model.logits(hidden), hidden @ before.T)
    torch.testing.assert_close(model.logits(hidden, torch.tensor(rows)), hidden @ before[rows].T)


def test_a_table_in_two_parts_is_put_together_only_where_it_is_asked_for(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 150,000 rows a copy takes longer than a step of decoding, and a property hid it."""
    model = extended(qwen)[0]
    assert not hasattr(model.embedding, "weight")
    assert torch.equal(weight_of(model.embedding), torch.cat([model.embedding.base, model.embedding.rows]))  # type: ignore[union-attr]
    monkeypatch.setattr(torch, "cat", lambda *given: pytest.fail("a table was copied"))
    assert (model.device, model.d_model) == (torch.device("cpu"), model.embedding.embedding_dim)


def test_new_rows_are_drawn_like_those_that_are_there(qwen: Path) -> None:
    language = backbone.language_of(str(qwen))
    assert language
    vocabulary, rows = language.extended([f"c{number}" for number in range(600)])
    drawn = []
    for seed in (4, 4, 5):
        model = backbone.load(qwen)
        old = model.embedding.weight.detach().clone()
        extend(model, language, vocabulary, seed)
        assert torch.equal(model.embedding.weight[: rows[0]], old[: rows[0]])
        drawn.append(model.embedding.weight[rows].detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    known = old[: rows[0]]
    torch.testing.assert_close(drawn[0].mean(0), known.mean(0), atol=0.005, rtol=0)
    torch.testing.assert_close(drawn[0].std(0), known.std(0), atol=0.005, rtol=0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_peft_opens_what_was_trained(qwen: Path, tmp_path: Path) -> None:
    model = adapted(qwen, lora_targets="q_proj,v_proj,gate_proj")
    folder = stored(model, tmp_path / "adapter")
    assert not (folder / "model.safetensors").exists()
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(qwen), folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours_of(model), theirs(TOKENS).logits, **CLOSE)
        merged = theirs.merge_and_unload()(TOKENS).logits
    torch.testing.assert_close(ours_of(model), merged, **CLOSE)
    assert not torch.allclose(ours_of(model), ours_of(backbone.load(qwen).eval()), atol=1e-2)  # type: ignore[arg-type]


def test_an_adapter_is_read_over_its_base_with_its_rows(qwen: Path, tmp_path: Path) -> None:
    alone, grown = adapted(qwen, base_precision="bf16"), extended(qwen)[0]
    own = backbone.adapted(backbone.load(qwen, 0.0).with_vocabulary(90), contract(qwen))
    assert isinstance(own, Causal)
    for name, model in {"alone": alone, "grown": grown, "own": moved(own)}.items():
        again = backbone.load(stored(model, tmp_path / name))
        assert again.signature.replace("dropout=None", "dropout=0.0") == model.signature
        assert torch.equal(ours_of(again.eval()), ours_of(model))  # type: ignore[arg-type]
        assert trained_state(again).keys() == trained_state(model).keys()
        assert (tmp_path / name / "rows.safetensors").exists() == (name != "alone")


def test_what_is_merged_is_a_model_of_its_own_that_computes_the_same(qwen: Path, tmp_path: Path) -> None:
    alone, grown = adapted(qwen, lora_targets="q_proj,v_proj,down_proj"), extended(qwen)[0]
    own = backbone.adapted(backbone.load(qwen, 0.0).with_vocabulary(90), contract(qwen))
    assert isinstance(own, Causal)
    for name, model in {"alone": alone, "grown": grown, "own": moved(own)}.items():
        whole, folder = lora.merged(model).eval(), tmp_path / name
        assert not [name for name in whole.state_dict() if ".lora_" in name or "base" in name]
        torch.testing.assert_close(ours_of(whole), ours_of(model), **CLOSE)
        folder.mkdir()
        backbone.save_whole(model, Vocabulary.private("a"), folder)
        theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
        with torch.no_grad():
            torch.testing.assert_close(theirs(TOKENS).logits, ours_of(model), **CLOSE)
    plain = backbone.load(qwen, 0.0)
    assert isinstance(plain, Causal)
    assert lora.merged(plain) is plain


def test_a_base_in_half_precision_is_merged_as_it_is_and_one_in_eight_bits_is_not(qwen: Path) -> None:
    half = adapted(qwen, base_precision="bf16")
    difference = (ours_of(lora.merged(half).eval()) - ours_of(half)).abs().max()
    assert difference < 0.05 * ours_of(half).abs().max()  # only what goes in is no longer rounded
    small = adapted(qwen)
    small.adapter = replace(small.adapter, precision="int8")
    assert "an adapter over a base in eight bits cannot be merged" in message(lambda: lora.merged(small))


def test_a_copy_shares_the_base_and_trains_alone(qwen: Path) -> None:
    model = adapted(qwen)
    copied = model.copied()
    ours, others = dict(model.named_parameters()), dict(copied.named_parameters())
    assert ours.keys() == others.keys()
    for name, parameter in ours.items():
        assert (parameter is others[name]) == (not parameter.requires_grad), name
    copied.unfreeze()
    assert trained_state(copied).keys() == trained_state(model).keys()
    other = adapted(qwen, lora_dropout=0.0)
    load_trained_state(other, trained_state(model))
    assert torch.equal(ours_of(other), ours_of(model))
    with pytest.raises(RuntimeError, match="the stored parameters are of another model"):
        load_trained_state(backbone.load(qwen), trained_state(model))


def test_a_base_in_half_precision_is_nearly_the_same(qwen: Path) -> None:
    half, whole = adapted(qwen, base_precision="bf16"), adapted(qwen)
    stored_as = {parameter.dtype for parameter in half.parameters() if not parameter.requires_grad}
    assert stored_as == {torch.bfloat16, torch.float32}  # norms and embeddings stay
    assert {parameter.dtype for parameter in half.parameters() if parameter.requires_grad} == {torch.float32}
    difference = (ours_of(half) - ours_of(whole)).abs().max()
    assert 0 < difference < 0.05 * ours_of(whole).abs().max()


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_what_an_adapter_needs_is_said_before_anything_is_trained(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = contract(qwen)
    backbone.require(asked)
    expected = {
        "'mini' starts from scratch; give backbone= the folder or the hub name of a Qwen2 or Llama, such as": replace(
            asked, backbone="mini"
        ),
        "unknown LoRA target 'query'": replace(asked, lora_targets="q_proj,query"),
        "unknown LoRA target ''": replace(asked, lora_targets=" "),
        f"'lora_rank' must be at most 32, the width of backbone '{qwen}'": replace(asked, lora_rank=33),
        "vocabulary=extended needs a pretrained backbone; 'qwen-mini'": replace(
            Contract(), backbone="qwen-mini", vocabulary="extended"
        ),
    }
    for text, given in expected.items():
        assert text in message(lambda given=given: backbone.require(given))  # type: ignore[misc]
    for gone, text in {"bitsandbytes": "base_precision=int8 needs bitsandbytes", "peft": "needs peft"}.items():
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, gone=gone: None if name == gone else name)
        assert text in message(lambda: backbone.require(replace(asked, base_precision="int8")))


def test_an_adapter_over_eight_bits_says_what_it_needs(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens it has no other precision to choose."""
    folder = stored(adapted(qwen), tmp_path / "adapter")
    config = json.loads((folder / "config.json").read_text())
    config["adapter"]["precision"] = "int8"
    (folder / "config.json").write_text(json.dumps(config))
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else spec(name))
    said = message(lambda: backbone.load(folder))
    needed = "needs bitsandbytes, which is not installed: pip install bitsandbytes"
    assert said == f"the adapter in '{folder}', over a base in int8, {needed}"
    asked = contract(qwen, base_precision="int8")
    assert message(lambda: backbone.require(asked)) == f"base_precision=int8 {needed}, or give base_precision=bf16"


def test_an_encoder_decoder_has_no_adapter(tiny: Path, tmp_path: Path) -> None:
    shutil.copy(tiny, tmp_path / "config.json")
    (tmp_path / "model.safetensors").write_bytes(b"")
    said = message(lambda: backbone.require(contract(tmp_path)))
    assert f"adapter=lora is for models of kind qwen2, llama; backbone '{tmp_path}' is of kind t5" in said


def test_an_adapter_lies_over_its_own_base_alone(qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_copy(qwen, tmp_path)
    folder = stored(adapted(base), tmp_path / "adapter")
    monkeypatch.setattr(lora, "_ASKED", [])  # as in a process of its own
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    said = message(lambda: backbone.load(folder))
    assert f"'{folder}' holds an adapter of 'qwen' (" in said
    assert said.endswith("), which is not in '.'; set $BENCH_BASES to the folder that 'qwen' lies in")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"base": "qwen"', '"base": "some/qwen"'))
    said = message(lambda: backbone.load(folder))
    assert (
        "set $BENCH_BASES to the folder that it lies in: the base of an adapter 'some/qwen' is no folder here" in said
    )
    (folder / "config.json").write_text(config)
    monkeypatch.setenv("BENCH_BASES", str(tmp_path))
    before = ours_of(backbone.load(folder).eval())  # type: ignore[arg-type]
    (base / "vocab.txt").write_text("another")
    said = message(lambda: backbone.load(folder))
    assert f"but '{base}' is another model, or has changed (" in said
    (base / "vocab.txt").write_text(str(tmp_path))
    monkeypatch.setenv("BENCH_BASES", str(qwen.parent))  # where another base of that name lies
    assert f"but '{qwen}' is another model, or has changed (" in message(lambda: backbone.load(folder))
    backbone.require(contract(base))  # a run that was asked for with it by its path finds it
    assert torch.equal(ours_of(backbone.load(folder).eval()), before)  # type: ignore[arg-type]


def test_adapters_of_another_base_or_in_pieces_are_refused(qwen: Path, tmp_path: Path) -> None:
    folder = stored(extended(qwen)[0], tmp_path / "adapter")
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name: tensor.repeat(2, 2) for name, tensor in weights.items()}, file)
    assert "belongs to another base than 'qwen': its layers differ" in message(lambda: backbone.load(folder))
    save_file({name.replace("layers.1", "layers.7"): tensor for name, tensor in weights.items()}, file)
    assert "belongs to another base than 'qwen'" in message(lambda: backbone.load(folder))
    save_file(weights, file)
    (folder / "rows.safetensors").unlink()
    assert "has no rows.safetensors, which an adapter is in" in message(lambda: backbone.load(folder))
    file.unlink()
    assert "has no adapter_model.safetensors" in message(lambda: backbone.load(folder))


def test_an_adapter_that_does_not_say_whose_it_is_is_refused(qwen: Path, tmp_path: Path) -> None:
    folder = stored(adapted(qwen), tmp_path / "adapter")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "adapter": {"base": "qwen"}}))
    assert "does not say whose adapter it is" in message(lambda: backbone.load(folder))
    del config["adapter"]
    (folder / "config.json").write_text(json.dumps(config))
    said = message(lambda: backbone.load(folder))
    assert "holds an adapter and not the model under it; merge it into its base with peft's merge_and_unload" in said


STRANGE = [
    *(("rank", value) for value in (0, -1, "x", 10**9, 2.5, True, None)),
    *(("alpha", value) for value in ("x", None, float("nan"), -1, [1])),
    *(("dropout", value) for value in ("x", 2, -1, None, float("nan"))),
    *(("targets", value) for value in ([], ["nope"], ["norm"], "q_proj", [1], [".*"], ["layers"])),
    *(("precision", value) for value in ("int4", None, 5)),
    *(("base", value) for value in ("../../etc", "/etc", "", ".", "~/x", "qwen/../qwen", "a\0b", None, 5)),
    *(("own_from", value) for value in (-1, "x", True)),
    ("digest", None),
]


@pytest.mark.parametrize(("line", "value"), STRANGE)
def test_lines_of_an_adapter_that_nobody_has_written_are_refused(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, value: object
) -> None:
    """Nothing is looked for where a stranger's file points to, and nothing is made of his numbers."""
    folder = stored(adapted(qwen), tmp_path / "adapter")
    monkeypatch.setenv("BENCH_BASES", str(qwen.parent))
    config = json.loads((folder / "config.json").read_text())
    config["adapter"][line] = value
    (folder / "config.json").write_text(json.dumps(config))
    said = message(lambda: backbone.load(folder))
    assert f"has an adapter with {line}=" in said
    assert "\n" not in said


def test_an_adapter_without_the_size_of_its_vocabulary_is_refused(qwen: Path, tmp_path: Path) -> None:
    folder = stored(adapted(qwen), tmp_path / "adapter")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": None}))
    assert "no whole number for vocab_size" in message(lambda: backbone.load(folder))


def test_an_adapter_over_an_adapter_is_refused(qwen: Path, tmp_path: Path) -> None:
    folder = stored(adapted(qwen), tmp_path / "adapter")
    again = backbone.load(folder)
    assert backbone.adapted(again, replace(Contract(), backbone=str(folder))) is again  # trained further as it is
    said = message(lambda: backbone.adapted(again, contract(folder)))
    assert "is an adapter already; leave adapter=lora out to train it further" in said


@pytest.mark.filterwarnings("ignore")  # the library says on which devices it is slow
def test_a_base_in_eight_bits_is_nearly_the_same_and_read_back(qwen: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="base_precision=int8 is for machines with bitsandbytes")
    small, whole = adapted(qwen, base_precision="int8"), adapted(qwen)
    assert trained_state(small).keys() == trained_state(whole).keys()
    assert all(".lora_" in name for name in trained_state(small))
    load_trained_state(small, trained_state(whole))
    difference = (ours_of(small) - ours_of(whole)).abs().max()
    assert 0 < difference < 0.1 * ours_of(whole).abs().max()
    again = backbone.load(stored(small, tmp_path / "adapter"))
    assert torch.equal(ours_of(again.eval()), ours_of(small))  # type: ignore[arg-type]
