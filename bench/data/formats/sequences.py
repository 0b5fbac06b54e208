"""Whole histories: files that list the items of every user in order, and so have no time stamps.

- P5's ``sequential_data.txt``: ``user item item …`` on each line;
- ``{user: [item, …]}``: ``all_item_seqs.json`` of MTGRec, ActionPiece and RPG, ``.inter.json`` of LC-Rec and
  MiniOneRec, SETRec's dictionaries;
- pre-split files of RecBole, LC-Rec and MiniOneRec: a history (``item_id_list``) and the item after it on each line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.data.formats.columns import LIST, normalized
from bench.data.formats.delimited import Delimited
from bench.data.formats.opening import Source, reading
from bench.data.formats.records import written
from bench.errors import BenchError

Histories = dict[str, list[str]]
GUESS = "the first id on each line is read as the user, those after it as items in order"
PARTS = ("train", "training", "valid", "val", "validation", "dev", "test", "testing")
FEWEST = 3  # words on a line of P5: a user and two items, in more than half of the first lines


def is_p5(source: Source) -> bool:
    """Whether a text is lines of ids, the first of each line another. Most ids hold digits, most words do not."""
    lines = source.head.decode().splitlines()[:100]
    lines = [line.strip() for line in (lines[:-1] if len(lines) == 100 else lines) if line.strip()]
    if any(sign in line for line in lines for sign in "\t,;|{"):
        return False
    words = [word for line in lines for word in line.split()]
    if 2 * sum(any(map(str.isdigit, word)) for word in words) < len(words):
        return False
    long = sum(len(line.split()) >= FEWEST for line in lines)
    return 2 * long > len(lines) and len({line.split()[0] for line in lines}) == len(lines)


def p5(source: Source) -> Histories:
    """``user item item …`` on each line. BenchError where a user has two."""
    found: Histories = {}
    with reading(source) as file:
        for number, line in enumerate(file, start=1):
            user, *items = line.decode("utf-8-sig").split() or [""]
            if user in found:
                raise BenchError(
                    f"{source.path}, line {number}: user '{user}' has a line already, and each line is read as a user "
                    "and the items of one; in a table, part the cells by tabs or commas"
                )
            if user:
                found[user] = items
    return found


def of_map(source: Source, items_by_user: Mapping[Any, Any]) -> Histories:
    """``{user: [item, …]}``. BenchError where a user has anything else."""
    found = {}
    for user, items in items_by_user.items():
        if not isinstance(items, list | tuple) or any(isinstance(item, list | tuple | dict) for item in items):
            kind = type(items).__name__
            raise BenchError(
                f"'{source.path}': user '{user}' must have a flat list of items; got a {kind} of something else"
            )
        found[str(user)] = [str(written(item)) for item in items]
    return found


def has_lists(table: Delimited) -> bool:
    """Whether a table has histories in its cells."""
    return any(normalized(column) == LIST for column in table.columns)


def of_lists(tables: Sequence[Delimited]) -> Histories:
    """Histories put together from prefixes of them. Tables are read as training, validation, test, by their names.

    A line continues its user's history where its list is the end of it, and adds nothing where the history has it
    already. BenchError where it does neither: the lines are then not of one history.
    """
    found: Histories = {}
    for table in sorted(tables, key=_part):
        user, items, item = (_column(table, name) for name in ("user_id", LIST, "item_id"))
        for batch in table.batches([user, items, item]):
            rows = zip(*(batch[name].to_pylist() for name in (user, items, item)), strict=True)
            for owner, before, after in rows:
                _continue(found, table, owner, [*before.split(), after])
    return found


def together(parts: Iterable[tuple[Source, Histories]]) -> Histories:
    """Histories of several files, one after another for each user: training, validation, test.

    BenchError where two files have a user in common and are not called so: P5's negative samples look like histories.
    """
    found: Histories = {}
    named: list[str] = []
    for source, histories in sorted(parts, key=lambda part: _order(part[0].name)):
        both = next((user for user in histories if user in found), None)
        unclear = [name for name in (*named, source.name) if not is_part(name)]
        if both is not None and unclear:
            raise BenchError(
                f"{' and '.join(repr(name) for name in (*named, source.name))} all list items of user '{both}'; name "
                "the one that holds the histories, or call the parts of one history train, valid and test"
            )
        named.append(source.name)
        for user, items in histories.items():
            found.setdefault(user, []).extend(items)
    return found


def _continue(found: Histories, table: Delimited, user: str, line: list[str]) -> None:
    history, before = found.get(user, []), line[:-1]
    if history[: len(line)] == line or _within(line, history):
        return
    if line[: len(history)] == history:
        found[user] = line
    elif history[-len(before) :] == before:
        history.append(line[-1])
    else:
        raise BenchError(
            f"'{table.source.path}': the history of user '{user}' before item '{line[-1]}' differs from that of "
            "other lines; give the training, validation and test file of one split"
        )


def _within(line: Sequence[str], history: Sequence[str]) -> bool:
    return any(history[at : at + len(line)] == line for at in range(len(history) - len(line) + 1))


def _column(table: Delimited, wanted: str) -> str:
    found = next((column for column in table.columns if normalized(column) == wanted), None)
    if found is None:
        raise BenchError(f"'{table.source.path}' has {LIST} and no {wanted}; got {', '.join(table.columns)}")
    return found


def _part(table: Delimited) -> tuple[int, str]:
    return _order(table.source.name)


def is_part(name: str) -> bool:
    """Whether a file is called as a part of a split is."""
    return _order(name)[0] < len(PARTS)


def _order(name: str) -> tuple[int, str]:
    words = name.lower().replace("_", ".").replace("-", ".").split(".")
    return next((at for at, part in enumerate(PARTS) if part in words), len(PARTS)), name
