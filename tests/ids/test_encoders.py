"""A folder of a sentence encoder is read only where nothing in it would be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids.encoders import refuse_code
from bench.ids.text import TextSettings, embed

OWN = "sentence_transformers.models."
EVIL = 'open(r"{mark}", "w").write("ran")\nclass Evil:\n    pass\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as sentence-transformers leaves it, as far as it is looked at."""
    path = tmp_path / "encoder"
    (path / "1_Pooling").mkdir(parents=True)
    write(path / "modules.json", [{"type": f"{OWN}Transformer", "path": ""}, {"type": f"{OWN}Pooling", "path": "1_P"}])
    write(path / "config.json", {"model_type": "bert"})
    (path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (path / "evil_module.py").write_text(EVIL.format(mark=tmp_path / "MARK"))
    return path


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def refused(folder: Path) -> str:
    with pytest.raises(BenchError) as caught:
        refuse_code(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_layers_of_the_library_are_read(folder: Path) -> None:
    refuse_code(folder)
    write(folder / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.activation.Tanh"})
    refuse_code(folder)


@pytest.mark.parametrize(
    "kind",
    [
        "evil_module.Evil",
        "other/repo--evil_module.Evil",
        "sentence_transformersevil.Transformer",
        f"{OWN}Router",  # which names further types itself
        "sentence_transformers.util.import_from_string",
        "os.system",
        "",
    ],
)
def test_any_other_layer_is_not(folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": kind}])
    assert f"asks for a layer of type '{kind}'" in refused(folder)
    monkeypatch.syspath_prepend(folder)
    items = ItemTable(("a", "b"), {"title": ("red car", "blue car")})
    view = TrainView("toy", items, Sequences.from_rows([[0]]), 1)
    with pytest.raises(BenchError, match="may run code"):
        embed(view, TextSettings(encoder=str(folder)))
    assert not (tmp_path / "MARK").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil_module.Evil"}}, "'auto_map' in 'config.json'"),
        ("tokenizer_config.json", {"a": [{"auto_map": {"AutoTokenizer": ["evil_module.Evil", None]}}]}, "'auto_map'"),
        ("sentence_bert_config.json", {"model_args": {"trust_remote_code": True}}, "'trust_remote_code'"),
        ("adapter_config.json", {"auto_mapping": {"parent_library": "evil_module"}}, "'auto_mapping'"),
        ("2_Dense/config.json", {"activation_function": "evil_module.Evil"}, "the activation 'evil_module.Evil'"),
        ("modules.json", {"type": "x"}, "must be a list of layers; got dict"),
        ("modules.json", ["x"], "must be a list of layers"),
    ],
)
def test_settings_that_name_code_are_refused(folder: Path, name: str, value: Any, said: str) -> None:
    write(folder / name, value)
    assert said in refused(folder)


def test_settings_that_are_no_json_are_one_line(folder: Path) -> None:
    for content in ("{", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")):
        (folder / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        assert f"cannot read '{folder / 'config.json'}' of a text encoder" in refused(folder)


def test_pickled_weights_of_one_layer_are_refused_beside_safe_ones_of_another(folder: Path) -> None:
    write(folder / "2_Dense" / "config.json", {})
    (folder / "2_Dense" / "pytorch_model.bin").touch()
    assert "no weights as safetensors" in refused(folder)
    (folder / "2_Dense" / "model.safetensors").touch()
    refuse_code(folder)
