"""Qwen2 and Llama of our own against Transformers', on whole sequences, and files that both read and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from bench import backbone, linear
from bench.backbone import causal_files
from bench.backbone.causal import Causal
from bench.errors import BenchError

Make = Callable[..., tuple[Causal, Any]]

LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3["original_max_position_embeddings"] = 32
KINDS: list[dict[str, Any]] = [
    {"kind": "qwen2"},
    {"kind": "qwen2", "tied": False, "num_key_value_heads": 4},
    {"kind": "llama", "tied": False},
    {"kind": "llama", "attention_bias": True, "num_key_value_heads": 1},
    {"kind": "llama", "rope_parameters": LLAMA3, "head_dim": 10},
]
TOKENS = torch.arange(3, 147).view(3, 48) % 40
LENGTHS = torch.tensor([[48], [31], [5]])
MASK = torch.arange(48) < LENGTHS
CLOSE = {"atol": 1e-4, "rtol": 0}


@torch.no_grad()
def theirs_of(model: Any) -> Tensor:
    return model(TOKENS, attention_mask=MASK.long()).logits[MASK]


@torch.no_grad()
def ours_of(model: Causal) -> Tensor:
    return model.eval()(TOKENS, MASK)[MASK]


def write_config(folder: Path, **changes: Any) -> Path:
    lines = {"model_type": "qwen2", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    path = folder / "config.json"
    path.write_text(json.dumps({**lines, "num_attention_heads": 2, **changes}))
    return path


def message(call: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("given", KINDS, ids=str)
def test_whole_sequences_of_unequal_length_are_computed_as_by_transformers(causal: Make, given: dict[str, Any]) -> None:
    model, theirs = causal(40, **given)
    expected = theirs_of(theirs)
    assert expected.std() > 0.5
    torch.testing.assert_close(ours_of(model), expected, **CLOSE)


@pytest.mark.parametrize("given", KINDS, ids=str)
def test_transformers_opens_what_we_write(causal: Make, tmp_path: Path, given: dict[str, Any]) -> None:
    model, theirs = causal(40, **given)
    causal_files.save_weights(model, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(causal_files.export_config(model, 0, 1)))
    again, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(again) is type(theirs)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(theirs_of(again), theirs_of(theirs), **CLOSE)
    assert again.config.max_position_embeddings == theirs.config.max_position_embeddings == 256  # servers go by it
    found = backbone.load(tmp_path)
    assert found.config == model.config  # type: ignore[attr-defined]
    assert torch.equal(ours_of(found), ours_of(model))  # type: ignore[arg-type]


def test_weights_in_shards_and_half_precision_become_float32(causal: Make, tmp_path: Path) -> None:
    theirs = causal(40)[1].to(torch.bfloat16)
    theirs.save_pretrained(tmp_path, max_shard_size="8KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    found = causal_files.load(tmp_path)
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    torch.testing.assert_close(ours_of(found), theirs_of(again), **CLOSE)


def test_what_is_decoded_behind_a_reading_is_what_whole_sequences_say(causal: Make) -> None:
    """In one step and in several, behind histories of unequal length, whatever stands beside them in a batch."""
    model, _ = causal(40)
    written = torch.tensor([[5, 6, 7], [8, 9, 10], [11, 12, 13]])
    with torch.no_grad():
        at_once = model.decode(written, model.start(model.encode(TOKENS, MASK), MASK))
        cache = model.start(model.encode(TOKENS, MASK), MASK)
        one_by_one = torch.cat([model.decode(column, cache) for column in written.split(1, dim=1)], 1)
        for row, length in enumerate(LENGTHS.flatten().tolist()):
            sequence = torch.cat([TOKENS[row, :length], written[row]])[None]
            whole = model.hidden_states(sequence)[0, length:]
            for found in (at_once, one_by_one):
                torch.testing.assert_close(found[row], whole, **CLOSE)


@torch.no_grad()
def test_a_cache_holds_what_was_read_once(causal: Make) -> None:
    model, _ = causal(40)
    cache = model.start(model.encode(TOKENS, MASK), MASK)
    for column in torch.tensor([[5, 6], [8, 9], [11, 12]]).split(1, dim=1):
        model.decode(column, cache)
    for past in cache.past:
        assert past is not None
        assert past.untyped_storage().nbytes() == past.numel() * past.element_size()


def test_activations_computed_again_give_the_same_gradients(causal: Make) -> None:
    model, _ = causal(40)
    gradients = []
    for again in (False, True):
        model.recompute = again
        model.zero_grad()
        model.decode(TOKENS[:, :3], model.start(model.encode(TOKENS, MASK), MASK)).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    model.recompute = False
    assert len(gradients[0]) == len(list(model.parameters()))
    assert all(torch.allclose(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_a_mask_survives_every_kernel_of_attention(causal: Make, kernel: SDPBackend) -> None:
    """SETRec's published code gives a sparse mask to a kernel that puts a causal one in its place."""
    model, _ = causal(40)
    tokens, count = TOKENS[:1, :12], 3
    item = torch.arange(12) // count
    blind = (item[:, None] == item) & ~torch.eye(12, dtype=torch.bool)
    with torch.no_grad(), sdpa_kernel(kernel):
        sparse, plain = (model.encode(tokens, mask).layers[-1] for mask in (blind[None] * -1e9, None))
        moved = tokens.clone()
        moved[0, 3] = 30  # the first token of the second item: unseen by the second, seen by the third
        changed, changed_plain = (model.encode(moved, mask).layers[-1] for mask in (blind[None] * -1e9, None))
    assert torch.equal(changed[0, 4], sparse[0, 4])
    assert not torch.allclose(changed_plain[0, 4], plain[0, 4], atol=1e-3)
    assert not torch.allclose(changed[0, 6], sparse[0, 6], atol=1e-3)
    assert not torch.allclose(sparse[0, 4], plain[0, 4], atol=1e-3)


