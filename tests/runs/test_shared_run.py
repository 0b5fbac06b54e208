"""Runs that read every user once: what they store says so, and only what reads as they do opens it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench as package
from bench.data.dataset import Dataset
from bench.model.pooling import ItemPooling
from bench.model.shared_sequence import SharedSequenceRecommender
from bench.model.shared_slot import SharedSlotRecommender
from bench.model.shared_vector_set import SharedVectorSetRecommender

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
SHARED = ("--set", "training=shared")
SLOTS = [f"--set=set/rpg.{line}" for line in ("slots=3", "codes=8", "dimensions=6", "quantizer=pq")]


@pytest.fixture(scope="module")
def runs(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes, vectors, slots and words under training=shared, codes also with an encoder over items."""
    results = tmp_path_factory.mktemp("shared")
    schemes = "textual/title,set/setrec,semantic/rqkmeans,set/rpg"
    assert bench("run", "--id-scheme", schemes, *quick, *SLOTS, *SHARED, "--results", results).code == 0
    items = ("--set", "history=items", "--set", "whole_words=true")
    schemes = "semantic/rqkmeans,set/setrec"
    assert bench("run", "--id-scheme", schemes, *quick, *SHARED, *items, "--results", results / "items").code == 0
    return results


def test_a_stored_model_recommends_as_it_was_ranked(runs: Path, toy: Dataset) -> None:
    for scheme, kind in (
        ("textual/title", SharedSequenceRecommender),
        ("semantic/rqkmeans", SharedSequenceRecommender),
        ("set/setrec", SharedVectorSetRecommender),
        ("set/rpg", SharedSlotRecommender),
    ):
        saved = package.load(scheme, results=runs)
        assert isinstance(saved.recommender, kind)
        assert getattr(saved.recommender, "pooling", None) is None
        found = saved.recommend(list(toy.items.ids[:3]), k=5)
        assert len({one.item for one in found}) == 5


def test_what_pools_items_is_stored(runs: Path, toy: Dataset) -> None:
    for scheme in ("semantic/rqkmeans", "set/setrec"):
        saved = package.load(scheme, results=runs / "items")
        pooling = saved.recommender.pooling
        assert isinstance(pooling, ItemPooling)
        assert pooling.weight.abs().sum() > 0  # learned, and not as a new one begins
        assert len(saved.recommend(list(toy.items.ids[:3]), k=5)) == 5


def test_others_do_not_open_it_as_what_it_is_not(
    runs: Path, run_folders: RunFolders, caplog: pytest.LogCaptureFixture
) -> None:
    """Transformers knows the weights and not the mask."""
    from transformers import AutoConfig, AutoModel, T5ForConditionalGeneration

    for run_folder in [*run_folders(runs), *run_folders(runs / "items")]:
        config = json.loads((run_folder / "config.json").read_text())
        history = "items" if "items" in run_folder.relative_to(runs).parts else "tokens"
        assert (config["model_type"], config["training"], config["history"]) == ("bench-shared-t5", "shared", history)
        for auto in (AutoConfig, AutoModel):
            with pytest.raises(ValueError, match="bench-shared-t5"):
                auto.from_pretrained(run_folder)
        T5ForConditionalGeneration.from_pretrained(run_folder)
    warned = [record for record in caplog.records if "bench-shared-t5" in record.getMessage()]
    assert len(warned) == 6


def test_the_contract_says_how_a_user_was_read(bench: Bench, quick: list[str], runs: Path, tmp_path: Path) -> None:
    said = bench("run", "--id-scheme=numeric", *quick, "--set", "history=items", "--results", tmp_path)
    assert said.code == 1
    assert (
        said.err.splitlines()[-1] == "bench: setting 'history' must be tokens where training is not shared; got items"
    )
    shown = bench("report", "--results", runs, "--full")
    assert shown.code == 0
    assert "training=shared" in shown.out
