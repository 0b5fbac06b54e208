"""What one setting is worth: tables and pictures of ``results/ablations``, where a row differs from another in one.

``PARTS`` are filled into the pages by ``generate.py``; the site draws ``drawn``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import markup
from matplotlib.figure import Figure

from bench.evaluation.statistics import ends
from bench.report.comparisons import Comparison, Pair, compare
from bench.report.figures.quality import BESIDE, ROW_HEIGHT
from bench.report.figures.style import COLORS, LINE, style
from bench.report.numbers import seconds, signed
from bench.report.rows import HEADLINE, Row, sections
from bench.report.table import DASH
from bench.results.read import load

STORED = Path(__file__).resolve().parents[1] / "results" / "ablations"
DEFAULTS: Mapping[str, str] = {  # what is asked about, and what the row has that others are compared with
    "collisions": "counter",
    "codes": "256",
    "levels": "3",
    "fields": "all",
    "encoder": "tfidf-svd",
    "max_history": "20",
    "beam_width": "20",
    "exclude_history": "false",
    "training": "windows",
}
QUESTIONS: Mapping[str, tuple[str, ...]] = {  # a table and a picture for each
    "collisions": ("collisions",),
    "codebooks": ("codes", "levels"),
    "fields": ("fields",),
    "encoder": ("encoder",),
    "history": ("max_history",),
    "beam": ("beam_width",),
    "exclude": ("exclude_history",),
    "training": ("training",),
}


@dataclass(frozen=True, eq=False)
class Ablation:
    """A row that differs from its ``base`` in one ``setting``; ``comparison`` is this row minus that one."""

    setting: str
    row: Row
    base: Row
    comparison: Comparison

    @property
    def value(self) -> str:
        return f"{self.setting}={asked(self.row)[self.setting]}"

    @property
    def same_weights(self) -> bool:
        """Whether the setting is of ranking alone, and both rank with one model."""
        return _weights(self.row) == _weights(self.base)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the difference: over users, and over trainings where there were two."""
        if not self.same_weights:
            return self.comparison.interval
        return ends(Pair(self.row, self.base).resampled(HEADLINE))


@cache
def ablations() -> Sequence[Ablation]:
    """Every stored row but those that others are compared with. ValueError where one differs in several settings."""
    (section,) = sections(load(STORED))
    found = [(row, _base(row, section.rows)) for row in section.rows if _unlike(row)]
    compared = compare([Pair(row, base) for row, base in found], [HEADLINE])
    made = []
    for (row, base), comparison in zip(found, compared, strict=True):
        (setting,) = _unlike(row)
        made.append(Ablation(setting, row, base, comparison[HEADLINE]))
    return made


def asked(row: Row) -> dict[str, str]:
    """What it has of the settings in question, as ``--set`` takes them."""
    have = {**row.first.contract, **row.first.scheme.stated}
    return {name: _written(have[name]) for name in DEFAULTS if name in have}


def _written(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "all"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unlike(row: Row) -> list[str]:
    return [name for name, value in asked(row).items() if value != DEFAULTS[name]]


def _weights(row: Row) -> str:
    """Their digest, which is all that a packed run has of them."""
    stored = json.loads((row.first.folder / "result.json").read_text(encoding="utf-8"))
    return str(stored["packed"]["model.safetensors"])


def _base(row: Row, rows: Sequence[Row]) -> Row:
    (base,) = (each for each in rows if each.first.scheme.name == row.first.scheme.name and not _unlike(each))
    return base


def _groups(question: str) -> Iterator[tuple[Row, str, list[Ablation]]]:
    """The rows that others are compared with, what they are called, and those others."""
    settings = QUESTIONS[question]
    found = [each for each in ablations() if each.setting in settings]
    for base in dict.fromkeys(each.base for each in found):
        named = ", ".join(f"{name}={DEFAULTS[name]}" for name in settings)
        yield base, f"{base.first.scheme.name}, {named}", [each for each in found if each.base is base]


# -- the parts --------------------------------------------------------------------------------------------------------


def table(question: str) -> str:
    """Scores, differences of the same users, and what training took."""
    lines = []
    for base, named, others in _groups(question):
        lines.append([f"`{named}`", _score(base), DASH, *_costs(base)])
        lines += [[f"`{each.value}`", _score(each.row), _difference(each), *_costs(each.row)] for each in others]
    return markup.table(["", "NDCG@10", "difference", "training (s)", "ranking (s)"], lines)


def _score(row: Row) -> str:
    return f"{row.metric(HEADLINE)[0]:.4f}"


def _costs(row: Row) -> list[str]:
    return [seconds(row.cost(name)) for name in ("processor_seconds", "inference_seconds_per_1000_users")]


def _difference(found: Ablation) -> str:
    if found.interval is None:
        return signed(found.comparison.difference)
    low, high = found.interval
    return f"{signed(found.comparison.difference)} [{signed(low)}, {signed(high)}]"


def picture(question: str) -> str:
    """What the site draws of a question."""
    name = f"ablation-{question}.svg"
    return f"![What each value adds to NDCG@10]({name})"


def drawn() -> Iterator[tuple[str, str]]:
    """The files that pages show: their names, and what is in them."""
    for question in QUESTIONS:
        with style():
            written = io.StringIO()
            _figure(question).savefig(written, format="svg", metadata={"Date": None})
        yield f"ablation-{question}.svg", written.getvalue()


def _figure(question: str) -> Figure:
    """Differences with their intervals, a panel for each row that others are compared with."""
    groups = list(_groups(question))
    heights = [len(others) * ROW_HEIGHT + 0.6 for *_, others in groups]
    figure = Figure(figsize=(7.2, sum(heights) + 0.3), layout="constrained")
    panels = figure.subplots(len(groups), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for panel, (base, named, others) in zip(panels, groups, strict=True):
        panel.axvline(0, color=LINE, linewidth=1.5)
        for position, each in enumerate(others):
            low, high = each.interval or (each.comparison.difference,) * 2
            panel.plot([low, high], [position, position], color=COLORS[1], linewidth=2, alpha=0.55)
            panel.plot(each.comparison.difference, position, "o", color=COLORS[1], markersize=6)
            panel.annotate(_score(each.row), (high, position), (7, 0), va="center", **BESIDE)
        panel.set_title(f"{named}: {_score(base)}")
        panel.set_yticks(range(len(others)), [each.value for each in others])
        panel.set_ylim(len(others) - 0.4, -0.6)
        panel.grid(axis="y", visible=False)
        panel.spines["left"].set_visible(False)
        panel.margins(x=0.2)
    panels[-1].set_xlabel("NDCG@10 more or less than the row in the title; lines: 95 % intervals")
    return figure


PARTS: Mapping[str, Callable[[], str]] = {
    **{f"ablation-{question}": partial(table, question) for question in QUESTIONS},
    **{f"ablation-{question}-picture": partial(picture, question) for question in QUESTIONS},
}
