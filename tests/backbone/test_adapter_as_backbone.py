"""An adapter in the place of a backbone: looked at before anything is made for it, and told what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bench import backbone
from bench.backbone import lora
from bench.contract import Contract
from bench.errors import BenchError
from bench.vocabulary import Vocabulary


def message(call: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def base(qwen: Path, tmp_path: Path) -> Path:
    """A base that nobody else uses."""
    folder = Path(shutil.copytree(qwen, tmp_path / "qwen"))
    (folder / "vocab.txt").write_text(str(tmp_path))
    return folder


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """The folder of an adapter as a run keeps it."""
    asked = replace(Contract(), backbone=str(base), adapter="lora")
    model, folder = backbone.adapted(backbone.load(base), asked), tmp_path / "adapter"
    folder.mkdir()
    backbone.save(model, folder)
    (folder / "config.json").write_text(json.dumps(backbone.export_config(model, Vocabulary.private("a"))))
    return folder


def test_what_it_lacks_is_said_before_anything_is_made(
    qwen: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(Contract(), backbone=str(adapter))
    twice = message(lambda: backbone.require(replace(asked, adapter="lora")))
    assert twice == f"backbone '{adapter}' is an adapter already; leave adapter=lora out to train it further"
    weights = adapter / "adapter_model.safetensors"
    weights.rename(tmp_path / "aside")
    assert "has no adapter_model.safetensors" in message(lambda: backbone.require(asked))
    (tmp_path / "aside").rename(weights)
    monkeypatch.setattr(lora, "_ASKED", [])  # as in a process of its own
    monkeypatch.chdir(adapter)
    assert "set $BENCH_BASES to the folder that 'qwen' lies in" in message(lambda: backbone.require(asked))
    monkeypatch.setenv("BENCH_BASES", str(qwen.parent))  # where another base of that name lies
    assert f"but '{qwen}' is another model, or has changed (" in message(lambda: backbone.require(asked))
    monkeypatch.setenv("BENCH_BASES", str(tmp_path))
    backbone.require(asked)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("safe", [True, False])
def test_one_that_peft_has_written_is_told_what_it_is(base: Path, tmp_path: Path, safe: bool) -> None:
    """Without a config.json, in safetensors or pickled."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(str(tmp_path / "theirs"), safe_serialization=safe)
    said = message(lambda: backbone.require(replace(Contract(), backbone=str(tmp_path / "theirs"))))
    assert said.startswith(f"'{tmp_path / 'theirs'}' holds an adapter and not the model under it; merge it into its ")
    shutil.copy(base / "config.json", tmp_path / "theirs")
    assert message(lambda: backbone.load(tmp_path / "theirs")) == said


def test_a_whole_model_beside_an_adapter_is_a_model(base: Path, adapter: Path) -> None:
    shutil.copy(adapter / "adapter_config.json", base)
    backbone.require(replace(Contract(), backbone=str(base)))
