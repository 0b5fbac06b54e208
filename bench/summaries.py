"""What a plugin says of itself in the first sentence of its docstring, read from its source: nothing is imported."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path

from bench.plugins import top_level

STEPS = 8  # from one name to the next, so that imports in a circle end
LONGEST = 300  # characters of a summary
END = re.compile(r"(?<=[.!?])(?<!\bal\.)(?<!\be\.g\.)(?<!\bi\.e\.)\s+(?=[A-Z0-9`(])")  # of a sentence


def summary(entry: EntryPoint) -> str:
    """The first sentence of the docstring of what an entry point names, without its full stop.

    Empty where there is none, where no source is found (in an archive, say), or where nobody can read it.
    """
    module, _, attribute = entry.value.partition(":")
    try:
        said = _docstring(module.strip(), attribute.partition("[")[0].strip(), STEPS)
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):  # who runs it is told
        return ""
    sentence = END.split(" ".join(said.split("\n\n")[0].split()))[0].rstrip(".").replace("``", "")
    return textwrap.shorten(sentence, LONGEST, placeholder=" \N{HORIZONTAL ELLIPSIS}")


def _docstring(module: str, name: str, steps: int) -> str:
    """Of a class or function, wherever it is imported from; empty where that is not seen."""
    path = _source(module)
    if path is None or not steps:
        return ""
    for node in reversed(list(_statements(_tree(path).body))):  # the last definition of a name holds
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return inspect.cleandoc(ast.get_docstring(node) or "")
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _docstring(_absolute(node, module, path), alias.name, steps - 1)
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            return _docstring(module, node.value.id, steps - 1) if isinstance(node.value, ast.Name) else ""
    return ""


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, and those that stand in its ``if`` and ``try``."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody") if isinstance(node, ast.If | ast.Try) else ():
            yield from _statements(getattr(node, inner, []))


@lru_cache(maxsize=32)
def _tree(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another's code
        return ast.parse(path.read_bytes())


def _absolute(node: ast.ImportFrom, module: str, path: Path) -> str:
    """The module that is imported from; of a relative import that beside, above, ... the one that imports."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    return ".".join([*package[: len(package) + 1 - node.level], *(node.module or "").split(".")]).strip(".")


def _source(module: str) -> Path | None:
    """The file of a module, where it is a file of Python."""
    spec = top_level(module)
    if spec is None:
        return None
    inner = module.split(".")[1:]
    homes: Sequence[str] = spec.submodule_search_locations or ()
    stems = [Path(home, *inner) for home in homes] if inner or homes else []
    found = [stem / "__init__.py" for stem in stems] + [stem.with_name(f"{stem.name}.py") for stem in stems if inner]
    found += [Path(spec.origin)] if spec.origin and not inner else []
    return next((path for path in found if path.suffix == ".py" and path.is_file()), None)
