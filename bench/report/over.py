"""The chapter over data sets: every score in one table, average ranks from three data sets on, tested from five on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from bench.evaluation.critical_difference import LEAST_DATASETS
from bench.report.comparisons import LEVEL
from bench.report.contracts import contracts
from bench.report.labels import labels
from bench.report.numbers import metric_title, number, probability
from bench.report.overall import common, rank_table, ranked, source_of
from bench.report.quality import Highlight, marked
from bench.report.rows import HEADLINE, Row, Section
from bench.report.table import DASH, Cell, Chapter, Column, Note, Source, Table, strong

TITLE = "All data sets"
LEAST_RANKED = 3  # data sets from which on an average rank is shown
SCORE = metric_title(HEADLINE)
READING = (
    f"strict {SCORE}, marked as in the table of each data set; {DASH} where a row has no result; a row is one scheme "
    "under one contract"
)
RANKS = (
    "average rank: the mean over data sets of the rank among the rows that are on all of them under one contract, 1 "
    "is the highest; without a test where there are fewer than five data sets"
)
UNLIKE = "The letter in brackets is the contract, as below; scores under different contracts do not compare."
SAME_RANK = 1e-9  # average ranks this close are the same but for rounding
Key = tuple[str, str]  # label and contract


def over_data_sets(sections: Sequence[Section], chapters: Sequence[Chapter]) -> list[Chapter]:
    """One chapter where there are several data sets. ``chapters`` are those of the sections."""
    if len(sections) < 2:
        return []
    ranks = _ranks(sections)
    tables, conditions = rank_table(sections)
    notes = conditions or [Note("data", ", ".join(section.title for section in sections))]
    banner = _banner(chapters)
    answer = " ".join(_answer(sections, chapters, ranks))
    scores = _table(sections, chapters, ranks)
    return [
        Chapter(TITLE, None, (scores, *tables), tuple(notes), banner, (answer,) if answer else (), tuple(notes[:1]))
    ]


def _banner(chapters: Sequence[Chapter]) -> str:
    """Once where it is the same for all data sets, else with the name of each that has one."""
    banners = {chapter.banner for chapter in chapters}
    if len(banners) == 1:
        return banners.pop()
    return "; ".join(f"{chapter.title}: {chapter.banner}" for chapter in chapters if chapter.banner)


def _table(sections: Sequence[Section], chapters: Sequence[Chapter], ranks: dict[Key, float]) -> Table:
    lines: dict[Key, list[Row | None]] = {}
    for at, section in enumerate(sections):
        for row in section.rows:
            lines.setdefault(_key(row), [None] * len(sections))[at] = row
    order = sorted(lines, key=lambda key: ranks.get(key, np.inf))
    sources = {key: source_of([row for row in lines[key] if row is not None]) for key in order}
    shared = Counter(label for label, _ in order)
    named = {
        key: key[0] if shared[key[0]] == 1 else f"{key[0]} {_first(lines[key]).first.contract_id}" for key in order
    }
    texts = {key: marked(_first(lines[key]), name=named[key]) for key in order}
    head = Column("scheme", tuple(Cell(texts[key], sources[key], named[key]) for key in order), numeric=False)
    columns = [
        Column(section.title, tuple(_score(lines[key][at], chapter, sources[key]) for key in order))
        for at, (section, chapter) in enumerate(zip(sections, chapters, strict=True))
    ]
    if ranks:
        found = [(key, ranks.get(key)) for key in order]
        cells = (Cell(number(rank, 2), sources[key], rank) for key, rank in found)
        columns.append(Column("average rank", tuple(cells)))
    notes = [Note("scores", READING, legend=True), *([Note("ranks", RANKS, legend=True)] if ranks else [])]
    return Table("datasets", f"{SCORE} on every data set", head, tuple(columns), tuple(notes))


def _key(row: Row) -> Key:
    return row.label, str(row.first.contract)


def _first(rows: Sequence[Row | None]) -> Row:
    return next(row for row in rows if row is not None)


def _score(row: Row | None, chapter: Chapter, source: Source) -> Cell:
    """The score as the table of the data set has it, with its mark and without its interval."""
    if row is None:
        return Cell(DASH, source)
    quality = chapter.table("quality")
    folders = tuple(run.path for run in row.runs)
    cells = [cell for column in quality.columns if column.title == SCORE for cell in column.cells] if quality else []
    highlight: Highlight = next((cell.highlight for cell in cells if cell.source.folders == folders), "")
    value, sd = row.metric(HEADLINE)
    return Cell(f"{value:.4f}", source_of([row]), value, sd, highlight=highlight)


def _ranks(sections: Sequence[Section]) -> dict[Key, float]:
    """Average ranks of the rows that are on all data sets; none with fewer than three of these, or a single row."""
    made = common(sections)
    if len(made.datasets) < LEAST_RANKED or len(made.rows) < 2:
        return {}
    average = rankdata(-made.scores, axis=1).mean(axis=0)
    return {_key(line[0]): float(rank) for line, rank in zip(made.rows, average, strict=True)}


def _answer(sections: Sequence[Section], chapters: Sequence[Chapter], ranks: dict[Key, float]) -> list[str]:
    """Which scheme is highest where, and what ranks say; scores that mean nothing are left out."""
    counted = [section for section, chapter in zip(sections, chapters, strict=True) if not chapter.banner]
    highest = [(section.title, found) for section in counted if (found := _highest(section)) is not None]
    named = [f"{title}: {name} ({row.metric(HEADLINE)[0]:.4f})" for title, (name, row) in highest]
    said = [f"The scheme with the highest {SCORE}, by data set, is {'; '.join(named)}."] if named else []
    said += [UNLIKE] if named and any(contracts(section.rows).mixed for section in counted) else []
    said += ["Whether it leads is said for each data set below."] if named else []
    if ranks and len(counted) == len(sections):
        said += _of_ranks(sections, ranks)
    return said


def _highest(section: Section) -> tuple[str, Row] | None:
    """With the letter of its contract where the data set has several."""
    named = zip(labels(section), section.rows, strict=True)
    schemes = [(name, row) for name, row in named if not row.baseline and not row.first.scheme.leaks]
    return max(schemes, key=lambda pair: pair[1].metric(HEADLINE)[0], default=None)


def _of_ranks(sections: Sequence[Section], ranks: dict[Key, float]) -> list[str]:
    made, best = common(sections), min(ranks.values())
    first = [at for at, line in enumerate(made.rows) if ranks[_key(line[0])] - best < SAME_RANK]
    count, names = len(made.datasets), " and ".join(strong(marked(made.rows[at][0])) for at in first)
    has, it = ("has", "it") if len(first) == 1 else ("share", "them")
    said = f"Of the rows on all {count} data sets {names} {has} the best average rank, {best:.2f}"
    tested = ranked(sections)
    if tested is None:
        why = f"fewer than {LEAST_DATASETS} data sets" if count < LEAST_DATASETS else "fewer than three such rows"
        return [f"{said}; ranks are not tested: {why}."]
    if tested.found.p >= LEVEL:
        return [f"{said}; Friedman's test finds no difference between the rows (p {probability(tested.found.p)})."]
    cliques = [clique for clique in tested.found.cliques if first[0] in clique]
    level = dict.fromkeys(other for clique in cliques for other in clique if other not in first)
    if not level:
        return [f"{said}, significantly better than that of every other (Nemenyi, 0.05)."]
    return [f"{said}; {', '.join(tested.labels[other] for other in level)}: not significantly different from {it}."]
