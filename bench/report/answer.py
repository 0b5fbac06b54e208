"""What the tables of a data set show, in sentences: who leads, what is not told apart, what it costs.

Every sentence rests on the tests of ``significance``: rows are called ahead, behind or not told apart by the corrected
p of all comparisons together, with the noise of training. What the tests do not support is not said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from bench.console import visible
from bench.evaluation.seed_noise import ASSUMED
from bench.report.banner import meaningless
from bench.report.comparisons import Family, Pair
from bench.report.contracts import Contracts
from bench.report.numbers import change, metric_title, probability, signed
from bench.report.pairs import gap
from bench.report.rows import HEADLINE, Row, strict
from bench.report.spending import spending
from bench.report.table import strong

SCORE = metric_title(HEADLINE)
FEW = 4  # names or pairs that a sentence lists; more of them are counted
NOT_APART = "not told apart"


def answer(rows: Sequence[Row], found: Contracts, family: Family, audit: str) -> tuple[str, ...]:
    """Paragraphs: one for each contract that has schemes, or one for the baselines, and one on the data."""
    honest = [row for row in rows if not row.first.scheme.leaks]
    believed = [row for row in honest if not meaningless(row)]
    said = (_of_contract(letter, rows, believed, found, family) for letter in found.by_letter)
    paragraphs = [" ".join(sentences) for of_contract in said for sentences in of_contract if sentences]
    if not any(not row.baseline for row in believed):
        paragraphs = [" ".join(_without_schemes(rows, believed, family))]
    data = f"What the data can tell: {visible(audit)}." if audit else "No audit of the data is stored with these runs."
    return (*paragraphs, data)


def _of_contract(
    letter: str, rows: Sequence[Row], believed: Sequence[Row], found: Contracts, family: Family
) -> list[list[str]]:
    """Two paragraphs: the schemes under one contract; baselines and costs. None where it has no scheme."""
    letters = dict(zip(rows, found.letters, strict=True))
    under = [row for row in believed if letter in letters[row].split(", ")]
    schemes, baselines = _split(under)
    if not schemes:
        return []
    top = schemes[0]
    opening = [f"Under contract {letter}:"] if found.mixed else []
    if not _score(top):
        return [[*opening, f"No scheme ranked a target among its first ten: {SCORE} is 0."]]
    between = [*_lead(top, schemes[1:], family), *_undecided(schemes, family), *_noise(top, under)]
    return [[*opening, *between], [*_baselines(top, baselines, family), *spending(top, schemes)]]


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Schemes and baselines, best first."""
    ordered = sorted(rows, key=lambda row: -_score(row))
    return [row for row in ordered if not row.baseline], [row for row in ordered if row.baseline]


def _score(row: Row) -> float:
    return row.metric(HEADLINE)[0]


def _lead(top: Row, others: Sequence[Row], family: Family) -> list[str]:
    tested = [row for row in others if family.holds(top, row)]
    apart = [row for row in others if row not in tested]
    beyond = [f"{_listed(apart)} cannot be compared with it."] if apart else []
    reached = f"{SCORE} {_score(top):.4f}{_interval(top)}"
    if not tested:
        return [f"{strong(top.label)} reaches {reached}.", *(beyond or ["It is the only scheme here."])]
    behind = [row for row in tested if family.better(top, row, HEADLINE)]
    ahead = [row for row in tested if family.better(row, top, HEADLINE)]  # where the two tested different users
    level = [row for row in tested if row not in behind and row not in ahead]
    if not level and not ahead:
        others_named = "the other scheme" if len(tested) == 1 else f"all {len(tested)} other schemes"
        others_named += " that can be compared with it" if apart else ""
        first = f"{strong(f'{top.label} leads the schemes')} with {reached}, ahead of {others_named}."
        return [first, _next(top, behind, family), *beyond]
    highest = f"{strong(top.label)} has the highest score of the {len(others) + 1} schemes, {reached}"
    doubts = [f"on the users that both tested {_listed(ahead)} {_is(ahead)} ahead of it"] if ahead else []
    doubts += [f"{_listed(level)} {_is(level)} {NOT_APART} from it"] if level else []
    named = f"{highest}, but {', and '.join(doubts)}."
    if not behind:
        return [f"{strong('No scheme leads.')} {named}", *beyond]
    return [named, f"It is ahead of {_listed(behind)}.", _next(top, behind, family), *beyond]


def _interval(row: Row) -> str:
    found = row.estimate(HEADLINE).interval
    return "" if found is None else f" (95 % interval {found[0]:.4f} to {found[1]:.4f})"


