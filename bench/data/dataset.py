"""A data set in memory: users, items, and each user's interactions in time order.

Items are catalogue indices 0..m-1 everywhere in the harness; original ids appear only in files and reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.vocabulary import Vocabulary

ItemIndices = NDArray[np.int32]
Offsets = NDArray[np.int64]
Times = NDArray[np.int64] | NDArray[np.float64]  # whole numbers wherever all of them are: a float has 15 digits
EXACT = 2**53  # a float holds every whole number up to here


@dataclass(frozen=True, eq=False)
class Sequences:
    """Ragged item sequences: row ``r`` is ``values[offsets[r]:offsets[r + 1]]``, oldest item first.

    ``user_rows [rows]`` says whose they are: the user's row of the training view. None where nobody is known, as in a
    data set that is not split yet, or a history that somebody asks about.
    """

    values: ItemIndices
    offsets: Offsets
    user_rows: NDArray[np.int64] | None = None

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[int] | ItemIndices]) -> Sequences:
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        offsets = np.cumsum([0] + [len(row) for row in arrays], dtype=np.int64)
        return cls(np.concatenate([*arrays, np.empty(0, np.int32)]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> ItemIndices:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Offsets:
        return np.diff(self.offsets)

    def slice(self, starts: Offsets, stops: Offsets, user_rows: NDArray[np.int64] | None = None) -> Sequences:
        """Row ``r`` becomes ``values[starts[r]:stops[r]]``; both are positions in ``values``.

        These may be any stretches, as many as wanted, so whose they are must be said.
        """
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(starts - offsets[:-1], lengths)
        return Sequences(self.values[np.arange(offsets[-1]) + shift], offsets, user_rows)

    def rows(self, rows: NDArray[np.integer]) -> Sequences:
        """The named rows, in the order given."""
        user_rows = None if self.user_rows is None else self.user_rows[rows]
        return self.slice(self.offsets[:-1][rows], self.offsets[1:][rows], user_rows)

    def newest(self, count: int) -> Sequences:
        """At most the ``count`` newest items of every row."""
        stops = self.offsets[1:]
        return self.slice(np.maximum(self.offsets[:-1], stops - count), stops, self.user_rows)

    def read_only(self) -> Sequences:
        """The same memory, in which nothing can be written: a plugin's ``fit`` reads what the recommender trains on."""
        values, offsets = self.values.view(), self.offsets.view()
        values.flags.writeable = offsets.flags.writeable = False
        return replace(self, values=values, offsets=offsets)

    def owned(self) -> Sequences:
        """The same, every row its own user's: what a split makes of its training part."""
        return replace(self, user_rows=np.arange(len(self)))


@dataclass(frozen=True, eq=False)
class ItemTable:
    """The catalogue: original ids by catalogue index, and text columns in file order (``""`` where absent)."""

    ids: tuple[str, ...]
    text: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def titles(self) -> Sequence[str]:
        """What items are called; of a catalogue without titles its first text, and ``""`` where it has none."""
        return self.text.get("title") or next(iter(self.text.values()), ("",) * len(self))


@dataclass(frozen=True, eq=False)
class Dataset:
    """All interactions of all users.

    ``sequences[u]`` are user ``u``'s items in time order; ``times`` holds the time stamp of each of its values.
    ``notes`` are one-line remarks on what was found while reading, printed once to the user. ``parts`` are the data
    sets that it was joined from, if it was (``bench.data.joined``). ``file_rows [interactions]`` says in which row of
    its file each stood, None where there is no file: the order that a file gives to what ties in time. ``ties`` is the
    rule that the order within ties follows (``bench.data.ties``); ``auto`` where nobody has asked for one.
    """

    name: str
    users: tuple[str, ...]
    items: ItemTable
    sequences: Sequences
    times: Times
    notes: tuple[str, ...] = ()
    parts: tuple[Dataset, ...] = ()
    file_rows: NDArray[np.int64] | None = None
    ties: str = "auto"

    @cached_property
    def fingerprint(self) -> str:
        """Content hash over users, items, text and sequences; results from different data never mix."""
        return fingerprint(self.users, self.items, self.sequences)

    @cached_property
    def dated_fingerprint(self) -> str:
        """The same over time stamps as well, for whatever is made of them."""
        long = self.times.dtype.kind == "i" and len(self.times) and int(np.abs(self.times).max()) > EXACT
        stamps = self.times.astype("<i8" if long else "<f8")
        return fingerprint(self.users, self.items, self.sequences, stamps.tobytes().hex())


Progress = Callable[[int, int, Mapping[str, float]], None]
T = TypeVar("T")


def silent(done: int, total: int, stats: Mapping[str, float]) -> None:
    """Progress that nobody is shown."""


