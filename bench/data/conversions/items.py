"""The text of a catalogue, collected from metadata that hold far more items, and some of them twice."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Items:
    """``rows[item]`` has a text for each of ``fields``, empty where there is none."""

    fields: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]

    def column(self, field: str, item_ids: Sequence[str]) -> list[str]:
        """A field of these items; empty for those without metadata."""
        position = self.fields.index(field)
        nothing = ("",) * len(self.fields)
        return [self.rows.get(item, nothing)[position] for item in item_ids]


class ItemsBuilder:
    """Keeps the items that are ``wanted``. Of an item that comes several times, each field is the first text it had."""

    def __init__(self, wanted: Container[str]) -> None:
        self._wanted = wanted
        self._rows: dict[str, tuple[str, ...]] = {}
        self._fields: tuple[str, ...] = ()

    def add(self, item: str, **texts: str) -> None:
        self._fields = tuple(texts)
        if item not in self._wanted:
            return
        found = tuple(texts.values())
        before = self._rows.get(item, found)
        self._rows[item] = tuple(old or new for old, new in zip(before, found, strict=True))

    def build(self) -> Items:
        return Items(self._fields, self._rows)
