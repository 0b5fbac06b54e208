"""What SECURITY.md says of each kind of file: a stranger's is read, or refused in one line, and runs nothing.

Every file here would leave a mark if what is in it ran.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import backbone
from bench.backbone import located
from bench.data import idmaps, sources
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids import embeddings
from bench.ids.imported.formats import read as read_identifiers
from bench.results import digests
from bench.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
ITEMS = ItemTable(("a", "b"), {"title": ("red car", "blue car")})
Bench = Callable[..., SimpleNamespace]


class Marks:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "MARK"


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Marks(mark))


def array(mark: Path) -> bytes:
    """A ``.npy`` of objects, which is a pickle."""
    made = io.BytesIO()
    np.save(made, np.array([Marks(mark)], dtype=object), allow_pickle=True)
    return made.getvalue()


def weights(mark: Path) -> bytes:
    made = io.BytesIO()
    torch.save({"shared.weight": Marks(mark)}, made)
    return made.getvalue()


CODE: dict[str, Callable[[Path], bytes]] = {
    "pickle": pickled,
    "npy": array,
    "torch": weights,
    "python": lambda mark: f"open({str(mark)!r}, 'w')".encode(),
    "json": lambda mark: json.dumps({"__reduce__": f"open({str(mark)!r}, 'w')"}).encode(),
}


def harmless(mark: Path, call: Callable[[], object]) -> None:
    """Whatever comes of it, nothing was run and no exception but ours left."""
    said = ""
    try:
        call()
    except BenchError as error:
        said = str(error)
    assert "\n" not in said
    assert not mark.exists()


def test_the_marks_are_left_by_what_runs_them(mark: Path) -> None:
    pickle.loads(CODE["pickle"](mark)).close()
    assert mark.exists()
    mark.unlink()
    np.load(io.BytesIO(CODE["npy"](mark)), allow_pickle=True)[0].close()
    assert mark.exists()
    mark.unlink()
    torch.load(io.BytesIO(CODE["torch"](mark)), weights_only=False)["shared.weight"].close()
    assert mark.exists()


@pytest.mark.parametrize("kind", sorted(CODE))
@pytest.mark.parametrize("name", ["d.inter", "d.csv", "d.json", "d.jsonl", "d.parquet", "d.npy", "d.txt"])
def test_data(tmp_path: Path, mark: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(CODE[kind](mark))
    harmless(mark, lambda: sources.find(str(tmp_path / name)))


@pytest.mark.parametrize("kind", sorted(CODE))
@pytest.mark.parametrize("name", ["i.npy", "i.json", "i.sem_ids", "i.txt", "i.parquet", "i.pkl", "i.pt"])
def test_identifiers(tmp_path: Path, mark: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(CODE[kind](mark))
    (tmp_path / "i.items.txt").write_text("a\nb\n")
    harmless(mark, lambda: read_identifiers(tmp_path / name, (tmp_path / name).read_bytes()))


@pytest.mark.parametrize("kind", sorted(CODE))
@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.safetensors"])
def test_vectors(tmp_path: Path, mark: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(CODE[kind](mark))
    (tmp_path / "v.ids.txt").write_text("a\n")
    harmless(mark, lambda: embeddings.bound(str(tmp_path / name), ITEMS))


@pytest.mark.parametrize("kind", sorted(CODE))
@pytest.mark.parametrize("name", ["m.json", "m.item2id", "m.items.txt"])
def test_maps(tmp_path: Path, mark: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(CODE[kind](mark))
    harmless(mark, lambda: idmaps.numbers(tmp_path / name))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors"])
def test_backbone(tmp_path: Path, tiny: Path, mark: Path, name: str) -> None:
    shutil.copy(tiny, tmp_path / "config.json")
    (tmp_path / name).write_bytes(CODE["torch"](mark))
    with pytest.raises(BenchError, match=r"not a safetensors file|pickled weights are not read"):
        backbone.load(tmp_path)
    assert not mark.exists()


def test_adapter(tmp_path: Path, qwen: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose adapter is pickled, with settings of peft's that name classes to import."""
    config = json.loads((qwen / "config.json").read_text())
    base = located.digest_of(located.decisive(qwen))
    monkeypatch.setenv("BENCH_BASES", str(qwen.parent))
    said = {"base": qwen.name, "digest": base, "rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj"]}
    (tmp_path / "config.json").write_text(json.dumps({**config, "adapter": said}))
    evil = {"base_model_class": "Evil", "parent_library": "evil"}
    peft = {"peft_type": "LORA", "auto_mapping": evil, "target_modules": ["q_proj"], "base_model_name_or_path": "evil"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(peft))
    (tmp_path / "evil.py").write_bytes(CODE["python"](mark))
    (tmp_path / "adapter_model.bin").write_bytes(CODE["torch"](mark))
    with pytest.raises(BenchError, match=r"has no adapter_model\.safetensors|pickled weights are not read"):
        backbone.load(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(CODE["torch"](mark))
    with pytest.raises(BenchError, match="not a safetensors file"):
        backbone.load(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("settings", [{"tokenizer_class": "Evil"}, {}])
def test_tokenizer(tmp_path: Path, mark: Path, settings: dict[str, str]) -> None:
    """A folder that brings a class of its own, for Transformers to import where it is trusted."""
    map_of = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": map_of, **settings}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}))
    (tmp_path / "evil.py").write_bytes(CODE["python"](mark) + b"\nclass Evil: pass\n")
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(BenchError, match="no tokenizer in"):
        Vocabulary.of_language_model(tmp_path, 10)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("result.json", "report"),
        ("per_user.parquet", "report"),
        ("ids.safetensors", "recommend numeric --history i01"),
        ("ids.parquet", "recommend numeric --history i01"),
        ("tokenizer.json", "recommend numeric --history i01"),
        ("model.safetensors", "recommend numeric --history i01"),
        ("model.safetensors", "verify"),
    ],
)
def test_result(bench: Bench, made: Path, tmp_path: Path, mark: Path, name: str, words: str) -> None:
    shutil.copytree(made, tmp_path / "results")
    (folder,) = (path.parent for path in (tmp_path / "results").rglob("result.json"))
    for kind in ("torch", "npy"):
        (folder / name).write_bytes(CODE[kind](mark))
        said = bench(*words.split(), "--results", tmp_path / "results")
        assert (said.code, "Traceback" in said.err) == (1, False)
        assert not mark.exists()


