"""A finished run at work: its recommender, rebuilt from the run's folder, recommends items by their original ids."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import SupportsIndex, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import backbone
from bench.contract import Contract, setting_names
from bench.data.dataset import Sequences
from bench.data.lookup import indices
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Ids
from bench.model.index import CatalogueIndex
from bench.model.recommender import Decoding, Recommender, decoding_of, recommender_under
from bench.model.vector_set import VectorSetRecommender
from bench.results import digests, packed
from bench.results import head as saved_head
from bench.results import read as results
from bench.results.digests import TABLE
from bench.results.read import Result
from bench.training.ranking import users_of

IDS = "ids.safetensors"

T = TypeVar("T")


@dataclass(frozen=True)
class Recommendation:
    """``score`` is that of the run's decoder: of beam search and exact ranking a log-probability."""

    item: str
    title: str
    score: float
    identifier: str


class AnySaved(ABC):
    """A finished run that recommends: one of identifiers (``Saved``) or of a baseline. It needs no data set.

    ``rows`` are the rows of the catalogue by original id, ``titles`` are by row.
    """

    result: Result
    contract: Contract
    rows: dict[str, int]
    titles: list[str]

    def recommend(
        self, history: Sequence[str], k: int = 10, exclude_history: bool | None = None
    ) -> list[Recommendation]:
        """The best ``k`` items for a history of original ids, oldest first, which may be empty.

        The run's contract says how many of the newest items are read, how items are ranked and, where
        ``exclude_history`` does not, whether what is in the history may be recommended. Items that share an identifier
        share its score. There are fewer than ``k`` where the catalogue or the beam ends. BenchError for unknown items.
        """
        return self.recommend_many([history], k, exclude_history)[0]

    @abstractmethod
    def recommend_many(
        self, histories: Sequence[Sequence[str]], k: int = 10, exclude_history: bool | None = None
    ) -> list[list[Recommendation]]:
        """The same for each of many histories, in batches."""

    def read(self, histories: Sequence[Sequence[str]], k: int) -> Sequences:
        """Histories as rows of the catalogue, in any iterables. BenchError for what is no history, and for unknown
        items.
        """
        if not isinstance(k, SupportsIndex) or int(k) < 1:
            raise BenchError(f"k, the number of items to recommend, must be a whole number, 1 or more; got {k!r}")
        return Sequences.from_rows([indices(self.rows, _items(history)) for history in _items(histories)])

    def known(self, history: Sequence[str]) -> tuple[list[str], int]:
        """The items of a history that the run knows, and how many it does not."""
        found = [item for item in history if item in self.rows]
        return found, len(history) - len(found)

    def excludes(self, asked: bool | None) -> bool:
        """Whether what is in the history may not be recommended."""
        return self.contract.exclude_history if asked is None else asked


class Saved(AnySaved):
    """The recommender of a finished run of identifiers.

    Items that are vectors may be searched in an ``index``, described as to faiss's ``index_factory``: ``Flat`` compares
    with every item, as is done without an index too, ``IVF1024,Flat`` with some, which is faster and not exact.
    """

    def __init__(self, result: Result, index: str | None = None) -> None:
        self.recommender = restore(result.folder)  # first: it says why there may be none
        self.result, self.contract = result, contract_of(result)
        self.items, self.titles, self.identifiers = catalogue(result.folder)
        if len(self.items) != len(self.recommender.ids):
            raise BenchError(f"'{result.folder / 'ids.parquet'}' is of other items than the run; {_again(result)}")
        self.groups = self.recommender.ids.groups
        # items by identifier, and where those of each begin: a sort of the catalogue, too slow for every request
        self.members = np.argsort(self.groups, kind="stable"), np.cumsum([0, *np.bincount(self.groups)])
        self.rows = {item: row for row, item in enumerate(self.items)}
        self.index = None if index is None else _index(self.recommender, index, result)
        self.fixed = ExitStack()
        self.fixed.enter_context(self.recommender.fixed_weights())  # for good: nothing trains it here

    def recommend_many(
        self, histories: Sequence[Sequence[str]], k: int = 10, exclude_history: bool | None = None
    ) -> list[list[Recommendation]]:
        whole, exclude = self.read(histories, k), self.excludes(exclude_history)
        shown = whole.newest(self.contract.max_history)
        most, decoding = min(k, len(self.items)), decoding_of(self.contract, exclude)
        if decoding.decoder == "beam" and most > decoding.width and most >= len(self.members[1]) - 1:
            decoding = replace(decoding, decoder="exact")  # so wide a beam drops nothing, and takes far more memory
        order = np.argsort(self.recommender.input_lengths(shown), kind="stable")
        found: list[list[Recommendation]] = [[] for _ in range(len(whole))]
        size = users_of(self.recommender, decoding, most)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            listed = self._ranked(shown.rows(rows), whole.rows(rows), most, decoding)
            for row, ranked in zip(rows, listed, strict=True):
                without = set(whole[row].tolist()) if exclude else set()
                kept = [(item, score) for item, score in ranked if item not in without][:k]
                found[row] = [self._described(item, score) for item, score in kept]
        return found

    def _ranked(
        self, histories: Sequences, seen: Sequences, k: int, decoding: Decoding
    ) -> list[list[tuple[int, float]]]:
        """Items and scores, best first; all items of an entry, in the order of the catalogue, also those ``seen``."""
        if self.index is None:
            ranked = self.recommender.rank(histories, k, decoding, seen=seen)
        else:
            ranked = self.index.search(histories, k, decoding.excluded(histories, seen))
        groups, (order, begins) = self.groups, self.members
        lines = zip(ranked.items, ranked.scores, ranked.valid, strict=True)
        return [
            [
                (int(item), float(score))
                for entry, score in zip(items[valid], scores[valid], strict=True)
                for item in order[begins[groups[entry]] : begins[groups[entry] + 1]]
            ]
            for items, scores, valid in lines
        ]

    def _described(self, item: int, score: float) -> Recommendation:
        return Recommendation(self.items[item], self.titles[item], score, self.identifiers[item])


