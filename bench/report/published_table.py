"""The table of published scores and ours: paper, others obtained, ours, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from string import ascii_lowercase

from bench.report import published as store
from bench.report.labels import labels
from bench.report.published import NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, Claim, ClaimResult, Published
from bench.report.quality import stored
from bench.report.rows import Estimate, Row, Section
from bench.report.table import DASH, Cell, Column, Note, Source, Table, strong

TITLES = ("scheme", "published system", "metric", "paper", "others obtained", "ours", "result", "because")
METRICS = {"hit": "Hit", "ndcg": "NDCG", "recall": "Recall"}


@dataclass(eq=False)
class Legend:
    """Letters for the sources of a table, numbers for the reasons why something is not comparable; as they come."""

    letters: dict[str, str] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def letter(self, claim: Claim) -> str:
        self.claims.append(claim)
        turn, position = divmod(len(self.letters), len(ascii_lowercase))
        return self.letters.setdefault(claim.source.title, ascii_lowercase[position] + (str(turn) if turn else ""))

    def reason(self, claim: Claim, why: str) -> str:
        return self.reasons.setdefault(f"{self.letter(claim)}: {why}", str(len(self.reasons) + 1))


@dataclass(frozen=True, eq=False)
class Claims:
    """All that was published about one metric of a system on a data set, beside a row of ours that stands for it."""

    row: Row
    data: str
    system: str
    metric: str
    claims: Sequence[Claim]

    @property
    def ours(self) -> Source:
        return stored(self.row, f"metrics.strict.{self.metric}", "per_user.parquet:rank")

    def source(self, claims: Sequence[Claim]) -> Source:
        """Where they stand; without any, the entry in which nothing stands."""
        entry = f"{self.data}.{self.system}.{self.metric}"
        return Source((), (), tuple(f"{claim.source.title}: {entry}" for claim in claims) or (f"any source: {entry}",))

    @property
    def result_source(self) -> Source:
        said = stored(self.row, f"metrics.strict.{self.metric}", "per_user.parquet:rank", "contract", "dataset")
        return Source(said.folders, said.fields, self.source(self.claims).published)


def published_table(section: Section) -> Table | None:
    """One line for each metric of each published system that a row stands for; None where there is none.

    A cell with several published values has the first of them as its value.
    """
    published, legend = store.load(), Legend()
    lines = [
        _line(published, found, label, legend)
        for row, label in zip(section.rows, labels(section), strict=True)
        for system in store.systems(published, row.first)
        for found in _by_metric(published, section, row, system)
    ]
    if not lines:
        return None
    head, *columns = (
        Column(title, cells, numeric=title == "ours")
        for title, cells in zip(TITLES, zip(*lines, strict=True), strict=True)
    )
    return Table("published", "Published scores and ours", head, tuple(columns), tuple(_notes(published, legend)))


def _by_metric(published: Published, section: Section, row: Row, system: str) -> list[Claims]:
    data = section.dataset.name
    claims = store.claims(published, data, system)
    return [
        Claims(row, data, system, metric, [claim for claim in claims if claim.metric == metric])
        for metric in dict.fromkeys(claim.metric for claim in claims)
    ]


def _line(published: Published, found: Claims, label: str, legend: Legend) -> tuple[Cell, ...]:
    metric, every = found.metric, found.source(found.claims)
    estimate = over_users(found.row, metric) if metric in found.row.first.metrics["strict"] else None
    paper, others = (_values(found, own, legend) for own in (True, False))
    results = [(claim, store.result_of(published, claim, found.row.first, estimate)) for claim in found.claims]
    outcome, because = _combined(results, legend)
    return (
        Cell(label, stored(found.row, "scheme.name", "scheme.version", "scheme.settings"), label),
        Cell(found.system, every, found.system),
        Cell(_title(metric), every, metric),
        paper,
        others,
        _ours(estimate, found.ours),
        Cell(outcome, found.result_source, outcome),
        Cell(because, found.result_source, because),
    )


def over_users(row: Row, metric: str) -> Estimate:
    """Ours with the interval over users alone: no noise of training may call more values reproduced."""
    estimate = row.estimate(metric)
    return replace(estimate, interval=estimate.of_users)


def _title(metric: str) -> str:
    kind, _, cutoff = metric.partition("@")
    return f"{METRICS[kind]}@{cutoff}"


def _values(found: Claims, own: bool, legend: Legend) -> Cell:
    claims = [claim for claim in found.claims if claim.own is own]
    shown = (f"{claim.value:.{4 if claim.value >= 0.0001 else 5}f} ({legend.letter(claim)})" for claim in claims)
    return Cell(", ".join(shown) or DASH, found.source(claims), claims[0].value if claims else None)


def _ours(estimate: Estimate | None, source: Source) -> Cell:
    if estimate is None:
        return Cell(DASH, source)
    return Cell(f"{estimate.value:.4f}", source, estimate.value, estimate.sd, estimate.interval)


def _combined(results: Sequence[tuple[Claim, ClaimResult]], legend: Legend) -> tuple[str, str]:
    """ClaimResult and reason, about the first value that ours may be compared with, the paper's before others'."""
    possible = [pair for pair in results if pair[1].outcome != NOT_COMPARABLE]
    if not possible:
        return NOT_COMPARABLE, ", ".join(legend.reason(claim, found.why) for claim, found in results)
    claim, found = possible[0]
    reproduced = [legend.letter(other) for other, its in possible if its.outcome == REPRODUCED]
    because = f"{legend.letter(claim)}: {found.why}"
    if found.outcome == NOT_REPRODUCED and reproduced:
        because += f"; what others obtained is reproduced ({', '.join(reproduced)})"
    return found.outcome, because


def _notes(published: Published, legend: Legend) -> list[Note]:
    rule = (
        "reproduced: a published value lies in our 95 % interval, here over users alone, or ours within "
        f"{published.tolerance:.0%} of it; not comparable: another split, other candidates, other data, values known "
        "to be broken, settings of ours that are not the system's, or a model or budget that is not of a published size"
    )
    return [
        *(Note(letter, _source(title, legend.claims)) for title, letter in legend.letters.items()),
        *(Note(number, f"not comparable with {reason}") for reason, number in legend.reasons.items()),
        Note("published results", rule, legend=True),
    ]


def _source(title: str, claims: Sequence[Claim]) -> str:
    """What a source is, with the cautions about those of its values that are shown."""
    shown = [claim for claim in claims if claim.source.title == title]
    warned: dict[str, dict[str, None]] = {}
    for claim in shown:
        if claim.caution:
            warned.setdefault(claim.caution.text, {})[claim.system] = None
    cautions = (strong(f"{', '.join(systems)}: {text}") for text, systems in warned.items())
    source = shown[0].source
    return "; ".join([f"{title}, {source.where}", source.protocol, source.caveat, *cautions])
