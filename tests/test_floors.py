"""The order of floors: no package of ``bench`` imports one above it, for types neither."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
FLOORS = (
    (
        "arrays",
        "children",
        "console",
        "contract",
        "control_groups",
        "devices",
        "errors",
        "faiss_library",
        "files",
        "flops",
        "hub",
        "dropout",
        "launchers",
        "linear",
        "lists",
        "machine",
        "outside",
        "plugins",
        "summaries",
        "privacy",
        "processes",
        "protocol",
        "ranks",
        "recipes",
        "settings",
        "tensors",
        "threads",
        "toml",
        "versions",
        "vocabulary",
        "watch",
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
    ("conformance", "new", "serving", "testing"),
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


# -- kinds of backbone are known in their own room alone --------------------------------------------------------------

SOURCES = [path for root in ("bench", "tokenizers", "baselines") for path in (BENCH.parent / root).rglob("*.py")]
OUTSIDE = sorted(path for path in SOURCES if BENCH / "backbone" not in path.parents)
DOOR = {"bench.backbone", "bench.backbone.checkpoints"}
DOOR |= {
    "bench.backbone.extending",
    "bench.backbone.numbers",
    "bench.backbone.reading",
    "bench.backbone.protocol",
}


def modules(source: str) -> set[str]:
    """The modules of ``bench.backbone``, and whatever of Transformers, that a module imports by name."""
    found = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            files = {name for name in inner if (BENCH.parent / f"{name.replace('.', '/')}.py").exists()}
            found |= files or {node.module}
            found |= inner if node.module == "transformers" else set()
    return {name for name in found if name.startswith(("bench.backbone", "transformers"))}


def named(source: str) -> set[str]:
    """Names of code that speak of a kind of backbone: variables, attributes, parameters, functions, classes."""
    fields = ("id", "attr", "arg", "name")
    words = {word for node in ast.walk(ast.parse(source)) for field in fields if (word := getattr(node, field, None))}
    return {word for word in words if re.search(r"(^|_)(t5|qwen\d*|llama)(_|$)", str(word).lower())}


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(BENCH.parent)))
def test_kinds_of_backbone_are_named_in_their_own_room_alone(path: Path) -> None:
    source = path.read_text()
    found = modules(source)
    assert {name for name in found if name.startswith("bench")} <= DOOR
    assert not {name for name in found if re.search(r"T5|Qwen|Llama|\.models\.", name)}
    assert not named(source)


def test_a_kind_of_backbone_is_noticed() -> None:
    source = (
        "from bench.backbone import huggingface, load\nfrom transformers import T5Model\nfirst_t5 = recommender.t5\n"
    )
    assert modules(source) == {"bench.backbone.huggingface", "transformers", "transformers.T5Model"}
    assert named(source) == {"first_t5", "t5"}


# -- faiss is imported in one place, which knows its builds -----------------------------------------------------------


def imports_faiss(source: str) -> bool:
    """Whether a module imports faiss, wherever in it the import stands, by name or as text."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            names += [str(node.args[0].value)] if called in ("import_module", "__import__") else []
        if any(name.partition(".")[0] == "faiss" for name in names):
            return True
    return False


def test_faiss_is_imported_in_one_module() -> None:
    found = [path.relative_to(BENCH.parent).as_posix() for path in SOURCES if imports_faiss(path.read_text())]
    assert found == ["bench/faiss_library.py"]


@pytest.mark.parametrize(
    "source", ["def f():\n    import faiss.contrib", "from faiss import Kmeans", "importlib.import_module('faiss')"]
)
def test_an_import_of_faiss_is_noticed(source: str) -> None:
    assert imports_faiss(source)
    assert not imports_faiss("import bench.faiss_library\nfrom bench.faiss_library import kmeans")


def test_an_import_of_a_floor_above_is_noticed() -> None:
    source = "def f():\n    from bench.runs import matrix\nif TYPE_CHECKING:\n    import bench.report.rows\n"
    assert set(imported(source)) == {"runs", "report"}
