"""What the rows of the page can be filtered by: group of schemes, preset, data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.leaders import family
from bench.report.rows import Row, Section

BASELINES, PROBES, LEAKS = "baselines", "probes", "leaks"


@dataclass(frozen=True)
class Mark:
    """What a row is filtered by. A baseline is trained under no preset: it stays under each."""

    label: str
    group: str
    preset: str


@dataclass(frozen=True)
class Filters:
    """What there is to choose from; a choice of one thing is none, and its list is empty."""

    groups: tuple[str, ...]
    presets: tuple[str, ...]
    datasets: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.groups, self.presets, self.datasets))


def marked(row: Row) -> Mark:
    """A scheme's group is its family; leaks, probes and other baselines are groups of their own."""
    preset = "" if row.baseline else row.first.preset or "none"
    return Mark(row.label, _group(row), preset)


def _group(row: Row) -> str:
    if row.first.scheme.leaks:
        return LEAKS
    if row.probe:
        return PROBES
    return BASELINES if row.baseline else family(row)


def filters(rows: Sequence[Row], sections: Sequence[Section]) -> Filters:
    """Families in order of their names, then what is no scheme."""
    groups = {_group(row) for row in rows}
    last = [group for group in (BASELINES, PROBES, LEAKS) if group in groups]
    presets = sorted({marked(row).preset for row in rows} - {""})
    titles = [section.title for section in sections]
    return Filters(
        _several([*sorted(groups.difference(last)), *last]), _several(presets), _several(list(dict.fromkeys(titles)))
    )


def _several(found: Sequence[str]) -> tuple[str, ...]:
    return tuple(found) if len(found) > 1 else ()
