"""Sentence encoders for item text: used as they are by folder or by name, and never replaced by anything else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.text import TextSettings, embed, encoder_digest, locate

COLORS, THINGS = ("red", "blue", "green", "iron"), ("car", "doll", "robot")
TITLES = [f"{color} {thing} {thing}" for color in COLORS for thing in THINGS]
FEW = TextSettings(dimensions=4)

INSTALL = "pip install 'item-identifier-bench[sentence]'"


def view(titles: list[str], cache: Path | None = None) -> TrainView:
    items = ItemTable(tuple(titles), {"title": tuple(titles)})
    return TrainView("toy", items, Sequences.from_rows([[0]]), 1, cache=cache)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "text").iterdir())


def hub_cache(folder: Path, name: str, revisions: dict[str, Path]) -> None:
    """As the hub's client leaves a model it has downloaded: revisions name a commit, whose files lie in a folder."""
    model = folder / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    for number, (revision, content) in enumerate(revisions.items()):
        commit = f"{number:040x}"
        shutil.copytree(content, model / "snapshots" / commit)
        (model / "refs" / revision).write_text(commit)


def with_other_weights(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    save_file({name: value * 2 for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the hub's client, which reads these settings from the environment when it is first imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder of one layer that knows the words of the titles, and never saw them."""
    sentence_transformers = pytest.importorskip(
        "sentence_transformers", reason="pip install 'item-identifier-bench[sentence]'"
    )
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *COLORS, *THINGS, "s", "##s"]
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **sizes)).save_pretrained(folder / "bert")
    BertTokenizerFast(vocab={word: row for row, word in enumerate(words)}).save_pretrained(folder / "bert")
    sentence_transformers.SentenceTransformer(str(folder / "bert"), device="cpu").save(str(folder / "model"))
    shutil.rmtree(folder / "bert")
    return folder / "model"


def test_a_model_is_used_by_its_folder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against its parts, one text at a time: the mean of the last layer over the tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    bert, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    settings = TextSettings(encoder=str(model), dimensions=0)
    found = embed(view(TITLES, tmp_path), settings)
    with torch.no_grad():
        states = [bert(**tokenizer(line, return_tensors="pt")).last_hidden_state[0] for line in TITLES]
    np.testing.assert_allclose(found, [state.mean(dim=0).numpy() for state in states], atol=1e-5)
    assert len(np.unique(found.round(4), axis=0)) == len(TITLES), "it knows their words"
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert embed(view(TITLES, tmp_path), settings).tobytes() == found.tobytes(), "kept, the model is not needed"


