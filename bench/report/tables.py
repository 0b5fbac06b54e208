"""All tables of a report, as data: for each data set a chapter, and one over data sets where there are enough."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import diagnostics, forecasts, notes, significance, slices, warm_cold
from bench.report.answer import answer
from bench.report.banner import banner
from bench.report.comparisons import Family
from bench.report.contracts import Contracts, contracts, unequal_versions
from bench.report.costs import costs, summary
from bench.report.over import over_data_sets
from bench.report.pairs import pair_table
from bench.report.published_table import published_table
from bench.report.quality import HEADLINES, further, labels, letters, quality
from bench.report.rows import Row, Section, sections
from bench.report.sampling import resample
from bench.report.significance import Line
from bench.report.table import Chapter, Column, Note, Table, strong
from bench.results.identity import folder_name
from bench.results.read import Result


def chapters(results: Sequence[Result], broken: Sequence[str] = ()) -> list[Chapter]:
    """That over data sets, where there are several, then one for each in order of their names. ``broken`` are the paths
    of runs that cannot be read.
    """
    found = sections(results)
    made = [chapter(section, missing(section, found, broken)) for section in found]
    return [*over_data_sets(found, made), *made]


def chapter(section: Section, lacking: str = "") -> Chapter:
    """The tables of one data set, in the order in which they are read. Reads the per-user tables."""
    rows, found = section.rows, contracts(section.rows)
    resample([run for row in rows for run in row.runs], HEADLINES)
    tested = significance.tested(rows)
    warning = banner(rows)
    tables = [
        *_quality(rows, found, tested.family),
        *_pairs(rows, found, tested.family),
        *_comparisons(tested.lines, notes.of_comparisons(tested)),
        _table("further", "Further metrics, strict", rows, found, further(rows), []),
        _table("costs", "Costs", rows, found, costs(rows), notes.of_costs(rows)),
        *_identifiers(rows, found),
        *_forecasts(rows, found),
        *_slices(rows, found),
        *_warm_cold(rows, found),
        *_published(section),
    ]
    return Chapter(
        section.title,
        section.dataset,
        tuple(tables),
        tuple(notes.conditions(section.dataset, rows, found, lacking)),
        warning,
        answer(rows, found, tested.family, notes.audit(rows, "summary")),
        tuple(notes.brief(rows, found, lacking)),
    )


def _quality(rows: Sequence[Row], found: Contracts, family: Family) -> list[Table]:
    beating = significance.beating(rows, family)
    highlights = {name: significance.highlights(rows, family, name) for name in HEADLINES}
    beneath = [*notes.of_quality(rows, any(beating.values())), *_versions(rows)]
    columns = [*quality(rows, beating, highlights), *summary(rows)]
    return [_table("quality", "Quality, strict", rows, found, columns, beneath)]


def _pairs(rows: Sequence[Row], found: Contracts, family: Family) -> list[Table]:
    made = pair_table(rows, found, family)
    return [made] if made else []


def _table(
    name: str, title: str, rows: Sequence[Row], found: Contracts, columns: Sequence[Column], beneath: Sequence[Note]
) -> Table:
    return Table(name, title, labels(rows), (*letters(rows, found), *columns), tuple(beneath))


def _versions(rows: Sequence[Row]) -> list[Note]:
    """That rows of one scheme were computed by different code; of the protocol the contracts tell."""
    said = f"{strong('computed by different code and not compared')}: "
    return [Note("versions", said + named) for named in unequal_versions(rows)]


def _comparisons(compared: Sequence[Line], beneath: Sequence[Note]) -> list[Table]:
    if not compared:
        return []
    head, columns = significance.head(compared), significance.columns(compared)
    return [Table("comparisons", "Comparisons on the same users", head, tuple(columns), tuple(beneath))]


def _identifiers(rows: Sequence[Row], found: Contracts) -> list[Table]:
    having, under = _having(rows, found)
    if not having:
        return []
    beneath = [Note("identifiers", notes.DIAGNOSTICS, legend=True)]
    return [_table("identifiers", "Identifiers", having, under, diagnostics.diagnostics(having), beneath)]


def _having(rows: Sequence[Row], found: Contracts) -> tuple[list[Row], Contracts]:
    """The rows that have identifiers, and their contracts."""
    kept = [at for at, row in enumerate(rows) if any(run.identifiers is not None for run in row.runs)]
    return [rows[at] for at in kept], Contracts(found.by_letter, tuple(found.letters[at] for at in kept))


def _forecasts(rows: Sequence[Row], found: Contracts) -> list[Table]:
    """Figures of identifiers before training, where results hold them, and how they order schemes."""
    having, under = _having(rows, found)
    columns, ordered = forecasts.figures(having), forecasts.order(having)
    beneath = [Note("figures", forecasts.NOTE, legend=True)]
    made = [_table("forecast", "Identifiers before training", having, under, columns, beneath)] if columns else []
    return [*made, ordered] if ordered else made


def _slices(rows: Sequence[Row], found: Contracts) -> list[Table]:
    table = rows[0].first.table
    return [
        _table(
            slicing.name,
            f"NDCG@10 by {slicing.title}",
            rows,
            found,
            slices.sliced(rows, slicing),
            [Note("slices", notes.SLICES, legend=True), Note("users", slices.sizes(table, slicing))],
        )
        for slicing in slices.slicings([row.first.table for row in rows])
    ]


def _warm_cold(rows: Sequence[Row], found: Contracts) -> list[Table]:
    if not any(warm_cold.told_apart(row) for row in rows):
        return []
    beneath = warm_cold.beneath(rows)
    return [_table("warm-cold", "Warm and cold items", rows, found, warm_cold.warm_cold(rows), beneath)]


def _published(section: Section) -> list[Table]:
    made = published_table(section)
    return [made] if made else []


def missing(section: Section, others: Sequence[Section], broken: Sequence[str] = ()) -> str:
    """Seeds that other rows of the data set have, schemes that other data sets have, and runs that are stored in the
    data set's folder but cannot be read, as one line.
    """
    seeds = sorted({seed for row in section.rows for seed in row.seeds})
    gaps = [(row.label, [seed for seed in seeds if seed not in row.seeds]) for row in section.rows]
    here = {row.label for row in section.rows}
    trained = (row for other in others for row in other.rows if not row.first.trained_on)
    missing_here = dict.fromkeys(row.label for row in trained if row.label not in here)
    said = [f"{label} lacks seed {', '.join(map(str, lacking))}" for label, lacking in gaps if lacking]
    said += [f"{label} has no result on this data set" for label in missing_here]
    said += [f"{path} cannot be read" for path in broken if path.split("/")[1:2] == [folder_name(section.dataset.name)]]
    return "; ".join(said)