@pytest.fixture(scope="module")
def made(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("made") / "results"
    assert bench("run", "--id-scheme", "numeric", *quick, "--results", results).code == 0
    return results


def test_the_table_names_tests_that_are_there() -> None:
    rows = [line.split("|") for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row[-2])
        assert named, row
        for name in named:
            path, _, function = name.partition("::")
            assert (ROOT / path).exists(), name
            assert not function or f"def {function}(" in (ROOT / path).read_text(), name


EVIL = """
from pathlib import Path
Path({mark!r}).touch()
class Evil: pass
"""


@pytest.fixture
def evil(tmp_path: Path) -> tuple[str, Path]:
    """``file.py:Class`` of a program that leaves a mark, as a stranger's file may call a scheme; and the mark."""
    mark = tmp_path / "mark"
    (tmp_path / "evil.py").write_text(EVIL.format(mark=str(mark)))
    return f"{tmp_path / 'evil.py'}:Evil", mark


@pytest.mark.parametrize("kind", ["scheme", "baseline"])
@pytest.mark.parametrize("field", ["name", "recipe"])
def test_names_in_results_load_nothing_but_what_is_installed(
    bench: Bench, quick: list[str], evil: tuple[str, Path], tmp_path: Path, kind: str, field: str
) -> None:
    asked = ["--id-scheme", "numeric/random"] if kind == "scheme" else ["--baseline", "pop"]
    results = tmp_path / "results"
    assert bench("run", *asked, *quick, "--results", results).code == 0
    (file,) = results.glob("runs/*/*/*/0/result.json")
    stored = json.loads(file.read_text())
    stored["scheme"][field] = evil[0]
    file.write_text(json.dumps(stored))
    digests.seal(file.parent)
    outputs = ("--out", tmp_path / "r.md", "--request", tmp_path / "r.toml")
    for words in (
        ("report", "--results", results, *outputs),
        ("recommend", file.parent, "--history", "i01", "--results", results),
        ("results", "join", results, "--out", tmp_path / "joined"),
        ("clean", "--old-versions", "--results", results, "--yes"),
        ("ls", "--sizes", "--results", results),
    ):
        bench(*words)
        assert not evil[1].exists(), words


def test_the_scheme_of_fitted_identifiers_is_an_installed_one(
    evil: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.commands import ids_vectors
    from bench.ids import naming

    monkeypatch.setattr(naming, "stored", lambda folder: (None, {"scheme": evil[0], "settings": {}}))
    with pytest.raises(BenchError, match="unknown identifier scheme"):
        ids_vectors._scheme_of(tmp_path)
    assert not evil[1].exists()
