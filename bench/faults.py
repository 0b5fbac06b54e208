"""What is wrong with an entry point, as far as its source tells: nothing is imported.

``bench ls`` shows every plugin in a second and must still show the broken ones. So the module that an entry point names
is found as Python would find it, parsed, and asked whether it has what is named and finds what it imports; so are the
modules of its own package that it imports from. What only shows when the code runs, ``bench ls --check`` finds.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path

ANYTHING = "*"  # among the names of a module: there may be more than can be seen


def fault(entry: EntryPoint) -> str:
    """Why this can't be loaded, in one line; empty where nothing speaks against it."""
    try:
        return next(_faults(entry.module, entry.attr.partition(".")[0], frozenset()), "")
    except (AttributeError, ImportError, ValueError):  # importlib's own words for what is no module:attribute
        return f"'{entry.value}' is not of the form module:attribute"


def lacking(entry: EntryPoint) -> list[str]:
    """The modules that a sound plugin needs and this machine lacks: of those that its package names, as text, in a
    ``NEEDED = (...)`` at the top of a module.
    """
    try:
        needed = list(_needed(entry.module, frozenset()))
    except (AttributeError, ImportError, TypeError, ValueError, SyntaxError, OSError):
        return []
    return [module for module in dict.fromkeys(needed) if not is_there(module)]


def is_there(module: str) -> bool:
    """Whether Python would find a module of this name."""
    return _spec(module) is not None


def origin(module: str) -> str:
    """The file that Python would make a module of, wherever this process has it from; empty where there is none."""
    spec = _spec(module)
    return (spec and spec.origin) or ""


def _faults(module: str, attribute: str, above: frozenset[str]) -> Iterator[str]:
    """``above`` are the modules on the way here, which may import each other in a circle."""
    spec = _spec(module)
    if spec is None:
        yield f"there is no module '{module}'"
        return
    if not (spec.origin or "").endswith(".py"):
        return  # compiled, or a folder: there is no source to read
    path = Path(str(spec.origin))
    try:
        body = _body(path)
    except (SyntaxError, ValueError, OSError) as error:
        yield f"{path.name} can't be read: {' '.join(str(error).split())}"
        return
    known = set(_names(body))
    if not known & {attribute, ANYTHING, "__getattr__"} and _spec(f"{module}.{attribute}") is None:
        yield f"module '{module}' has no '{attribute}'"
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for statement in body:
        if isinstance(statement, ast.Raise):
            yield f"{path.name} says in line {statement.lineno}: {ast.unparse(statement)}"
        for other, name in _imports(statement, package):
            if other in sys.builtin_module_names or other in above | {module}:
                continue
            if other.partition(".")[0] != module.partition(".")[0]:
                if _spec(other.partition(".")[0]) is None:
                    yield f"{path.name} imports '{other}', which is not installed"
            elif name:
                yield from _faults(other, name, above | {module})


def _needed(module: str, above: frozenset[str]) -> Iterator[str]:
    """What a module and those of its own package that it imports from say they need."""
    path = Path(origin(module))
    if path.suffix != ".py":
        return
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for statement in _body(path):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "NEEDED":
            yield from map(str, ast.literal_eval(statement.value))
        for other, name in _imports(statement, package):
            for inner in (other, f"{other}.{name}"):
                if other.partition(".")[0] == module.partition(".")[0] and inner not in above and is_there(inner):
                    yield from _needed(inner, above | {module})


@functools.cache
def _body(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_bytes(), path.name).body


@functools.cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module is. Unlike ``importlib.util.find_spec`` this never imports the packages above it."""
    path: Sequence[str] | None = None
    found = None
    for end in range(1, module.count(".") + 2):
        name = ".".join(module.split(".")[:end])
        specs = (finder.find_spec(name, path, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        found = next((spec for spec in specs if spec is not None), None)
        if found is None or (found.submodule_search_locations is None and name != module):
            return None
        path = list(found.submodule_search_locations or [])
    return found


def _imports(statement: ast.stmt, package: str) -> Iterator[tuple[str, str]]:
    """Modules that a statement imports, and the name that it takes from each. What stands under ``if`` or ``try`` may
    well be absent, and so may what functions import.
    """
    if isinstance(statement, ast.Import):
        yield from ((alias.name, "") for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        place = "." * statement.level + (statement.module or "")
        module = importlib.util.resolve_name(place, package) if statement.level else place
        yield from ((module, "" if alias.name == "*" else alias.name) for alias in statement.names)


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """What a module's statements bind."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        else:
            nodes = ast.walk(statement)
            yield from (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
            inner = (getattr(statement, part, []) for part in ("body", "orelse", "finalbody", "handlers"))
            for block in inner:
                for part in block:
                    yield from _names(part.body if isinstance(part, ast.ExceptHandler) else [part])