def test_a_model_reads_each_field_by_itself(model: Path) -> None:
    """Against its parts, one field at a time: the mean over the fields of the mean over the tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    bert, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    brands = [f"{color} {color}" if row % 2 else "" for row, color in enumerate((*COLORS, *COLORS, *COLORS))]
    items = ItemTable(tuple(TITLES), {"title": tuple(TITLES), "brand": tuple(brands)})
    found = embed(replace(view(TITLES), items=items), TextSettings(encoder=str(model), dimensions=0, pool="fields"))
    for row, title, brand in zip(found, TITLES, brands, strict=True):
        with torch.no_grad():
            read = [tokenizer(f"{field}.", return_tensors="pt") for field in (title, brand) if field]
            states = torch.stack([bert(**each).last_hidden_state[0].mean(dim=0) for each in read])
        np.testing.assert_allclose(row, states.mean(dim=0), atol=1e-5)


def test_a_models_vectors_are_turned_and_whitened(model: Path) -> None:
    found = embed(view(TITLES), TextSettings(encoder=str(model), dimensions=3)).astype(np.float64)
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(3), atol=1e-3)


def test_a_model_is_used_by_its_name_and_revision(model: Path, offline: Path, tmp_path: Path) -> None:
    other = with_other_weights(model, tmp_path / "other")
    hub_cache(offline, "someone/tiny", {"main": model, "v1": other})
    for name, folder in (("someone/tiny", model), ("someone/tiny@main", model), ("someone/tiny@v1", other)):
        by_name, by_folder = (embed(view(TITLES), TextSettings(encoder=encoder)) for encoder in (name, str(folder)))
        assert by_name.tobytes() == by_folder.tobytes()
        assert encoder_digest(name) == encoder_digest(str(folder))
    assert encoder_digest("someone/tiny") != encoder_digest("someone/tiny@v1")


def test_a_model_whose_weights_changed_is_used_anew(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    train, settings = view(TITLES, tmp_path / "cache"), TextSettings(encoder=str(folder), dimensions=0)
    first = embed(train, settings)
    shutil.rmtree(folder)
    with_other_weights(model, folder)
    assert not np.allclose(embed(train, settings), first)
    assert len(kept(tmp_path / "cache")) == 2


def test_the_vectors_of_another_encoder_are_not_taken(model: Path, tmp_path: Path) -> None:
    embed(view(TITLES, tmp_path / "mine"), FEW)
    embed(view(TITLES, tmp_path / "others"), replace(FEW, encoder=str(model)))
    (mine,), (others,) = kept(tmp_path / "mine"), kept(tmp_path / "others")
    shutil.copy(others, mine)
    assert "the vectors of another encoder" in refused(lambda: embed(view(TITLES, tmp_path / "mine"), FEW))


def test_a_vector_that_is_not_finite_is_named_with_its_text(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    (words,) = (name for name in weights if name.endswith("word_embeddings.weight"))
    weights[words][5 + COLORS.index("blue")] = np.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    found = refused(lambda: embed(view(TITLES, tmp_path / "cache"), TextSettings(encoder=str(folder))))
    assert found == f"text encoder '{folder}' gave a vector that is not finite, for the text 'blue car car'"
    assert not (tmp_path / "cache").exists()


def test_how_far_it_is_is_shown(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "ENCODED_AT_ONCE", 5)
    told: list[tuple[int, int]] = []
    settings = TextSettings(encoder=str(model), dimensions=0)
    train = replace(view(TITLES), progress=lambda done, total, figures: told.append((done, total)))
    found = embed(train, settings)
    assert told == [(5, 12), (10, 12), (12, 12)]
    monkeypatch.undo()
    np.testing.assert_allclose(found, embed(view(TITLES), settings), atol=1e-6)


def test_pickled_weights_are_not_read_and_that_is_said(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    found = refused(lambda: embed(view(TITLES), TextSettings(encoder=str(folder))))
    assert found.startswith(f"no weights as safetensors in the text encoder '{folder}' (found: 1_Pooling, README.md, ")
    assert "pickled weights (.bin) are not read" in found


def test_vectors_of_another_version_of_the_library_are_not_taken(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TextSettings(encoder=str(model), dimensions=0)
    embed(view(TITLES, tmp_path), settings)
    monkeypatch.setattr(text, "installed", lambda package: {"sentence-transformers": "0.0"}[package])
    embed(view(TITLES, tmp_path), settings)
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("corrupt", ["model.safetensors", "modules.json", "config.json"])
def test_a_corrupt_model_is_one_line(model: Path, tmp_path: Path, corrupt: str) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / corrupt).write_bytes(b"{")
    found = refused(lambda: embed(view(TITLES), TextSettings(encoder=str(folder))))
    said = "is no sentence-transformers model (" if corrupt.endswith("tensors") else "of a text encoder: Expecting"
    assert said in found


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason=INSTALL)
    (tmp_path / "notes.txt").write_text("nothing")
    found = refused(lambda: embed(view(TITLES), TextSettings(encoder=str(tmp_path))))
    assert found.startswith(f"'{tmp_path}' is no sentence-transformers model (")


def test_a_folder_that_is_not_there_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for encoder in (str(tmp_path / "absent"), "./absent", "../absent"):
        assert refused(lambda encoder=encoder: locate(encoder)) == (
            f"no folder '{encoder}' (asked for as text encoder); connect, give a folder that holds it, "
            "or use --set FAMILY.encoder=tfidf-svd"
        )


@pytest.mark.parametrize("encoder", ["someone/absent", "someone/absent@v1", "tfidf", "not/a/name"])
def test_a_model_that_cannot_be_had_is_never_replaced(
    offline: Path, tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "tfidf_svd", lambda _: pytest.fail("another encoder was used in its place"))
    found = refused(lambda: embed(view(TITLES, tmp_path), TextSettings(encoder=encoder)))
    assert found.startswith(
        f"text encoder '{encoder}' is no folder here, and not available from the Hugging Face hub ("
    )
    assert found.endswith("; connect, give a folder that holds it, or use --set FAMILY.encoder=tfidf-svd")
    assert not (tmp_path / "text").exists()


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    found = refused(lambda: embed(view(TITLES), TextSettings(encoder=str(tmp_path))))
    assert (
        found == f"text encoder '{tmp_path}' needs sentence-transformers: pip install 'item-identifier-bench[sentence]'"
    )


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.txt", "spiece.model", "pytorch_model.bin"])
def test_an_encoder_is_told_by_its_content(tmp_path: Path, file: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "1_Pooling" / "config.json").write_text("{}")
        (folder / file).write_text("before")
    assert encoder_digest(str(one)) == encoder_digest(str(other)), "wherever it lies"
    (one / file).write_text("behind")
    changed = encoder_digest(str(one))
    assert changed != encoder_digest(str(other))
    (one / "1_Pooling" / "config.json").write_text("[]")
    assert encoder_digest(str(one)) not in (changed, encoder_digest(str(other)))
    before = encoder_digest(str(other))
    (other / file).rename(other / f"other-{file}")
    assert encoder_digest(str(other)) != before


def test_the_offline_encoder_has_no_files_and_is_kept_by_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert encoder_digest("tfidf-svd") == ""
    embed(view(TITLES, tmp_path), TextSettings(dimensions=0))
    monkeypatch.setattr(text, "installed", lambda package: {"scikit-learn": "0.0"}[package])
    embed(view(TITLES, tmp_path), TextSettings(dimensions=0))
    assert len(kept(tmp_path)) == 2
