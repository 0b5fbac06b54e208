"""What the rows of a section are called where they stand beside each other, and where somebody asks for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.report.contracts import Contracts, contracts
from bench.report.rows import Row, Section


def labels(section: Section) -> list[str]:
    """The label of each row; where a section has several contracts, with the letter that its table gives."""
    return lettered(section.rows, contracts(section.rows))


def lettered(rows: Sequence[Row], found: Contracts) -> list[str]:
    """The same for rows whose contracts are known."""
    return [
        f"{row.label} [{letters}]" if found.mixed else row.label
        for row, letters in zip(rows, found.letters, strict=True)
    ]


def names(rows: Sequence[Row]) -> list[str]:
    """A name of its own for each row of a section: the label, with the contract's id where rows share it."""
    shared = Counter(row.label for row in rows)
    return [f"{row.label} {row.first.contract_id}" if shared[row.label] > 1 else row.label for row in rows]
