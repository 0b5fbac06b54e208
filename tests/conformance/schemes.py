"""Schemes that each fail one requirement, and one that meets all. Loaded from this file by the processes of a check."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from pyarrow.csv import ParseOptions, read_csv

from bench.data import sources
from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.splits import Targets
from bench.ids.identifiers import SlotIds, Template, TokenIds
from bench.ids.scheme import IdScheme, Stage, Trained
from bench.vocabulary import Vocabulary

DIGITS = Vocabulary.private("0123456789")


def numbered(numbers: Iterator[int] | range | list[int], vocabulary: Vocabulary = DIGITS, width: int = 3) -> TokenIds:
    codes = [vocabulary.ids(f"{number:0{width}d}") for number in numbers]
    return TokenIds.from_lists(codes, vocabulary)


def by_popularity(items: int, sequences: Sequences) -> TokenIds:
    taken = np.bincount(sequences.values, minlength=items)
    return numbered(np.argsort(np.argsort(-taken, kind="stable")).tolist())


class Sound(IdScheme):
    name = "test/sound"

    def fit(self, train: TrainView) -> TokenIds:
        return numbered(range(len(train.items)))


class Twins(Sound):
    name = "test/twins"

    def fit(self, train: TrainView) -> TokenIds:
        return numbered([max(item, 1) for item in range(len(train.items))])


class DeclaredTwins(Twins):
    name = "test/declared-twins"
    allow_collisions = True


class Raising(Sound):
    name = "test/raising"

    def fit(self, train: TrainView) -> TokenIds:
        raise KeyError("no such\ncolumn")


class Leaving(Sound):
    name = "test/leaving"

    def fit(self, train: TrainView) -> TokenIds:
        raise SystemExit(3)


class Misshapen(Sound):
    name = "test/misshapen"

    def fit(self, train: TrainView) -> TokenIds:
        flat = np.full((len(train.items), 3), 5, np.int32)
        return TokenIds(flat, np.full(len(train.items), 3, np.int32), DIGITS)


class Short(Sound):
    name = "test/short"

    def fit(self, train: TrainView) -> TokenIds:
        return numbered(range(len(train.items) - 1))


class Nothing(Sound):
    name = "test/nothing"

    def fit(self, train: TrainView) -> None:  # type: ignore[override]
        return None


class Hashing(Sound):
    name = "test/hashing"

    def fit(self, train: TrainView) -> TokenIds:
        order = sorted(range(len(train.items)), key=lambda item: hash(train.items.ids[item]))
        return numbered(np.argsort(order).tolist())


class ReadsFiles(Sound):
    name = "test/reads-files"

    def fit(self, train: TrainView) -> TokenIds:
        return by_popularity(len(train.items), sources.find(train.dataset).sequences)


class ReadsMemory(Sound):
    name = "test/reads-memory"

    def fit(self, train: TrainView) -> TokenIds:
        (whole,) = (found for found in gc.get_objects() if isinstance(found, Dataset))
        return by_popularity(len(train.items), whole.sequences)


class ReadsSplit(Sound):
    """Finds what a run holds of test while it fits."""

    name = "test/reads-split"

    def fit(self, train: TrainView) -> TokenIds:
        held_out = [found.items for found in gc.get_objects() if isinstance(found, Targets)]
        found = np.concatenate([np.zeros(0, np.int64), *held_out])
        return by_popularity(len(train.items), Sequences.from_rows([found]))


class ReadsBelowPython(Sound):
    """No `open` of Python is seen where Arrow reads; but other items stand in the file."""

    name = "test/reads-below-python"

    def fit(self, train: TrainView) -> TokenIds:
        folder = Path(os.environ["BENCH_DATA_DIR"], train.dataset)
        table = read_csv(str(folder / f"{train.dataset}.inter"), parse_options=ParseOptions(delimiter="\t"))
        items = [train.items.ids.index(item) for item in table.column("item_id:token").to_pylist()]
        return by_popularity(len(train.items), Sequences.from_rows([items]))


class StartsProgram(Sound):
    """Another program reads for it, and says nothing of what it has read."""

    name = "test/starts-program"

    def fit(self, train: TrainView) -> TokenIds:
        path = Path(os.environ["BENCH_DATA_DIR"], train.dataset, f"{train.dataset}.inter")
        subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)
        return super().fit(train)


class Alternating(Sound):
    """Names items anew between its stages, by what the first came to and a draw of its own, as it may."""

    name = "test/alternating"

    def order(self, train: TrainView, trained: Trained) -> list[int]:
        assert trained.validation is not None
        return [int(item) for item in train.random().permutation(len(train.items))]

    def stages(self, train: TrainView, ids: TokenIds) -> Generator[Stage, Trained, Trained | None]:
        trained = yield Stage(ids, "first", budget_fraction=0.5)
        yield Stage(numbered(self.order(train, trained)), "second", budget_fraction=0.5)
        return None


class PeeksBetween(Alternating):
    """Its identifiers are sound; between the stages it looks for test."""

    name = "test/peeks-between"

    def order(self, train: TrainView, trained: Trained) -> list[int]:
        held_out = [found.items for found in gc.get_objects() if isinstance(found, Targets)]
        taken = np.bincount(np.concatenate(held_out), minlength=len(train.items))
        return [int(item) for item in np.argsort(np.argsort(-taken, kind="stable"))]


class OpensBetween(Alternating):
    name = "test/opens-between"

    def order(self, train: TrainView, trained: Trained) -> list[int]:
        sources.find(train.dataset)
        return super().order(train, trained)


class Leak(ReadsMemory):
    name = "test/declared-leak"
    leaks = True

    def fit(self, train: TrainView) -> TokenIds:
        return by_popularity(len(train.items), train.sequences)


class Long(Sound):
    name = "test/long"

    def fit(self, train: TrainView) -> TokenIds:
        lengths = [3, 40, *[3] * len(train.items)]
        codes = [DIGITS.ids(f"{item:0{lengths[item]}d}") for item in range(len(train.items))]
        return TokenIds.from_lists(codes, DIGITS)


class DeclaredLong(Long):
    name = "test/declared-long"
    max_length = 40


class Nameless(Sound):
    name = "test/nameless"

    def fit(self, train: TrainView) -> TokenIds:
        wide = Vocabulary(DIGITS.tokenizer, size=200, pad=DIGITS.pad, eos=DIGITS.eos, unk=DIGITS.unk)
        return TokenIds.from_lists([[100 + item] for item in range(len(train.items))], wide)


class Unknown(Sound):
    name = "test/unknown"

    def fit(self, train: TrainView) -> TokenIds:
        codes = [DIGITS.encode(f"{item // 10} x" if item == 7 else f"{item // 10} {item % 10}") for item in range(30)]
        return TokenIds.from_lists(codes, DIGITS)


class Unwritable(Sound):
    name = "test/unwritable"

    def fit(self, train: TrainView) -> TokenIds:
        ids = numbered(range(len(train.items)))
        return TokenIds(ids.tokens, ids.lengths, DIGITS, Template(separator="|"))


class Homonyms(Sound):
    """`1 1` is a token of its own, and so are its two halves."""

    name = "test/homonyms"

    def fit(self, train: TrainView) -> TokenIds:
        words = Vocabulary.private(["1", "2", "1 1", *map(str, range(3, 40))])
        codes = [["1", "1"], ["1 1"], *([str(item)] * 2 for item in range(3, 31))]
        return TokenIds.from_lists([words.ids(code) for code in codes], words)


class Unstorable(Sound):
    name = "test/unstorable"

    def fit(self, train: TrainView) -> TokenIds:
        ids = numbered(range(len(train.items)))
        return TokenIds(ids.tokens.astype(object), ids.lengths, DIGITS)


class Forgetful(Sound):
    """Its second stage is another every time that it is asked for."""

    name = "test/forgetful"
    asked: ClassVar[list[int]] = []

    def stages(self, train: TrainView, ids: TokenIds) -> Generator[Stage, Trained, Trained | None]:
        self.asked.append(1)
        yield Stage(ids, "first", budget_fraction=0.5)
        yield Stage(ids, "second", budget_fraction=0.5, lr_scale=1 / len(self.asked))
        return None


class Frozen(Sound):
    name = "test/frozen"

    def stages(self, train: TrainView, ids: TokenIds) -> Generator[Stage, Trained, Trained | None]:
        yield Stage(ids, lr_scale=0.0)
        return None


class Greedy(Sound):
    name = "test/greedy"

    def stages(self, train: TrainView, ids: TokenIds) -> Generator[Stage, Trained, Trained | None]:
        yield Stage(ids, budget_fraction=1.5)
        return None


class Slots(Sound):
    """A plugin whose identifiers are codes in slots: the digits of an item's number."""

    name = "test/slots"

    def fit(self, train: TrainView) -> SlotIds:
        numbers = np.arange(len(train.items))
        codes = np.column_stack([numbers // 10, numbers % 10]).astype(np.int32)
        marks = Vocabulary.private(["<history>", "<next>"])
        return SlotIds(codes, (int(codes[-1, 0]) + 1, 10), marks, Template("<history>", after="<next>"))
