"""The table of published scores and ours: paper, others obtained, ours, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase

from bench.report import published as store
from bench.report.labels import labels
from bench.report.published import NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, Claim, Published, Verdict
from bench.report.rows import Estimate, Row, Section
from bench.report.sheet import Sheet
from bench.report.table import DASH, Note

HEADER = ("scheme", "published system", "metric", "paper", "others obtained", "ours", "verdict")
TITLES = {"hit": "Hit", "ndcg": "NDCG", "recall": "Recall"}


@dataclass(eq=False)
class Legend:
    """Letters for the sources of a table, numbers for the reasons why something is not comparable; as they come."""

    letters: dict[str, str] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def letter(self, claim: Claim) -> str:
        self.claims.append(claim)
        turn, place = divmod(len(self.letters), len(ascii_lowercase))
        return self.letters.setdefault(claim.source.title, ascii_lowercase[place] + (str(turn) if turn else ""))

    def reason(self, claim: Claim, why: str) -> str:
        return self.reasons.setdefault(f"{self.letter(claim)}: {why}", str(len(self.reasons) + 1))


def compared(section: Section) -> Sheet | None:
    """One line for each metric of each published system that a row stands for; None where there is none."""
    published, legend = store.load(), Legend()
    lines = [
        line
        for row, label in zip(section.rows, labels(section), strict=True)
        for system in store.systems(published, row.first)
        for line in _lines(published, section, row, label, system, legend)
    ]
    if not lines:
        return None
    return Sheet("Published scores and ours", HEADER, tuple(lines), tuple(_notes(published, legend)))


def _lines(
    published: Published, section: Section, row: Row, label: str, system: str, legend: Legend
) -> list[tuple[str, ...]]:
    held = store.claims(published, section.dataset.name, system)
    made: list[tuple[str, ...]] = []
    for metric in dict.fromkeys(claim.metric for claim in held):
        claims = [claim for claim in held if claim.metric == metric]
        ours = row.estimate(metric) if metric in row.first.metrics["strict"] else None
        paper, others = (_values([claim for claim in claims if claim.own is own], legend) for own in (True, False))
        judged = [(claim, store.verdict(claim, row.first, ours, published.tolerance)) for claim in claims]
        made.append((label, system, _title(metric), paper, others, _ours(ours), _judgement(judged, legend)))
    return made


def _title(metric: str) -> str:
    kind, _, cutoff = metric.partition("@")
    return f"{TITLES[kind]}@{cutoff}"


def _values(claims: Sequence[Claim], legend: Legend) -> str:
    shown = (f"{claim.value:.{4 if claim.value >= 0.0001 else 5}f} ({legend.letter(claim)})" for claim in claims)
    return ", ".join(shown) or DASH


def _ours(estimate: Estimate | None) -> str:
    if estimate is None:
        return DASH
    ends = f" [{estimate.interval[0]:.4f}{DASH}{estimate.interval[1]:.4f}]" if estimate.interval else ""
    return f"{estimate.value:.4f}{ends}"


def _judgement(judged: Sequence[tuple[Claim, Verdict]], legend: Legend) -> str:
    """About the first value that ours may be compared with, the paper's before others'."""
    possible = [pair for pair in judged if pair[1].outcome != NOT_COMPARABLE]
    if not possible:
        return f"**{NOT_COMPARABLE}** ({', '.join(legend.reason(claim, found.why) for claim, found in judged)})"
    claim, found = possible[0]
    borne_out = [legend.letter(other) for other, its in possible if its.outcome == REPRODUCED]
    text = f"**{found.outcome}** ({legend.letter(claim)}): {found.why}"
    if found.outcome == NOT_REPRODUCED and borne_out:
        text += f"; what others obtained is reproduced ({', '.join(borne_out)})"
    return text


def _notes(published: Published, legend: Legend) -> list[Note]:
    rule = (
        "reproduced: a published value lies in our 95 % interval, or ours within "
        f"{published.tolerance:.0%} of it; not comparable: another split, other candidates, other data, values known "
        "to be broken, or a model or budget of ours that is not of a published size"
    )
    return [
        *(Note(letter, _source(title, legend.claims)) for title, letter in legend.letters.items()),
        *(Note(number, f"not comparable with {reason}") for reason, number in legend.reasons.items()),
        Note("verdicts", rule),
    ]


def _source(title: str, claims: Sequence[Claim]) -> str:
    """What a source is, with the cautions about those of its values that are shown."""
    shown = [claim for claim in claims if claim.source.title == title]
    cautions = dict.fromkeys(f"**{claim.system}: {claim.caution.text}**" for claim in shown if claim.caution)
    source = shown[0].source
    return "; ".join([f"{title}, {source.where}", source.protocol, source.caveat, *cautions])
