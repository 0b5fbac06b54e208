"""The split as RecBole's pre-split files: training and validation, never test.

    data/split/split.train.inter    user_id:token   item_id_list:token_seq   item_id:token
    data/split/split.valid.inter    the same; its targets are for early stopping alone
    data/split/split.user           every user, and ...
    data/split/split.item           ... every item of the catalogue, so that all have a place in RecBole's tables
    data/split/seen.npz             where histories are excluded: all that each validation user had, for our ranks

Users and items are written as their indices: original ids may hold anything, and stand for several users in some
circulating files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemIndices, ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.training.examples import Examples, sliding_windows
from recbole_baselines.models import ATTRIBUTE_COLUMNS

NAME, SEEN = "split", "seen.npz"
Rows = tuple[NDArray[np.int64], Sequences, ItemIndices]  # users, their histories, the items after them

FIELDS = "user_id:token\titem_id_list:token_seq\titem_id:token"


def write(folder: Path, train: Rows, validation: Targets) -> None:
    """``split.train.inter`` and ``split.valid.inter`` in ``folder``, which is made.

    A user with several validation targets has a line for each of them, all with one history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{NAME}.train.inter", FIELDS, _rows(*train))
    users, histories = validation.users[validation.user_rows], validation.histories.rows(validation.user_rows)
    _write(folder / f"{NAME}.valid.inter", FIELDS, _rows(users, histories, validation.items))


def write_seen(folder: Path, validation: Targets) -> None:
    """``seen.npz`` in ``folder``: histories are cut to what is shown, but all that a user had is excluded.

    User ``users[r]`` had ``values[offsets[r]:offsets[r + 1]]``. It is all from before the validation targets.
    """
    seen = validation.seen
    np.savez(folder / SEEN, users=validation.users, values=seen.values, offsets=seen.offsets)


def write_catalogue(folder: Path, users: int, items: int, attributes: Sequence[Sequence[int]] | None) -> None:
    """``split.user`` and ``split.item``, the latter with the numbers of each item's attributes if there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{NAME}.user", "user_id:token", (str(user) for user in range(users)))
    if attributes is None:
        _write(folder / f"{NAME}.item", "item_id:token", (str(item) for item in range(items)))
        return
    lines = (f"{item}\t{' '.join(map(str, seen))}" for item, seen in enumerate(attributes))
    _write(folder / f"{NAME}.item", "item_id:token\tattributes:token_seq", lines)


def prefixes(train: TrainView, max_history: int) -> Rows:
    """Every training prefix and the item after it, as identifier schemes train on them."""
    windows = sliding_windows(train.sequences, max_history)
    if not len(windows):
        raise BenchError("no training example: every training sequence has fewer than two items")
    return _users(windows), windows.histories(), windows.items()


def with_targets(train: TrainView, max_history: int) -> Rows:
    """Prefixes that hold the item after them as well: a model that fills gaps would never learn it otherwise."""
    users, histories, items = prefixes(train, max_history)
    ends = histories.offsets[1:]
    values = np.insert(histories.values, ends, items)
    return users, Sequences(values, histories.offsets + np.arange(len(histories) + 1)), items


def interactions(train: TrainView) -> Rows:
    """Every training interaction on its own, without a history."""
    users = np.repeat(np.arange(len(train.sequences)), train.sequences.lengths)
    empty = Sequences(np.empty(0, np.int32), np.zeros(len(users) + 1, np.int64))
    return users, empty, train.sequences.values


def attributes(items: ItemTable, column: str) -> list[list[int]]:
    """Numbers of the attributes of each item, 1 and up; 0 stands alone where an item has none.

    ``column`` is a text column, or "" for the first of ``ATTRIBUTE_COLUMNS`` that is there. Values are divided at
    commas where there are any in the column, else at spaces, as MovieLens writes genres; "Board Games" is then two.
    What every item has, as the root of a catalogue, says nothing of any and is left out.
    """
    texts = items.text[attribute_column(items, column)]
    separator = "," if any("," in text for text in texts) else None
    parts = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
    everywhere = set(parts[0]).intersection(*parts)
    number = {
        name: at for at, name in enumerate(sorted({name for seen in parts for name in seen} - everywhere), start=1)
    }
    return [[number[name] for name in dict.fromkeys(seen) if name in number] or [0] for seen in parts]


def attribute_column(items: ItemTable, column: str) -> str:
    """The column that holds attributes; BenchError where there is none."""
    wanted = (column,) if column else ATTRIBUTE_COLUMNS
    found = [name for name in wanted if name in items.text]
    if not found:
        raise BenchError(
            f"attributes of items were asked for in column {' or '.join(wanted)}; the items have "
            f"{', '.join(items.text) or 'no text'}; name a column with --set NAME.attributes=COLUMN, or skip the "
            "baselines that need them"
        )
    return found[0]


def _users(windows: Examples) -> NDArray[np.int64]:
    return np.searchsorted(windows.sequences.offsets, windows.targets, side="right") - 1


def _rows(users: NDArray[np.int64], histories: Sequences, items: ItemIndices) -> Iterable[str]:
    values, offsets = histories.values.astype(str), histories.offsets.tolist()
    for row, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        yield f"{user}\t{' '.join(values[offsets[row] : offsets[row + 1]])}\t{item}"


def _write(path: Path, header: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
