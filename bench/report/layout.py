"""Which remark stands where: a table's own below it, what several share once, and how to read them at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.report.table import Chapter, Note, Table


def own(chapter: Chapter, table: Table) -> list[Note]:
    """What stands below one table: facts about it that no other table of the chapter has."""
    common = set(shared(chapter))
    return [note for note in table.notes if not note.legend and note not in common]


def shared(chapter: Chapter) -> list[Note]:
    """Facts that several tables of a chapter have, in order of appearance."""
    counts = Counter(note for table in chapter.tables for note in dict.fromkeys(table.notes) if not note.legend)
    return [note for note, count in counts.items() if count > 1]


def conditions(chapter: Chapter, chapters: Sequence[Chapter] = ()) -> list[Note]:
    """What stands below all tables of a chapter: what they share, then what they rest on, without what all ``chapters``
    rest on.
    """
    everywhere = set(common(chapters))
    return [note for note in (*shared(chapter), *chapter.notes) if note not in everywhere]


def common(chapters: Sequence[Chapter]) -> list[Note]:
    """What holds for all data sets of a report, such as one contract and one machine; nothing for a single one."""
    of_each = [(*shared(chapter), *chapter.notes) for chapter in chapters if chapter.dataset is not None]
    if len(of_each) < 2:
        return []
    return [note for note in of_each[0] if all(note in notes for notes in of_each[1:])]


def legend(chapters: Sequence[Chapter]) -> list[tuple[str, list[Note]]]:
    """How to read the tables of a report: for each kind of table what is not said of one before it."""
    seen: set[Note] = set()
    found: dict[str, list[Note]] = {}
    for table in (table for chapter in chapters for table in chapter.tables):
        for note in table.notes:
            if note.legend and note not in seen:
                seen.add(note)
                found.setdefault(table.title, []).append(note)
    return list(found.items())