@pytest.mark.parametrize("given", [{"tied": False}, {"num_key_value_heads": 4, "kind": "llama"}], ids=str)
def test_operations_are_those_that_pytorch_counts(
    causal: Make, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "ONEDNN", None)
    model, _ = causal(50, **given)

    def forward() -> Tensor:
        return model.logits(model.decode(TOKENS[:, :5], model.start(model.encode(TOKENS[:, :7]))))

    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward()
    assert model.flops(3, 7, 5, 3 * 5) == counter.get_total_flops()


def test_named_sizes_have_the_parameters_of_the_t5_of_their_name() -> None:
    def body(name: str) -> int:
        model = backbone.scratch(name, 100, 0.0)
        return sum(parameter.numel() for parameter in model.parameters()) - model.embedding.weight.numel()

    for name in causal_files.SIZES:
        assert backbone.is_scratch(name)
        assert body(name) == pytest.approx(body(name.partition("-")[2]), rel=0.02)
    assert backbone.sizes_like("mini") == ("mini", "tiger")  # what a search of sizes chooses from
    assert backbone.sizes_like("qwen-mini") == ("qwen-mini", "qwen-tiger")
    assert backbone.sizes_like("llama-tiger") == ("llama-mini", "llama-tiger")
    assert backbone.sizes_like("google-t5/t5-small") == ()


def test_a_model_starts_from_a_configuration(tmp_path: Path) -> None:
    model = backbone.scratch(str(write_config(tmp_path, rope_theta=1e6)), 30, 0.2)
    assert (model.kind, model.vocabulary_size, model.d_model) == ("qwen2", 30, 16)
    assert (model.config.theta, model.config.dropout, model.config.kv_heads) == (1e6, 0.2, 2)  # type: ignore[attr-defined]


