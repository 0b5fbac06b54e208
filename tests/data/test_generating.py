"""Made-up data sets: read as any other, the same for the same seed, every item learnable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.contract import Contract
from bench.data import generating, sources, splitting
from bench.data.generating import Shop, store
from bench.errors import BenchError
from bench.ids import embeddings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generating, "AT_ONCE", 100)  # several blocks, the last one smaller
        store(Shop("made", 730, 530, seed=3, width=6), root)
    return root


def test_it_is_read_back_without_a_complaint(folder: Path) -> None:
    found = sources.find("made", folder)
    assert (len(found.items), len(found.users), list(found.items.text)) == (730, 530, ["title", "category"])
    lengths = found.sequences.lengths
    assert lengths.min() >= generating.SHORTEST
    assert lengths.max() <= generating.LONGEST
    assert not any("tie" in note for note in found.notes)
    inside = np.diff(found.times)[np.diff(np.repeat(np.arange(len(lengths)), lengths)) == 0]
    assert (inside > 0).all()
    assert "items have no text" not in str(found.notes)


def test_every_item_is_in_training_and_no_two_titles_are_the_same(folder: Path) -> None:
    found = sources.find("made", folder)
    split = splitting.split(found, Contract(), 0)
    assert len(np.unique(split.train.sequences.values)) == 730
    assert len(set(found.items.text["title"])) == 730


def test_items_of_a_category_follow_one_another_and_ids_do_not_tell(folder: Path) -> None:
    found = sources.find("made", folder)
    kind = np.unique(found.items.text["category"], return_inverse=True)[1]
    values = found.sequences.values
    alike = (kind[values[1:]] == kind[values[:-1]]).mean()
    assert alike > 5 * (np.bincount(kind) / len(kind)).max()
    assert (kind[1:] == kind[:-1]).mean() < 0.1


def test_vectors_are_bound_by_id_and_those_of_a_category_are_near(folder: Path) -> None:
    items = sources.find("made", folder).items
    vectors = embeddings.bound(str(folder / "made" / "made.vectors.npy"), items).vectors
    assert vectors.shape == (730, 6)
    kind = np.unique(items.text["category"], return_inverse=True)[1]
    centers = np.stack([vectors[kind == each].mean(0) for each in range(kind.max() + 1)])
    assert ((vectors - centers[kind]) ** 2).sum() < 0.4 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_a_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        _, where = store(Shop("same", 50, 40, seed, 3), tmp_path / name)
        made.append({path.name: path.read_bytes() for path in where.iterdir()})
    assert made[0] == made[1]
    assert all(made[0][f"same.{end}"] != made[2][f"same.{end}"] for end in ("inter", "item", "vectors.npy"))


@pytest.mark.parametrize(("items", "users"), [(20, 7), (97, 33), (1000, 334)])
def test_a_scrambled_place_is_found_again(items: int, users: int) -> None:
    shop, every = Shop("made", items, users), np.arange(items)
    assert sorted(shop.item(every).tolist()) == every.tolist()
    assert np.array_equal(shop.place(shop.item(every)), every)


@pytest.mark.parametrize(
    ("shop", "message"),
    [
        (lambda: Shop("made", 100, 33), "33 users are too few for each of 100 items"),
        (lambda: Shop("made", 19, 33), "--items must be 20 or more; got 19"),
        (lambda: Shop("made", 10**20, 10**20), "--items must be 500,000,000 or less; got 100,000,000,000,000,000,000"),
        (lambda: Shop("made", 100, 10**20), "--users must be 500,000,000 or less; got 100,"),
        (lambda: Shop("made", 100, 100, width=10**6), "--vectors must be 65,536 or less; got 1,000,000"),
    ],
)
def test_what_cannot_be_made_is_refused(shop: object, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        shop()  # type: ignore[operator]


@pytest.mark.parametrize(("name", "message"), [("a/b", "--name takes letters"), ("toys", "is the name of a published")])
def test_names_are_those_of_data_sets_of_ones_own(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        store(Shop(name, 50, 40), tmp_path)


def test_a_data_set_is_replaced_by_force_alone(tmp_path: Path) -> None:
    store(Shop("made", 50, 40), tmp_path)
    with pytest.raises(BenchError, match="--force to replace it"):
        store(Shop("made", 60, 40), tmp_path)
    described, _ = store(Shop("made", 60, 40), tmp_path, force=True)
    assert len(sources.find("made", tmp_path).items) == described["items"] == 60
