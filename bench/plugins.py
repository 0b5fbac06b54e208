"""What installed packages offer by name: identifier schemes, baselines, data sets. Nobody's package is imported for it.

A package says what it offers in its ``pyproject.toml``:

    [project.entry-points."bench.id_schemes"]
    "mine/best" = "my_package:Best"

    [project.entry-points."bench.baselines"]
    "mine/floor" = "my_package:Floor"

    [project.entry-points."bench.datasets"]
    "mine" = "my_package:folder"

    [project.entry-points."bench.needs"]
    "my_package" = "some_library"  # does not come with my_package; `bench ls` says where it is missing

Names are read from the packages' metadata; a package is imported only when something in it is asked for. One that is
broken, or a name that two packages offer, is an error for who asks for it and for nobody else.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from bench.errors import BenchError, said, unknown

SCHEMES, BASELINES, DATASETS = "bench.id_schemes", "bench.baselines", "bench.datasets"
NEEDS = "bench.needs"
FILE_MODULE = "bench_plugin_"  # what modules made from named files are called


def offers(group: str) -> dict[str, list[EntryPoint]]:
    """Everything that is offered under each name of a group, sorted: more than one entry is a conflict."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return {name: list(entries.values()) for name, entries in found.items()}


def names(group: str) -> dict[str, EntryPoint]:
    """The entry point behind each name of a group; of a name in conflict the first."""
    return {name: entries[0] for name, entries in offers(group).items()}


def synonyms(name: str, offered: Mapping[str, list[EntryPoint]]) -> list[str]:
    """All names under which is offered what ``name`` stands for, itself among them."""
    return [other for other, found in offered.items() if found[0].value == offered[name][0].value]


def find(name: str, group: str, kind: str) -> EntryPoint:
    """The one entry point with this name. BenchError where there is none (with the nearest name), or several."""
    offered = offers(group)
    if name not in offered:
        if hint := _elsewhere(name, group):
            raise BenchError(f"unknown {kind} '{name}'; {hint}")
        raise unknown(kind, name, offered)
    if len(offered[name]) > 1:
        raise BenchError(conflict(offered[name]))
    return offered[name][0]


def _elsewhere(name: str, group: str) -> str:
    """That the name is one of another group, and how it is run; empty where it is not."""
    kinds = {SCHEMES: ("an identifier scheme", "--id-scheme"), BASELINES: ("a baseline", "--baseline")}
    found = (said for other, said in kinds.items() if other != group and name in offers(other))
    return next((f"it is {what}, which is run with {option} {name}" for what, option in found), "")


def load(name: str, group: str, kind: str) -> tuple[object, str]:
    """What a name, ``module:attribute`` or ``file.py:attribute`` stands for, and what to call it in errors."""
    module, colon, attribute = name.rpartition(":")
    if not colon:
        if name.endswith(".py"):
            raise BenchError(f"{kind} '{name}' is a file; name the class in it too: {name}:Class")
        entry = find(name, group, kind)
        module, _, attribute = entry.value.partition(":")
        attribute, name = attribute.partition("[")[0].strip(), where(entry)
    if module.endswith(".py") and not Path(module).is_file():
        raise BenchError(f"{kind} '{name}': there is no file '{module}'")
    try:
        found: object = _imported(module.strip())
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises while it is imported
        raise BenchError(f"{kind} {name} can't be loaded: {_cause(error, module)}") from error
    return found, f"{kind} {name}"


def _cause(error: BaseException, asked: str) -> str:
    """What went wrong, in one line; where a module lacks what was asked for, what it has instead."""
    cause = said(error) + _line(error)
    if not (isinstance(error, AttributeError) and isinstance(error.obj, ModuleType)):
        return cause
    names, module = vars(error.obj), error.obj.__name__
    near = get_close_matches(str(error.name), names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    if not module.startswith(FILE_MODULE):
        return cause + hint
    own = {name: found for name, found in names.items() if isinstance(found, type) and found.__module__ == module}
    classes = [name for name, found in own.items() if not is_dataclass(found)]  # which settings are
    return f"{asked} has no '{error.name}'{hint or ';'} its classes: {', '.join(classes) or 'none'}"


def _line(error: BaseException) -> str:
    """The line of the plugin's own code that raised, which its author looks for first; empty where there is none."""
    ours = {__file__, importlib.__file__}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in ours]
    own = [frame for frame in frames if not frame.filename.startswith("<")]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def lacks(entry: EntryPoint) -> str:
    """The module that the package behind an entry point says it needs, where this machine lacks it; else empty."""
    package = entry.value.partition(":")[0].partition(".")[0].strip()
    needs = (need.value for need in entry_points(group=NEEDS, name=package))
    return next((module for module in needs if not top_level(module)), "")


def top_level(module: str) -> ModuleSpec | None:
    """Where Python would find the package that holds a module, whatever is imported already; nothing is imported."""
    name = module.partition(".")[0].partition(":")[0].strip()
    finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return next((spec for finder in finders if name and (spec := finder.find_spec(name, None))), None)


def fault(entry: EntryPoint) -> str:
    """Why this can't be loaded, as far as that is seen without importing it; empty where nothing speaks against it."""
    name, colon, attribute = entry.value.partition(":")
    if not (colon and attribute.strip() and all(part.isidentifier() for part in name.strip().split("."))):
        return f"'{entry.value}' is not of the form module:attribute"
    return "" if top_level(name) else f"there is no module '{name.partition('.')[0].strip()}'"


def where(entry: EntryPoint) -> str:
    """An entry point in words."""
    return f"'{entry.name}'{_package(entry)} ({entry.value})"


def conflict(entries: list[EntryPoint]) -> str:
    """That several packages offer one name, and what to do."""
    rivals = " and ".join(f"{entry.value}{_package(entry)}" for entry in entries)
    return f"{rivals} both offer '{entries[0].name}'; uninstall one of them, or say module:Class"


def _package(entry: EntryPoint) -> str:
    return f" of package {entry.dist.name}" if entry.dist else ""


def _imported(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve(strict=True)
    # Two files of one name must not replace each other; dataclasses look their module up in sys.modules.
    module_name = f"{FILE_MODULE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