def test_another_vocabulary_leaves_the_body(causal: Make) -> None:
    model, _ = causal(40, tied=False)
    fresh = model.with_vocabulary(7)
    assert (fresh.vocabulary_size, fresh.head, model.vocabulary_size) == (7, None, 40)
    assert model.head is not None
    assert fresh.layers[0].mlp.up_proj.weight is model.layers[0].mlp.up_proj.weight
    assert fresh.signature != model.signature


def test_more_rows_leave_those_that_are_there(causal: Make) -> None:
    model, _ = causal(40, tied=False)
    before = ours_of(model)
    model.resize_vocabulary(45)
    assert model.vocabulary_size == 45
    assert torch.equal(ours_of(model)[:, :40], before)
    assert not ours_of(model)[:, 40:].any()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_type": "gpt2"}, "describes a 'gpt2' model; bench reads t5, mt5, qwen2, llama"),
        ({"hidden_act": "gelu"}, "unknown activation in"),
        ({"mlp_bias": True}, "has mlp_bias=true, which bench does not compute; it reads models without"),
        ({"use_sliding_window": True}, "has use_sliding_window=true, which bench does not compute"),
        ({"num_hidden_layers": None}, "has no whole number for num_hidden_layers"),
        ({"rope_scaling": {"type": "yarn"}}, "unknown kind of rotary positions 'yarn'"),
    ],
)
def test_what_is_computed_otherwise_is_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    path = write_config(tmp_path, **changes)
    assert expected in message(lambda: backbone.scratch(str(path), 10, 0.0))


def test_weights_of_another_model_are_refused(causal: Make, tmp_path: Path) -> None:
    model, _ = causal(40)
    causal_files.save_weights(model, tmp_path)
    write = (tmp_path / "config.json").write_text
    config = causal_files.export_config(model, 0, 1)
    write(json.dumps({**config, "num_hidden_layers": 4}))
    assert "lack 'model.layers.3." in message(lambda: backbone.load(tmp_path))
    write(json.dumps({**config, "intermediate_size": 50}))
    assert "are of other sizes than its config.json says" in message(lambda: backbone.load(tmp_path))
    write(json.dumps({**config, "vocab_size": 41}))
    assert "have 40 rows of embeddings, and its config.json says 41" in message(lambda: backbone.load(tmp_path))
    for other, name in (({"model_type": "llama"}, "0.self_attn.k_proj.bias"), ({"num_hidden_layers": 2}, "2.")):
        write(json.dumps({**config, **other}))
        said = message(lambda: backbone.load(tmp_path))
        assert f"have 'model.layers.{name}" in said
        assert said.endswith(
            "which the model that its config.json describes does not have; these two do not belong together"
        )
    weights = load_file(tmp_path / "model.safetensors")
    write(json.dumps(config))
    save_file(
        {**weights, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, tmp_path / "model.safetensors"
    )
    backbone.load(tmp_path)  # an old Llama's table, which is computed
    for value in (float("nan"), float("-inf")):
        weights["model.norm.weight"][3] = value
        save_file(weights, tmp_path / "model.safetensors")
        said = message(lambda: backbone.load(tmp_path))
        assert "is corrupt: some values of 'model.norm.weight' are no numbers (nan or infinite)" in said


@pytest.mark.parametrize(
    ("file", "expected"),
    [("model-q4.gguf", "is GGUF, and weights are read as safetensors alone"), ("pytorch_model.bin", "pickled weights")],
)
def test_other_formats_are_refused_with_the_command_that_converts(tmp_path: Path, file: str, expected: str) -> None:
    write_config(tmp_path)
    (tmp_path / file).write_bytes(b"")
    for asked in (str(tmp_path), str(tmp_path / file)):
        said = message(lambda asked=asked: backbone.load(asked))  # type: ignore[misc]
        assert expected in said
        assert "from transformers import AutoModelForCausalLM as M" in said
        assert str(tmp_path) in said
    assert ("gguf_file='model-q4.gguf'" in said) == file.endswith("gguf")
