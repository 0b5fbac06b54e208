"""A head comes back as it was, onto other items too, and a file that is not what was written is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.backbone.t5 import T5, T5Config
from bench.errors import BenchError
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model.recommender import Recommender, recommender_for
from bench.results import head as saved_head
from bench.vocabulary import Vocabulary


def made(seed: int, items: int = 5, hidden: tuple[int, ...] = ()) -> Recommender:
    vectors = np.random.default_rng(0).standard_normal((items, 3)).astype(np.float32)
    feature = Feature("own", vectors, np.ones(items, bool), hidden=hidden)
    vocabulary = Vocabulary.private("ab")
    shape = {"d_model": 4, "d_kv": 2, "d_ff": 4, "heads": 1, "layers": 1, "decoder_layers": 1}
    torch.manual_seed(seed)
    ids = VectorIds((feature,), vocabulary, Template("a", after="b"))
    return recommender_for(ids, T5(T5Config(vocabulary.size, **shape)))


def equal(one: Recommender, other: Recommender) -> bool:
    pairs = zip(one.extra_state().values(), other.extra_state().values(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_it_comes_back(tmp_path: Path) -> None:
    first, second, third = made(1), made(2), made(3, items=9)
    assert not equal(first, second)
    saved_head.save(first, tmp_path)
    saved_head.fill(second, tmp_path)
    assert equal(first, second)
    saved_head.copy(first, third)
    assert equal(first, third)


def test_one_without_a_checksum_is_refused(tmp_path: Path) -> None:
    first = made(1)
    save_file({name: tensor.clone() for name, tensor in first.extra_state().items()}, tmp_path / saved_head.HEAD)
    with pytest.raises(BenchError, match=r"the head '.*' is corrupt \(it holds no checksum\); run it again"):
        saved_head.fill(made(2), tmp_path)


def test_corruption_is_named(tmp_path: Path) -> None:
    path = tmp_path / saved_head.HEAD
    with pytest.raises(BenchError, match=r"has no head.safetensors; copy it again, or run it again with --force"):
        saved_head.fill(made(1), tmp_path)
    saved_head.save(made(1), tmp_path)
    assert load_file(path)
    whole = path.read_bytes()
    for changed, said in ((whole[:-1] + bytes([whole[-1] ^ 1]), "its checksum differs"), (whole[:-4], "")):
        path.write_bytes(changed)
        with pytest.raises(BenchError, match=f"is corrupt .*{said}.*; run it again with --force"):
            saved_head.fill(made(2), tmp_path)
    path.write_bytes(whole)
    with pytest.raises(BenchError, match="it belongs to other identifiers or another backbone"):
        saved_head.fill(made(2, hidden=(2,)), tmp_path)
