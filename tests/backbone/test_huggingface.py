"""Checkpoints in Hugging Face's format: both ways, whole or sharded, and every way in which they can be broken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import T5Config as PeerConfig
from transformers import T5ForConditionalGeneration

from bench import backbone
from bench.backbone import checkpoints, huggingface, located
from bench.backbone.t5 import T5
from bench.errors import BenchError

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]

KINDS: list[dict[str, Any]] = [
    {"activation": "relu", "tied": True, "scaled": True},
    {"activation": "gelu_new", "gated": True, "tied": False, "scaled": False},
    {"activation": "silu", "gated": True, "tied": False, "scaled": True},
    {"activation": "relu", "tied": True, "scaled": False},
]
SOURCE, TARGET = torch.arange(3, 19).view(2, 8), torch.arange(4, 12).view(2, 4)
MASK = torch.arange(8) < torch.tensor([[8], [5]])


def save(model: T5, folder: Path, **changes: Any) -> Path:
    """A checkpoint as a finished run leaves it; ``changes`` are made to its configuration."""
    folder.mkdir(exist_ok=True)
    save_file(huggingface.export_weights(model), folder / "model.safetensors", {"format": "pt"})
    config = huggingface.export_config(model.config) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


@torch.no_grad()
def ours(model: T5) -> Tensor:
    return model.eval()(SOURCE, MASK, TARGET)


@torch.no_grad()
def theirs(peer: T5ForConditionalGeneration) -> Tensor:
    return peer.eval()(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits


def message(call: Callable[[], object]) -> str:
    """The one line that a user reads."""
    with pytest.raises(BenchError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_transformers_reads_what_we_write(t5: MakeT5, tmp_path: Path, kind: dict[str, Any]) -> None:
    model = t5(**kind)
    peer, report = T5ForConditionalGeneration.from_pretrained(save(model, tmp_path), output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(ours(model), theirs(peer), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_we_read_what_we_write(t5: MakeT5, tmp_path: Path, kind: dict[str, Any]) -> None:
    model = t5(**kind)
    again = huggingface.load(save(model, tmp_path))
    assert again.config == model.config
    assert torch.equal(ours(again), ours(model))


@pytest.mark.parametrize("size", ["5GB", "8KB"], ids=["whole", "sharded"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_we_read_what_transformers_writes(
    t5: MakeT5, peer: MakePeer, tmp_path: Path, kind: dict[str, Any], size: str
) -> None:
    written = peer(t5(**kind))
    written.save_pretrained(tmp_path, max_shard_size=size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (size == "8KB")
    found = huggingface.load(tmp_path)
    assert found.config.tied == kind["tied"]
    torch.testing.assert_close(ours(found), theirs(written), atol=1e-4, rtol=1e-4)


def test_weights_in_half_precision_become_float32(t5: MakeT5, peer: MakePeer, tmp_path: Path) -> None:
    written = peer(t5()).to(torch.bfloat16)
    written.save_pretrained(tmp_path)
    found = huggingface.load(tmp_path)
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}
    torch.testing.assert_close(ours(found), theirs(written.float()), atol=1e-4, rtol=1e-4)


def test_an_output_layer_equal_to_the_embeddings_is_tied(t5: MakeT5, tmp_path: Path) -> None:
    """Older checkpoints store the shared table twice."""
    model = t5()
    file = save(model, tmp_path) / "model.safetensors"
    weights = load_file(file)
    save_file(weights | {"lm_head.weight": weights["shared.weight"].clone()}, file)
    found = huggingface.load(tmp_path)
    assert found.config.tied
    assert torch.equal(ours(found), ours(model))


def test_dropout_is_the_checkpoints_unless_given(t5: MakeT5, tmp_path: Path) -> None:
    folder = save(t5(dropout=0.25), tmp_path)
    assert huggingface.load(folder).config.dropout == 0.25
    assert huggingface.load(folder, dropout=0.0).encoder.blocks[0].attention.dropout == 0.0


def test_t5_1_1_is_told_by_its_configuration() -> None:
    """As the published files have it: `tie_word_embeddings` false stands for an unscaled output layer as well."""
    raw = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6, "num_layers": 8, "vocab_size": 32128}
    old = huggingface.parse_config(raw | {"feed_forward_proj": "relu"}, tied=True)
    new = huggingface.parse_config(raw | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, tied=False)
    assert (old.activation, old.gated, old.scaled, old.decoder_layers) == ("relu", False, True, 8)
    assert (new.activation, new.gated, new.scaled, new.tied) == ("gelu_new", True, False, False)
    for config in (old, new):
        exported = huggingface.export_config(config)
        assert huggingface.parse_config(exported, tied=config.tied) == config
        peer = PeerConfig(**exported)
        assert peer.scale_decoder_outputs == config.scaled
        assert (peer.dense_act_fn, peer.is_gated_act) == (config.activation, config.gated)


@pytest.mark.parametrize("name", sorted(huggingface.SIZES))
def test_named_sizes_start_from_nothing(name: str) -> None:
    assert backbone.is_scratch(name)
    config = huggingface.scratch_config(name, vocabulary=99, dropout=0.2)
    assert (config.vocabulary, config.dropout, config.tied, config.d_model) == (
        *(99, 0.2, True),
        huggingface.SIZES[name]["d_model"],
    )


def test_the_tiger_size_is_as_published() -> None:
    tiger = huggingface.scratch_config("tiger", 10, 0.1)
    shape = (tiger.d_model, tiger.d_ff, tiger.heads, tiger.d_kv, tiger.layers, tiger.decoder_layers, tiger.activation)
    assert shape == (128, 1024, 6, 64, 4, 4, "relu")


def test_any_configuration_may_start_from_nothing(t5: MakeT5, tmp_path: Path) -> None:
    path = save(t5(gated=True, activation="silu", tied=False, scaled=False), tmp_path) / "config.json"
    assert backbone.is_scratch(str(path))
    config = huggingface.scratch_config(str(path), vocabulary=77, dropout=0.0)
    assert (config.vocabulary, config.dropout, config.activation, config.d_model) == (77, 0.0, "silu", 16)
    assert T5(config).embedding.weight.shape == (77, 16)
    assert not backbone.is_scratch("t5-small")


def test_a_new_vocabulary_keeps_the_body(t5: MakeT5) -> None:
    model = t5(tied=False)
    fresh = model.with_vocabulary(9)
    assert fresh.embedding.weight.shape == (9, 16)
    assert fresh.head is None
    kept = {name: value for name, value in fresh.state_dict().items() if name != "embedding.weight"}
    assert len(kept) == len(model.state_dict()) - 2
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in kept.items())


def with_words(t5: MakeT5, folder: Path) -> T5:
    """A T5 with whole-word embeddings, saved as a finished run leaves it."""
    model = t5(whole_words=6)
    assert model.whole_words is not None
    torch.nn.init.normal_(model.whole_words.weight)
    save(model, folder)
    huggingface.save_weights(model, folder)
    return model


def test_whole_word_embeddings_are_ours_alone(t5: MakeT5, tmp_path: Path) -> None:
    """We get them back; Transformers, whose T5 has none, opens the rest without a complaint."""
    model = with_words(t5, tmp_path)
    again = huggingface.load(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    _, report = T5ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    fresh = again.with_vocabulary(9).state_dict()
    assert torch.equal(fresh["whole_words.weight"], model.state_dict()["whole_words.weight"])
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1, "who may read one may read all"
    (tmp_path / "plain").mkdir()
    huggingface.save_weights(t5(), tmp_path / "plain")
    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("table", [{"other": torch.ones(6, 16)}, {"whole_words.weight": torch.ones(6, 15)}])
def test_a_foreign_table_of_whole_words_is_named(t5: MakeT5, tmp_path: Path, table: dict[str, Tensor]) -> None:
    with_words(t5, tmp_path)
    file = tmp_path / checkpoints.WHOLE_WORDS
    save_file(table, file)
    assert f"'{file}' holds no table 'whole_words.weight' of width 16" in message(lambda: huggingface.load(tmp_path))
    file.write_bytes(b"no tensors")
    assert f"'{file}' is corrupt" in message(lambda: huggingface.load(tmp_path))


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert backbone.locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder"])
def test_a_missing_folder_is_named(name: str) -> None:
    assert f"no folder '{name}'" in message(lambda: backbone.locate(name))


def test_the_hub_offline_is_an_error_and_nothing_is_used_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    found = message(lambda: backbone.locate("some-lab/t5-imaginary"))
    assert found.startswith("backbone 'some-lab/t5-imaginary' is no folder here, and not available from the Hugging ")
    assert "Hugging Face hub (LocalEntryNotFoundError" in found
    assert "mini, tiger" in found
    cause = found.partition("(LocalEntryNotFoundError: ")[2].partition("); ")[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in cause, "cut in the middle of a sentence"
    assert cause.startswith("Cannot find") or "." in cause or len(cause) > 20


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError, RepositoryNotFoundError])
def test_every_failure_of_the_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind.__new__(kind, "401 Client Error.\n\nRepository Not Found for url: https://example.org/t5.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    found = message(lambda: backbone.locate("t5-imaginary"))
    assert f"'t5-imaginary' is no folder here, and not available from the Hugging Face hub ({kind.__name__}" in found


def test_the_hub_is_asked_for_no_pickled_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert backbone.locate("t5-small") == tmp_path
    assert asked["name"] == "t5-small"
    assert {"config.json", "model*.safetensors"} <= set(asked["allow_patterns"])
    assert not any("bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])


def test_a_truncated_file_is_named(t5: MakeT5, tmp_path: Path) -> None:
    file = save(t5(), tmp_path) / "model.safetensors"
    for size in (file.stat().st_size - 100, 20, 0):
        file.write_bytes(file.read_bytes()[:size])
        assert f"'{file}' is corrupt or not a safetensors file" in message(lambda: huggingface.load(tmp_path))


@pytest.mark.parametrize(
    "lost", ["decoder.block.1.layer.1.EncDecAttention.v.weight", "encoder.final_layer_norm.weight"]
)
def test_a_missing_tensor_is_named(t5: MakeT5, tmp_path: Path, lost: str) -> None:
    file = save(t5(), tmp_path) / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != lost}, file)
    found = message(lambda: huggingface.load(tmp_path))
    assert lost in found
    assert str(tmp_path) in found


def test_a_missing_shard_is_an_error(t5: MakeT5, peer: MakePeer, tmp_path: Path) -> None:
    peer(t5()).save_pretrained(tmp_path, max_shard_size="8KB")
    next(tmp_path.glob("model-00002-*.safetensors")).unlink()
    assert f"the weights in '{tmp_path}' " in message(lambda: huggingface.load(tmp_path))


def test_a_model_without_embeddings_is_an_error(t5: MakeT5, tmp_path: Path) -> None:
    file = save(t5(), tmp_path) / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != "shared.weight"}, file)
    assert "hold no embedding table 'shared.weight'" in message(lambda: huggingface.load(tmp_path))


def test_weights_of_another_size_than_configured_are_an_error(t5: MakeT5, tmp_path: Path) -> None:
    folder = save(t5(), tmp_path, d_ff=25)
    found = message(lambda: huggingface.load(folder))
    assert str(folder) in found
    assert "feed_forward.inner.weight" in found


def test_pickled_weights_are_not_read(t5: MakeT5, tmp_path: Path) -> None:
    (save(t5(), tmp_path) / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    found = message(lambda: huggingface.load(tmp_path))
    assert f"no model.safetensors in '{tmp_path}'" in found
    assert "pytorch_model.bin" in found
    assert "pickled weights are not read" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps({"model_type": "gpt2", "n_embd": 8}), "describes a 'gpt2' model; bench reads t5, mt5"),
        (json.dumps({"model_type": "umt5", "d_model": 8}), "describes a 'umt5' model; bench reads t5, mt5"),
        (json.dumps(["t5"]), "describes a 'list' model; bench reads t5, mt5"),
        (json.dumps({"model_type": "t5", "d_model": 8, "d_kv": 2}), "no whole number for d_ff, num_heads, num_layers"),
        ("{", "cannot read the model configuration"),
        (None, "cannot read the model configuration"),
    ],
)
def test_a_configuration_of_something_else_is_an_error(
    t5: MakeT5, tmp_path: Path, text: str | None, expected: str
) -> None:
    path = save(t5(), tmp_path) / "config.json"
    path.unlink() if text is None else path.write_text(text)
    found = message(lambda: huggingface.load(tmp_path))
    assert expected in found
    assert str(path) in found
    assert expected in message(lambda: huggingface.scratch_config(str(path), 9, 0.1))


def test_an_unknown_activation_has_a_suggestion(t5: MakeT5, tmp_path: Path) -> None:
    folder = save(t5(), tmp_path, feed_forward_proj="gated-sillu")
    assert "unknown T5 activation 'sillu'; did you mean 'silu'?" in message(lambda: huggingface.load(folder))


def test_a_backbone_is_known_by_its_content(tmp_path: Path) -> None:
    """A name or a path says where weights were found, not which they were."""
    path = tmp_path / "config.json"
    path.write_text('{"d_ff": 32}')
    first = backbone.content_digest(str(path))
    path.write_text('{"d_ff": 64}')
    assert backbone.content_digest(str(path)) != first
    folder = str(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = backbone.content_digest(folder)
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert backbone.content_digest(folder) != before
    assert backbone.content_digest("mini") == ""
    with pytest.raises(BenchError, match=r"cannot read the model configuration 'nowhere\.json'"):
        backbone.content_digest("nowhere.json")


def test_what_is_not_read_of_a_folder_is_not_in_its_digest(tmp_path: Path) -> None:
    """Transformers adds files to a snapshot, and a run's folder holds its result."""
    read = {
        *("config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model"),
        *("vocab.json", "vocab.txt", "merges.txt", "adapter_config.json", "adapter_model.safetensors"),
        *("rows.safetensors", "whole_words.safetensors"),
    }
    content = {name: f"of {name}\n".encode() * 3 for name in read}
    for name, body in content.items():
        (tmp_path / name).write_bytes(body)
    expected = hashlib.sha256()
    for name in sorted(read):
        expected.update(f"{name} {len(content[name])}\n".encode() + content[name])
    assert backbone.content_digest(str(tmp_path)) == expected.hexdigest()[:8]
    for name in ("generation_config.json", "result.json", "README.txt", "chat_template.json", "onnx.safetensors"):
        (tmp_path / name).write_text("{}")
    assert backbone.content_digest(str(tmp_path)) == expected.hexdigest()[:8]
    for name in read:
        (tmp_path / name).write_bytes(content[name] + b" ")
        assert backbone.content_digest(str(tmp_path)) != expected.hexdigest()[:8], name
        (tmp_path / name).write_bytes(content[name])


def test_a_file_is_not_held_in_memory_to_be_digested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, content = tmp_path / "config.json", bytes(range(256)) * 10
    file.write_bytes(content)
    monkeypatch.setattr(located, "AT_ONCE", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("a whole file was read"))
    assert located.digest_of([file]) == hashlib.sha256(b" 2560\n" + content).hexdigest()[:8]


def test_weights_that_their_configuration_leaves_out_are_refused(t5: MakeT5, tmp_path: Path) -> None:
    model = t5()
    for changes, name in (({"num_layers": 1}, "encoder.block.1."), ({"num_decoder_layers": 1}, "decoder.block.1.")):
        folder = save(model, tmp_path / name, **changes)
        assert f"have '{name}layer.0.SelfAttention.k.weight', which the model" in message(
            lambda folder=folder: backbone.load(folder)
        )
    folder = save(model, tmp_path / "rows", vocab_size=50)
    assert "have 40 rows of embeddings, and its config.json says 50" in message(lambda: backbone.load(folder))
