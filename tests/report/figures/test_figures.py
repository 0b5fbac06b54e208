"""Pictures: that they are whole whatever the results, and that the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.report import figures
from bench.results.read import Result, load

Store = Callable[..., Path]
NameItems = Callable[..., None]
TRAINING = {"selection": "ndcg@10", "curve": [{"step": 20, "loss": 3.0}, {"step": 20, "ndcg@10": 0.1}]}


@pytest.fixture(scope="module")
def found(
    stores: Callable[[Path], Store], name_items: NameItems, tmp_path_factory: pytest.TempPathFactory
) -> list[Result]:
    root = tmp_path_factory.mktemp("results")
    store = stores(root)
    name_items(store("textual/title", quality=0.4, shared=4, training=TRAINING), [[1, 2], [1], [3]])
    store("numeric/random", quality=0.3, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.1)
    name_items(store("numeric/random", dataset="beauty", quality=0.2, training=TRAINING), [[1], [2]])
    return load(root)


def test_same_results_same_bytes(found: list[Result], tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    first, second = (figures.write_all(found, folder) for folder in folders)
    assert [path.stem for path in first[::2]] == [name for name in figures.PICTURES if name != "ranks"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
        assert one.read_bytes().startswith(b"\x89PNG" if one.suffix == ".png" else b"<?xml")
    assert sorted(folders[0].iterdir()) == sorted(first)  # nothing unfinished is left behind


@pytest.mark.parametrize(("users", "quality", "seconds"), [(30, 0.0, 0.0), (1, 1.0, None)])
def test_one_baseline_is_drawn_as_far_as_it_goes(
    store: Store, tmp_path: Path, users: int, quality: float, seconds: float | None
) -> None:
    costs = dict.fromkeys(["parameters", "id_construction_seconds", "training_seconds", "peak_memory_mb"])
    costs = {**costs, "inference_seconds_per_1000_users": seconds}
    store("pop", kind="baseline", users=users, quality=quality, costs=costs)
    written = figures.write_all(load(tmp_path), tmp_path / "drawn")
    names = ["quality", "cost", "slices"]  # it was not trained and has no identifiers
    assert [path.name for path in written] == [f"{name}{suffix}" for name in names for suffix in (".png", ".svg")]
    assert all(path.stat().st_size > 5_000 for path in written)


def test_nothing_to_draw_is_no_file(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline")
    assert not figures.write("tree", load(tmp_path), tmp_path / "tree.png")
    assert not (tmp_path / "tree.png").exists()


def test_other_formats_are_refused(found: list[Result], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"must end in \.png or \.svg"):
        figures.write("quality", found, tmp_path / "drawn.pdf")


def test_an_impossible_place_is_one_clear_line(found: list[Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write the figure"):
        figures.write("quality", found, tmp_path / "file" / "drawn.png")
