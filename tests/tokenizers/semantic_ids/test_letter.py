"""LETTER's losses by hand, groups of codes of equal size, and what each control leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from semantic_ids import Letter, LetterNoCf, LetterNoDiversity
from semantic_ids.letter import LetterTokenizer, alignment, diversity, friends
from semantic_ids.quantizers import Vectors
from semantic_ids.schemes import Semantic
from semantic_ids.settings import LetterSettings

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.sasrec import Training, item_vectors
from bench.runs.subjects import settings as settings_of

MakeView = Callable[..., TrainView]
SMALL = {"codes": "16", "dimensions": "12", "hidden": "16", "latent": "6", "epochs": "4", "batch": "64"}


def test_alignment_by_hand() -> None:
    quantized = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, -1.0]])
    collaborative = torch.tensor([[2.0, 1.0], [0.0, 1.0], [1.0, -3.0]])
    losses = []
    for row, own in enumerate(quantized.numpy()):
        scores = np.exp([own @ other for other in collaborative.numpy()])
        losses.append(-np.log(scores[row] / scores.sum()))
    assert float(alignment(quantized, collaborative)) == pytest.approx(np.mean(losses))


def test_diversity_by_hand() -> None:
    """The friend against all codes but the one itself; a code without a friend counts nothing."""
    codebook = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, -1.0], [1.0, 1.0]])
    code, friend = torch.tensor([0, 3, 2, 0]), torch.tensor([1, 0, -1, 3])
    losses = []
    for own, other in zip(code.tolist(), friend.tolist(), strict=True):
        scores = {j: np.exp(codebook[own].numpy() @ codebook[j].numpy()) for j in range(4) if j != own}
        losses.append(0.0 if other < 0 else -np.log(scores[other] / sum(scores.values())))
    assert float(diversity(codebook, code, friend)) == pytest.approx(np.mean(losses))


def test_its_gradient_is_finite_and_moves_friends_together() -> None:
    torch.manual_seed(0)
    codebook = torch.randn(6, 3, requires_grad=True)
    code, friend = torch.tensor([0, 1]), torch.tensor([2, -1])
    (found,) = torch.autograd.grad(diversity(codebook, code, friend), codebook)
    assert torch.isfinite(found).all()
    moved = codebook.detach() - 0.1 * found
    assert float(moved[0] @ moved[2]) > float((codebook[0] @ codebook[2]).detach())


def test_friends_are_others_of_the_group_all_equally_likely() -> None:
    group, code = torch.tensor([0, 1, 0, 2, 0]), torch.tensor([0, 0, 2, 3, 1] * 300)
    found = friends(group, code, torch.Generator().manual_seed(0)).view(-1, 5)
    assert set(found[:, 3].tolist()) == set(found[:, 4].tolist()) == {-1}
    counts = np.bincount(found[:, 0], minlength=5)
    assert set(np.flatnonzero(counts)) == {2, 4}
    assert 0.4 < counts[2] / counts.sum() < 0.6
    assert set(found[:, 2].tolist()) == {0, 4}


def test_groups_of_codes_have_equal_size(vectors: Vectors) -> None:
    model = LetterTokenizer(vectors, None, 3, LetterSettings(levels=2, codes=16, latent=6, clusters=4, hidden=(8,)))
    groups = model.grouped(4)
    assert groups.shape == (2, 16)
    assert all(torch.bincount(level).tolist() == [4] * 4 for level in groups)


def test_quantized_vectors_learn_to_tell_collaborative_ones(vectors: Vectors) -> None:
    """With and without a layer between two widths."""
    for width in (6, 10):
        collaborative = vectors @ np.random.default_rng(0).normal(size=(12, width)).astype(np.float32)
        found = []
        for alpha in (1e-9, 1.0):
            plan = LetterSettings(codes=16, latent=6, alpha=alpha, hidden=(32,), epochs=40, batch=300, diversity=1e-9)
            model = LetterTokenizer(vectors, collaborative, 3, plan)
            list(model.epochs())
            with torch.no_grad():
                quantized = model.bridge(model.quantizer(model.encoder(torch.from_numpy(vectors)))[0])
                found.append(float(alignment(quantized, torch.from_numpy(collaborative))))
        assert found[1] < found[0] - 0.2


@pytest.mark.parametrize("scheme", [Letter, LetterNoCf, LetterNoDiversity], ids=lambda scheme: scheme.name)
def test_items_are_told_apart_and_a_seed_repeats(
    scheme: type[Semantic], titles: list[str], make_view: MakeView
) -> None:
    rows = np.random.default_rng(0).integers(0, 200, (60, 6)).tolist()
    views = [make_view(titles, rows, seed) for seed in (1, 1, 2)]
    first, again, other = (scheme(settings_of(scheme, SMALL)).fit(view) for view in views)
    assert len(set(first.groups.tolist())) == 200
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens[:, :, 0], other.tokens[:, :, 0])


def fitted(scheme: type[Semantic], train: TrainView, **changes: str) -> TokenIds:
    return scheme(settings_of(scheme, {**SMALL, "epochs": "8", "learning_rate": "0.01", **changes})).fit(train)


def test_a_control_is_the_method_without_a_part(titles: list[str], make_view: MakeView) -> None:
    train = make_view(titles, np.random.default_rng(0).integers(0, 200, (60, 6)).tolist())
    strong = {"alpha": "1", "diversity": "0.1"}
    whole = fitted(Letter, train, **strong).tokens
    no_cf = fitted(LetterNoCf, train, diversity="0.1").tokens
    no_diversity = fitted(LetterNoDiversity, train, alpha="1").tokens
    assert not np.array_equal(whole, no_cf)
    assert not np.array_equal(whole, no_diversity)
    other = make_view(
        titles, np.random.default_rng(9).permutation(np.array(train.sequences.values).reshape(60, 6)).tolist()
    )
    assert np.array_equal(no_cf, fitted(LetterNoCf, other, diversity="0.1").tokens)  # who chose what is not looked at
    assert not hasattr(LetterNoCf().settings, "alpha")
    assert not hasattr(LetterNoDiversity().settings, "diversity")
    for setting, control in (("alpha", "no-cf"), ("diversity", "no-diversity")):
        with pytest.raises(BenchError, match=f"'{setting}' must be above 0; got 0.0; without it: .*{control}"):
            settings_of(Letter, {setting: "0"})


def test_vectors_from_a_file_stand_for_those_of_a_sasrec(
    titles: list[str], make_view: MakeView, tmp_path: Path
) -> None:
    train = make_view(titles, np.random.default_rng(0).integers(0, 200, (60, 6)).tolist())
    path = tmp_path / "v.parquet"
    vectors = item_vectors(train, Training(width=6, history=6))  # the longest there is
    pd.DataFrame({"item": train.items.ids, "vector": list(vectors)}).to_parquet(path)
    own, given = fitted(Letter, train), fitted(Letter, train, vectors=str(path))
    np.testing.assert_array_equal(own.tokens, given.tokens)
    scheme = Letter(settings_of(Letter, {**SMALL, "vectors": str(path)}))
    assert scheme.cache_key()
    assert "v.parquet" in scheme.warnings(train)[0]
    with pytest.raises(BenchError, match="cannot read item vectors from"):
        Letter(settings_of(Letter, {"vectors": "absent.npy"})).cache_key()
