"""What a report says of the noise of training: where it knows it from, and which differences it swallows."""

from __future__ import annotations

from collections.abc import Sequence

from bench.evaluation.seed_noise import ASSUMED, SeedNoise
from bench.report.labels import names
from bench.report.numbers import metric_title
from bench.report.rows import HEADLINE, Row, strict
from bench.report.table import Note, strong

TITLE = "training noise"
ORIGIN = (
    "no row of these data and this contract has several seeds, so a deviation over seeds of {:.0f} % of the score is "
    "assumed: the largest of six that were measured, of models trained three times on 19,412 users of Amazon Toys "
    "(7 %, 4 %, 4 %, 3 %, 3 %, 2 %)"
)
POOLED = (
    "the deviation over seeds is {:.1f} % of {}, pooled over {} with several seeds ({:.1f} degrees of freedom); a row "
    "whose own seeds differ by more has its own deviation"
)
FEW = (
    "so few seeds hardly tell by how much they differ: Student's t takes {:.1f} of their deviations, where it takes "
    "2.0 of many seeds, so intervals are wide and few differences are significant; a third seed, or a second seed of "
    "another row, narrows them most"
)
LITTLE = 1.5  # degrees of freedom: one row of two seeds has 1
UNTRAINED = "no weights are trained, so there is no noise of training"


def of_noise(rows: Sequence[Row]) -> list[Note]:
    """A note for each noise that rows share, by where it comes from, and one for rows that have none."""
    named = dict(zip(rows, names(rows), strict=True))
    groups: dict[SeedNoise | None, list[Row]] = {}
    for row in rows:
        if row.trained:
            groups.setdefault(row.shared_noise(strict(HEADLINE)), []).append(row)
    untrained = [name for row, name in named.items() if not row.trained]
    return [
        *(Note(TITLE, _shared(noise, [(named[row], row) for row in members])) for noise, members in groups.items()),
        *([Note(TITLE, f"{', '.join(untrained)}: {UNTRAINED}")] if untrained else []),
    ]


def _shared(noise: SeedNoise | None, rows: Sequence[tuple[str, Row]]) -> str:
    single = [(name, row) for name, row in rows if len(row.runs) == 1]
    if noise is None:
        return f"{_within(ASSUMED, single or rows)}; {ORIGIN.format(100 * ASSUMED.relative)}"
    counted = {id(runs[0]) for _, row in rows for runs in row.repeated}
    count = f"{len(counted)} row{'' if len(counted) == 1 else 's'}"
    known = POOLED.format(100 * noise.relative, metric_title(HEADLINE), count, noise.degrees)
    if noise.degrees < LITTLE:
        known += f". {strong(FEW.format(SeedNoise(1.0, noise.degrees).of_mean(1.0, 1).half_width()))}"
    return f"{known}; {_within(noise, single)}, for which that deviation is borrowed" if single else known


def _within(noise: SeedNoise, rows: Sequence[tuple[str, Row]]) -> str:
    """Which differences between two rows of one seed say nothing, as a part of the score and for the best of them."""
    best = max(row.metric(HEADLINE)[0] for _, row in rows)
    width = (noise.of_mean(1.0, 1) + noise.of_mean(1.0, 1)).half_width()
    least = f"{100 * width:.0f} % of the score, {width * best:.4f} {metric_title(HEADLINE)} for the best of these rows,"
    warned = strong(f"one seed: differences below about {least} are within the noise of training")
    return f"{warned} ({', '.join(name for name, _ in rows)})"