def _next(top: Row, behind: Sequence[Row], family: Family) -> str:
    """By how much the best leads the best of those that it is told apart from."""
    other = behind[0]
    found = family.compare(Pair(top, other))[HEADLINE]
    ends = f", 95 % interval {signed(found.interval[0])} to {signed(found.interval[1])}" if found.interval else ""
    relative = "" if found.relative is None else f" ({change(found.relative)})"
    p = probability(found.corrected)
    p = p if p.startswith("<") else f"= {p}"
    return f"Its lead over {other.label} is {signed(found.difference)}{relative}{ends}; p (Holm) {p}."


def _undecided(schemes: Sequence[Row], family: Family) -> list[str]:
    """Pairs of the other schemes that are not told apart; those with the best are named already."""
    tested = [(one, other, found) for one, other in combinations(schemes[1:], 2) if (found := gap(family, one, other))]
    level = [f"{one.label} and {other.label}" for one, other, found in tested if not found.told_apart]
    if not level:
        return []
    if len(level) <= FEW:
        return [f"Of the others, {NOT_APART} from each other: {'; '.join(level)}."]
    return [f"Of the {len(tested)} pairs of other schemes, {len(level)} are {NOT_APART}; the pair matrix names them."]


def _noise(top: Row, under: Sequence[Row]) -> list[str]:
    """From which difference on two trainings of one seed are told apart, where there are two such rows."""
    if not top.trained or sum(len(row.runs) == 1 for row in under if row.trained) < 2:
        return []
    shared = top.shared_noise(strict(HEADLINE))
    noise = shared or ASSUMED
    width = (noise.of_mean(1.0, 1) + noise.of_mean(1.0, 1)).half_width()
    assumed = "" if shared else ", an assumption until a row has several seeds"
    return [
        f"Some rows have one seed: between two of them, differences below about {width * _score(top):.4f} "
        f"({100 * width:.0f} % of the best score) are within the noise of training{assumed}."
    ]


def _baselines(top: Row, baselines: Sequence[Row], family: Family) -> list[str]:
    tested = [row for row in baselines if family.holds(top, row)]
    if not tested:
        return ["No baseline can be compared with it."]
    ahead = [row for row in tested if family.better(row, top, HEADLINE)]
    behind = [row for row in tested if family.better(top, row, HEADLINE)]
    level = [row for row in tested if row not in ahead and row not in behind]
    if not ahead and not level:
        return [f"{top.label} is ahead of {_all(behind)}, the best of which is {_with_score(behind[0])}."]
    said = [f"Ahead of {top.label}: {_listed(ahead, _with_score)}."] if ahead else []
    said += [f"{_listed(level, _with_score)} {_is(level)} {NOT_APART} from {top.label}."] if level else []
    return [*said, *([f"{top.label} is ahead of {_listed(behind)}."] if behind else [])]


def _all(baselines: Sequence[Row]) -> str:
    return "the baseline beside it" if len(baselines) == 1 else f"all {len(baselines)} baselines"


def _with_score(row: Row) -> str:
    return f"{row.label}{' (probe)' if row.probe else ''} {_score(row):.4f}"


def _listed(rows: Sequence[Row], written: Callable[[Row], str] = lambda row: row.label) -> str:
    names = [written(row) for row in rows]
    if len(names) > FEW:
        return f"{', '.join(names[: FEW - 1])} and {len(names) - FEW + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _is(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _without_schemes(rows: Sequence[Row], believed: Sequence[Row], family: Family) -> Iterator[str]:
    """What is said where no scheme can be believed, or none was run."""
    if any(not row.baseline for row in rows if row not in believed):
        yield strong("No conclusion about identifiers can be drawn: no scheme here has a score that counts.")
    else:
        yield "No identifier scheme was run on these data."
    models = [row for row in believed if not row.probe]
    _, ordered = _split(models or believed)
    if not ordered:
        return
    if not models:
        yield "What counts are probes alone: rules that only count or draw."
    best = ordered[0]
    if not _score(best):
        yield f"No baseline ranked a target among its first ten: {SCORE} is 0."
        return
    kind = "baseline" if models else "probe"
    yield f"The highest {kind} is {best.label}, {SCORE} {_score(best):.4f}{_interval(best)}."
    others = [row for row in _split(believed)[1] if row is not best]  # probes too: one may be ahead of every model
    ahead = [row for row in others if family.better(row, best, HEADLINE)]
    if ahead:
        yield f"Ahead of it: {_listed(ahead, _with_score)}."
    level = [row for row in others if (found := gap(family, best, row)) and not found.told_apart]
    if level:
        yield f"{_listed(level, _with_score)} {_is(level)} {NOT_APART} from it."
