"""What a plugin says of itself in the first sentence of its docstring, read from its source: nothing is imported."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

from bench.plugins import top_level

STEPS = 8  # from one module to the next, so that imports in a circle end
END = re.compile(r"(?<=\.)(?<!al\.)\s+(?=[A-Z`])")  # of a sentence, not behind "et al."


def summary(entry: EntryPoint) -> str:
    """The first sentence of the docstring of what an entry point names, without its full stop.

    Empty where there is none, or where no source is found: in an archive, say.
    """
    module, _, attribute = entry.value.partition(":")
    words = _docstring(module.strip(), attribute.partition("[")[0].strip(), STEPS).split("\n\n")[0].split()
    return END.split(" ".join(words))[0].rstrip(".").replace("``", "")


def _docstring(module: str, name: str, steps: int) -> str:
    """Of a class or function, wherever it is imported from; empty where that is not seen."""
    path = _source(module)
    if path is None or not steps:
        return ""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # who runs it is told
        return ""
    for node in reversed(tree.body):  # the last definition of a name holds
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return inspect.cleandoc(ast.get_docstring(node) or "")
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _docstring(_absolute(node, module, path), alias.name, steps - 1)
    return ""


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