class Share(Protocol):
    """How the processes of a run come to one value."""

    def __call__(self, make: Callable[[], T]) -> T: ...


def alone(make: Callable[[], T]) -> T:
    """Of one process."""
    return make()


@dataclass(frozen=True, eq=False)
class TextReader:
    """The contract's backbone as an encoder of texts: ``read(texts, progress)`` gives ``[texts, width]``. ``digest`` is
    that of its files.
    """

    read: Callable[[Sequence[str], Progress], NDArray[np.float32]]
    digest: str


@dataclass(frozen=True, eq=False)
class TrainView:
    """All that an identifier scheme may see.

    It holds the training part of every user's sequence and the catalogue, and no validation or test interaction, so
    a scheme cannot leak what it never had. ``language`` is the vocabulary of the pretrained backbone, or None
    where the recommender starts from scratch and a scheme brings a vocabulary of its own. ``reader`` is that backbone
    as an encoder of texts, None where there is none.

    ``cache`` is a folder where costly things may be kept under a name that says all they depend on, or None. Who reads
    one adds to ``cached_seconds`` the seconds that it once took, so that costs don't depend on who came first.
    ``progress(done, total, stats)`` shows how far a long ``fit`` is.

    Of several processes of a run, one calls ``fit`` and has a ``cache``, and all call ``stages``. What that makes at
    length, or reads from a disk, is ``share(make)``: what ``make()`` returns in that one process, in all of them.

    ``max_history`` are the newest items of a user that the contract shows, 0 for all: a scheme that trains a model of
    its own reads no more of them, and tells by ``count_training`` what it takes. ``part_users`` counts the users of
    each data set that was joined, in the order of ``sequences``, and ``part_names`` names them; empty where there is
    one.

    ``device`` is where the run computes, such as ``cuda:0``: a network that ``fit`` trains belongs there. What it
    learns may differ from the CPU's in rounding, so whatever is kept of it is kept under ``bench.devices.key`` as well.
    """

    dataset: str
    items: ItemTable
    sequences: Sequences
    seed: int
    language: Vocabulary | None = None
    cache: Path | None = None
    cached_seconds: list[float] = field(default_factory=list)
    progress: Progress = silent
    max_history: int = 0
    part_users: tuple[int, ...] = ()
    part_names: tuple[str, ...] = ()
    own_training: dict[str, float] = field(default_factory=dict)
    reader: TextReader | None = None
    share: Share = alone
    device: str = "cpu"

    def count_training(self, steps: int, examples: int, flops: float | None = None) -> None:
        """Optimizer steps of a model of the scheme's own, and what it has learned from: items to predict, or items.

        ``flops`` are those of the matrix products of these steps, gradients included (``bench.flops``), which
        a budget of FLOPs is reduced by. Where one call doesn't know them, those of all are not known.
        """
        own, known = self.own_training, not self.own_training or "own_flops" in self.own_training
        for name, count in (("own_steps", steps), ("own_examples", examples), ("own_flops", flops or 0)):
            own[name] = own.get(name, 0) + count
        if flops is None or not known:
            del own["own_flops"]

    @cached_property
    def fingerprint(self) -> str:
        """Content hash: the key under which whatever was fitted on this view is cached."""
        language = self.language.fingerprint if self.language else "scratch"
        return fingerprint(self.items, self.sequences, str(self.seed), language)

    def random(self) -> np.random.Generator:
        """A fresh generator, the same for the same seed in every process."""
        return np.random.default_rng(self.seed)


class LeakedView(TrainView):
    """The whole of every sequence where its training part should be, for what declares ``leaks`` and nothing else.

    It exists to show what a published leak is worth; results made from it are marked wherever they appear.
    """

    @classmethod
    def of(cls, train: TrainView, dataset: Dataset) -> LeakedView:
        """The view with the held-out interactions of the data set put back."""
        kept = {part.name: getattr(train, part.name) for part in fields(train)}
        return cls(**(kept | {"sequences": dataset.sequences}))


def fingerprint(*parts: ItemTable | Sequences | tuple[str, ...] | str) -> str:
    """SHA-256 over the parts, 16 hex digits; every part and field is framed by its length."""
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)

    for part in parts:
        if isinstance(part, str):
            add(part.encode())
        elif isinstance(part, tuple):
            add("\x00".join(part).encode())
        elif isinstance(part, ItemTable):
            add("\x00".join(part.ids).encode())
            for column, values in part.text.items():
                add(column.encode())
                add("\x00".join(values).encode())
        else:
            add(part.values.astype("<i4").tobytes())
            add(part.offsets.astype("<i8").tobytes())
    return digest.hexdigest()[:16]
