"""Which item is meant by a key of a file of identifiers, and which items of the catalogue nothing is said of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import twins
from bench.data.dataset import ItemTable
from bench.data.idmaps import numbers
from bench.errors import BenchError, counted
from bench.ids.imported.formats import Found

EXAMPLES = 3
HOW = "--set file.items=PATH (an .item2id, an id_mapping.json, a RecBole .item file, or one id on each line)"

Value = tuple[str, ...] | str


def keyed(found: Found, path: Path, named: Path | None, other: Path | None) -> dict[str, Value]:
    """Tokens or words by original id. ``named`` says which item a number is, or ``other`` where all keys are numbers.

    Where the original ids are numbers as well, the file beside is asked which of the two the keys are. BenchError where
    rows have numbers and nothing says whose they are, where keys may be either, or where two keys mean one item.
    """
    source = named or (other if other and (found.numbered or _are_numbers(found, path, other)) else None)
    if source is None:
        if found.numbered:
            raise BenchError(f"'{path}' does not name the items of its rows; give a file that does: {HOW}")
        return dict(zip(found.keys, found.values, strict=True))
    known = numbers(source)
    if found.numbered and len(known) != len(found.keys):
        rows, items = counted(len(found.keys), "row"), counted(len(known), "item")
        raise BenchError(f"'{path}' has {rows}, but '{source}' names {items}")
    pairs = [(known.get(key, f"number {key}"), value) for key, value in zip(found.keys, found.values, strict=True)]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise BenchError(f"'{source}' gives item '{twice}' two numbers, and '{path}' an identifier for each")
    return dict(pairs)


def _are_numbers(found: Found, path: Path, other: Path) -> bool:
    """Whether the keys are numbers that ``other`` explains, and not original ids, which may look like numbers."""
    if not all(key.isdecimal() for key in found.keys):
        return False
    known, keys = numbers(other), set(found.keys)
    if not keys <= set(known.values()):
        return True
    if keys <= known.keys() and any(known[key] != key for key in keys):
        raise BenchError(
            f"the keys of '{path}' may be numbers of '{other}' or original ids; if they are numbers, say so with "
            f"--set file.items={other}, if not, move '{path.name}' to another folder"
        )
    return False


@dataclass(frozen=True)
class Matched:
    """``values[item]`` are the tokens or words of each item of the catalogue, empty where there are none.

    ``warnings`` say in one line each what does not agree.
    """

    values: tuple[Value, ...]
    missing: tuple[int, ...]
    warnings: tuple[str, ...]


def match(by_key: Mapping[str, Value], items: ItemTable, name: str, dataset: str) -> Matched:
    """Identifiers of the file called ``name``, item by item. BenchError where the catalogue has none of its keys."""
    known = set(items.ids)
    strangers = [key for key in by_key if key not in known]
    near = twins.nearly([item for item in items.ids if item not in by_key], strangers)
    if len(strangers) == len(by_key):
        raise BenchError(
            f"none of the {len(by_key):,} items of '{name}' is in the catalogue of {dataset}: the file names "
            f"{examples(strangers)}, the catalogue {examples(items.ids)}; "
            + (near or f"where keys are numbers, say whose: {HOW}")
        )
    empty: Value = ""
    values = tuple(by_key.get(item) or empty for item in items.ids)
    missing = tuple(index for index, value in enumerate(values) if not value)
    warnings = (
        (
            missing,
            f"{len(missing):,} of {len(items):,} items have no identifier in '{name}': "
            f"{examples([items.ids[item] for item in missing])}{near and f'; {near}'}",
        ),
        (
            strangers,
            f"{len(strangers):,} of {len(by_key):,} items of '{name}' are not in the catalogue and are skipped: "
            f"{examples(strangers)}",
        ),
        *_shared(values, items),
    )
    return Matched(values, missing, tuple(warning for some, warning in warnings if some))


def _shared(values: Sequence[Value], items: ItemTable) -> list[tuple[bool, str]]:
    """A warning on items that the file gives one identifier."""
    groups: dict[Value, list[int]] = {}
    for item, value in enumerate(values):
        groups.setdefault(value, []).append(item)
    shared = {value: group for value, group in groups.items() if value and len(group) > 1}
    if not shared:
        return []
    value, group = next(iter(shared.items()))
    first = value if isinstance(value, str) else " ".join(value)
    some = examples([items.ids[item] for item in group])
    count = sum(map(len, shared.values()))
    return [(True, f"{count:,} items share their identifier with another, as '{first}' is that of {some}")]


def examples(names: Sequence[str]) -> str:
    """The first few, quoted."""
    return ", ".join(f"'{name}'" for name in names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")
