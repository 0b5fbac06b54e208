"""What the rows of a section are called where they stand beside each other."""

from __future__ import annotations

from bench.report.contracts import contracts
from bench.report.rows import Section


def labels(section: Section) -> list[str]:
    """The label of each row; where a section has several contracts, with the letter that its table gives."""
    found = contracts(section.rows)
    return [
        f"{row.label} [{letters}]" if found.several else row.label
        for row, letters in zip(section.rows, found.letters, strict=True)
    ]