def _items(named: Iterable[T]) -> list[T]:
    """A list of what can be gone through once only too, such as a generator: who looks twice finds it empty."""
    if isinstance(named, Iterable) and not isinstance(named, str | bytes | Set):
        return list(named)
    what = "a text" if isinstance(named, str) else type(named).__name__
    raise BenchError(f"a history is a list of item ids, oldest first; got {what}: {str(named)[:60]}")


def _index(recommender: Recommender, kind: str, result: Result) -> CatalogueIndex:
    if not isinstance(recommender, VectorSetRecommender):
        raise BenchError(
            f"index '{kind}' was asked for, but the items of {result.scheme.name} are tokens, which are written and "
            "not searched; drop it"
        )
    return CatalogueIndex(recommender, kind)


def restore(folder: Path) -> Recommender:
    """The recommender that a run tested, from the run's folder, in ``eval`` mode on the CPU."""
    result = _result(folder)
    ids = _stored_ids(result)
    for name in result.files:
        if name.endswith((".safetensors", ".json")):
            digests.check(folder, name, result.files)
    contract = contract_of(result)
    model = backbone.load(folder)
    recommender = recommender_under(contract, ids, model)
    saved_head.fill(recommender, folder)
    return recommender.eval()


def stored_ids(folder: Path) -> Ids:
    """The identifiers that a run tested, all of their variants."""
    return _stored_ids(_result(folder))


def _stored_ids(result: Result) -> Ids:
    folder = result.folder
    if result.identifiers is None:
        raise BenchError(f"'{folder}' is the run of {result.scheme.name}, a baseline, which has no identifiers")
    refuse_without_model(result)
    return storage.load(digests.check(folder, IDS, result.files))[0]


def refuse_without_model(result: Result) -> None:
    """BenchError where a run is packed, or a test of a model that another run holds."""
    if result.trained_on:
        model = (result.training or {}).get("model")
        raise BenchError(f"'{result.folder}' is a test of the model in '{model}', which holds it; name that run")
    if packed.is_packed(result.folder):
        raise BenchError(
            f"'{result.folder}' is packed: it holds scores and ranks, and no model; name the run in the results folder "
            f"that it was packed from, or make one: bench report --results {shlex.quote(str(_home(result.folder)))} "
            "--request again.toml, then bench run --config again.toml --results ANOTHER"
        )


def _home(folder: Path) -> Path:
    """The results folder that a run's own lies in."""
    return folder.parents[4] if len(folder.parts) > 5 and folder.parents[3].name == "runs" else folder


def _result(folder: Path) -> Result:
    return results.read(folder / digests.RESULT, str(folder))


def catalogue(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Original ids, titles and identifiers of all items of a run: identifiers are ``""`` where they are vectors."""
    path = digests.check(folder, TABLE, _result(folder).files)
    try:
        table = pq.read_table(path, columns=["item", "title"])
        named = "identifier" in pq.read_schema(path).names
        texts = pq.read_table(path, columns=["identifier"]).column(0).to_pylist() if named else [""] * len(table)
        return table.column("item").to_pylist(), table.column("title").to_pylist(), texts
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise BenchError(f"'{path}' is corrupt ({error}); {digests.HINT}") from error


def contract_of(result: Result) -> Contract:
    """The contract that a run was made under."""
    stored = {name: value for name, value in result.contract.items() if name != "protocol"}
    strange = [name for name in stored if name not in setting_names()]
    if strange:
        raise BenchError(f"'{result.path}' was run under a contract with '{strange[0]}', unknown here; update bench")
    return Contract(**stored)  # type: ignore[arg-type]


def _again(result: Result) -> str:
    return f"run {result.scheme.name} on {result.dataset.name} again with --force"
