"""What baselines keep of their runs, and how they are read back: by original ids, exact, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.results import kept
from bench.runs.saved_baseline import as_text
from bench.settings import parse


def test_the_state_comes_back_as_it_was(tmp_path: Path) -> None:
    counts = np.array([3, 0, 2], np.float32)
    kept.write_state(tmp_path, {"counts": counts}, {"width": 4})
    arrays, facts = kept.read_state(tmp_path)
    assert arrays["counts"].dtype == np.float32
    assert (arrays["counts"].tolist(), facts) == ([3, 0, 2], {"width": 4})


def test_a_run_without_state_says_so(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no state of its baseline; copy it again, or run it again with --force"):
        kept.read_state(tmp_path)
    (tmp_path / kept.STATE).write_bytes(b"nothing")
    with pytest.raises(BenchError, match=r"the state of a baseline '.*' is corrupt"):
        kept.read_state(tmp_path)
    with pytest.raises(BenchError, match=r"items.parquet' is missing or corrupt"):
        kept.read_catalogue(tmp_path)


def test_a_matrix_comes_back_as_it_was() -> None:
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3], [0, 0, 0]], np.float32)
    arrays = kept.matrix_arrays("after", sparse.csr_array(dense))
    assert all(name.startswith("after.") for name in arrays)
    assert np.array_equal(kept.matrix_of("after", arrays).toarray(), dense)


def test_what_was_counted_goes_with_the_original_id(tmp_path: Path) -> None:
    kept.write_catalogue(tmp_path, ItemTable(("a", "b", "c"), {"title": ("x", "y", "z")}))
    same = kept.same_items(ItemTable(("c", "new", "a"), {}), tmp_path, kept.Overlap())
    assert (same @ np.array([5.0, 6.0, 7.0])).tolist() == [7, 0, 5]
    strange = kept.same_items(ItemTable(("p", "q"), {}), tmp_path, kept.Overlap())
    assert (strange @ np.array([5.0, 6.0, 7.0])).tolist() == [0, 0]


def test_the_catalogue_has_a_title_or_the_first_text(tmp_path: Path) -> None:
    kept.write_catalogue(tmp_path, ItemTable(("a", "b"), {"brand": ("x", ""), "year": ("1", "2")}))
    assert kept.read_catalogue(tmp_path) == (["a", "b"], ["x", ""])
    kept.write_catalogue(tmp_path, ItemTable(("a", "b"), {}))
    assert kept.read_catalogue(tmp_path) == (["a", "b"], ["", ""])


@dataclass(frozen=True)
class Everything:
    fields: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (1, 2)
    whiten: bool = True
    rate: float = 0.5
    name: str = "plain"
    limit: int | None = None


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ({}, {}),
        ({"fields": ["title", "brand"], "sizes": [1, 2]}, {"fields": "title,brand"}),
        ({"whiten": False, "rate": 1e-5, "name": "other"}, {"whiten": "False", "rate": "1e-05", "name": "other"}),
        ({"limit": 3}, {"limit": "3"}),
    ],
)
def test_stored_settings_are_read_as_they_were_given(stored: dict[str, object], text: dict[str, str]) -> None:
    assert as_text(stored, Everything) == text
    found = parse(Everything, text, "setting")
    for name, value in stored.items():
        assert getattr(found, name) == (tuple(value) if isinstance(value, list) else value)


def test_items_of_one_number_but_of_another_title_are_two_items(tmp_path: Path) -> None:
    """Two data sets that count their items from 0 would else have all of them in common."""
    kept.write_catalogue(tmp_path, ItemTable(("0", "1", "2", "3"), {"title": ("Heat", "Alien", "", "Up")}))
    films = ItemTable(("3", "0", "1", "2", "4"), {"title": ("Up", "Moon Congee", "", "Fairy Nails", "Up")})

    def pairs(items: ItemTable, overlap: kept.Overlap) -> list[tuple[int, int]]:
        rows, others = kept.same_items(items, tmp_path, overlap).toarray().nonzero()
        return list(zip(rows.tolist(), others.tolist(), strict=True))

    assert pairs(films, kept.Overlap()) == [(0, 3), (2, 1), (3, 2)]
    assert pairs(films, kept.Overlap(same="id")) == [(0, 3), (1, 0), (2, 1), (3, 2)]
    assert pairs(ItemTable(("0", "3"), {}), kept.Overlap()) == [(0, 0), (1, 3)]
