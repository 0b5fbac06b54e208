"""The order of floors: no package of ``bench`` imports one above it, for types neither."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
FLOORS = (
    (
        "contract",
        "errors",
        "files",
        "hub",
        "lists",
        "machine",
        "plugins",
        "protocol",
        "settings",
        "tensors",
        "versions",
        "vocabulary",
    ),
    ("data",),
    ("ids",),
    ("backbone",),
    ("evaluation",),
    ("model",),
    ("training",),
    ("results",),
    ("runs",),
    ("report",),
    ("conformance", "new", "testing"),
    ("commands",),
    ("api", "cli"),
    ("__init__", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}


def room(path: Path) -> str:
    return path.relative_to(BENCH).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """The rooms of ``bench`` that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts = (name.split(".") for name in names)
        yield from (part[1] for part in parts if part[0] == "bench" and len(part) > 1 and part[1] in LEVEL)


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in BENCH.rglob("*.py")} == set(LEVEL)


@pytest.mark.parametrize("path", sorted(BENCH.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCH)))
def test_nothing_imports_a_floor_above(path: Path) -> None:
    own = room(path)
    above = {name for name in imported(path.read_text()) if LEVEL[name] > LEVEL[own]}
    assert not above, f"bench/{path.relative_to(BENCH)} is on the floor of '{own}' and imports {sorted(above)}"


def test_an_import_of_a_floor_above_is_noticed() -> None:
    source = "def f():\n    from bench.runs import matrix\nif TYPE_CHECKING:\n    import bench.report.rows\n"
    assert set(imported(source)) == {"runs", "report"}
