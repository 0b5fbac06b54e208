"""``bench ids show`` and ``bench ids export``: the identifiers of schemes on a data set, without training anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import devices, lists, machine
from bench.contract import Contract
from bench.data import sources, splitting
from bench.data.dataset import Dataset, ItemTable, TrainView
from bench.data.lookup import indices
from bench.data.splits import Split
from bench.errors import BenchError
from bench.ids import diagnostics, exchange, forecast
from bench.ids.identifiers import Ids, TokenIds
from bench.ids.scheme import IdScheme
from bench.ids.text import Embeddings, TextSettings, embed, stand_in
from bench.results import digests
from bench.results.digests import RESULT
from bench.results.read import read
from bench.results.saved import catalogue, stored_ids
from bench.runs.attribution import attribute_errors
from bench.runs.fitting import fitted, refuse_reading, with_language
from bench.runs.forecasting import forecast_of
from bench.runs.matrix import Plan, resolve
from bench.runs.possible import EVERYTHING
from bench.runs.progress import Display
from bench.runs.request import Request

NEAR = 5  # siblings and nearest items that are shown of an item


@dataclass(frozen=True)
class SchemeSummary:
    """What is shown of one scheme: its stats, and of some items the identifier, the items nearest by identifier, and
    those nearest by text with what they share. A scheme that can't name this catalogue has a ``problem`` instead.

    ``trained`` are the same items by the identifiers that training came to, where a finished run has changed them;
    ``changed`` says of how many items of the catalogue it has, and is None where no run that began with these has
    finished, or they are vectors.
    """

    scheme: str
    dataset: str
    stats: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    trained: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None
    changed: int | None = None


def show(plan: Plan, items: str, examples: int, as_json: bool, churn: int | None = None) -> None:
    """Print every scheme of the plan on every data set of it; the items between commas, or ``examples`` of them. With
    ``churn``, the seed of a second fit, also how far the two differ.
    """
    shown = [_shown(plan, name, items, examples, churn) for name in plan.datasets]
    if as_json:
        machine.show([vars(found) for part in shown for found in part])
        return
    from bench.commands import identifiers_view

    for part in shown:
        identifiers_view.show(part)


def export(plan: Plan, out: Path) -> None:
    """Write the identifiers of the plan's one scheme, or of the finished run in that folder, to ``out``."""
    exchange.check_suffix(out)
    (name,), (dataset,), changed = plan.schemes, plan.datasets, None
    if (Path(name) / RESULT).is_file():
        keys, titles, _ = catalogue(Path(name))
        ids, items = stored_ids(Path(name)), ItemTable(tuple(keys), {"title": tuple(titles)})
    else:
        view = _View.of(plan, dataset)
        if len(view.schemes) != 1:
            raise BenchError(f"one scheme is exported at a time; '{name}' names {len(view.schemes)}")
        ids, items = view.made(view.schemes[0]), view.dataset.items
        changed = view.trained(view.schemes[0], ids)[1]
    exchange.write(ids, items, out, named=True)
    first = f"; of {ids.variants} identifiers of each item, the first (the one ranked)" if ids.variants > 1 else ""
    Display().say(f"written: {out}, {len(ids):,} items{first}")
    if changed:
        Display().say(f"these are from before training, which changed {changed:,} of them: export the run's folder")


@dataclass(frozen=True)
class _View:
    """A data set as the schemes of a plan see it."""

    plan: Plan
    schemes: list[IdScheme]
    dataset: Dataset
    split: Split
    contract: Contract

    @classmethod
    def of(cls, plan: Plan, name: str) -> _View:
        subjects, contract, _ = resolve(plan)
        dataset, contract = splitting.ordered(sources.find(name, plan.data_dir), contract)
        split = splitting.split(dataset, contract, plan.seeds[0])
        schemes = [subject for subject in subjects if isinstance(subject, IdScheme)]
        for scheme in schemes:
            refuse_reading(scheme, contract)
        train = split.on(devices.available()).train  # as a run of this machine would, so that both share a cache
        train = replace(with_language(train, contract), cache=plan.results / "cache")
        return cls(plan, schemes, dataset, replace(split, train=train), contract)

    def made(self, scheme: IdScheme) -> Ids:
        request, title = self.request(scheme), f"{scheme.name} on {self.dataset.name}"
        with attribute_errors(scheme):
            view = request.view(self.split.train)
            for warning in request.warnings:
                Display().say(f"{title}: {warning}")
            return fitted(scheme, view, self.plan.results, title, Display())[0]

    def request(self, scheme: IdScheme) -> Request:
        """What a run of the scheme would be asked."""
        return Request(scheme, self.dataset, self.contract, self.plan.seeds[0], None, self.plan.results)

    def trained(self, scheme: IdScheme, ids: Ids) -> tuple[Ids | None, int | None]:
        """What the newest finished run that began with these identifiers made of them, and of how many items it has
        changed them: nothing and 0, where it left all as they are.
        """
        if not isinstance(ids, TokenIds):
            return None, None
        first = [diagnostics.written(ids, item) for item in range(len(ids))]
        request = self.request(scheme)
        folder = request.run.folder(self.plan.results)
        tables = folder.parents[1].glob(f"*-{request.fingerprint[:6]}/{request.seed}/ids.parquet")
        for path in sorted(tables, key=lambda path: path.stat().st_mtime, reverse=True):
            found = read(path.parent / RESULT, str(path.parent))
            table = pd.read_parquet(digests.check(path.parent, path.name, found.files))
            before = table["before" if "before" in table else "identifier"]
            if before.tolist() == first and not found.trained_on:
                changed = int((before != table["identifier"]).sum())
                return (stored_ids(path.parent) if changed else None), changed
        return None, None


def _shown(plan: Plan, name: str, items: str, examples: int, churn: int | None) -> list[SchemeSummary]:
    view = _View.of(plan, name)
    again = None if churn is None else _View.of(replace(plan, seeds=[churn]), name)
    table = view.dataset.items
    chosen = _chosen(table, items, examples, plan.seeds[0])
    near = dict(_nearest(view.split.train, chosen))
    found = []
    for scheme in view.schemes:
        try:
            ids = view.made(scheme)
            other = again.made(scheme) if again else None
        except BenchError as error:
            if EVERYTHING not in plan.schemes:
                raise
            found.append(SchemeSummary(scheme.name, view.dataset.name, problem=str(error)))
        else:
            after, changed = view.trained(scheme, ids)
            now, trained = (
                [_described(made, table, item, near.get(item, [])) for item in chosen] if made is not None else []
                for made in (ids, after)
            )
            stats = _stats(ids, view.split, plan.results, other)
            found.append(SchemeSummary(scheme.name, view.dataset.name, stats, now, trained, changed=changed))
    return found


def _stats(ids: Ids, split: Split, results: Path, other: Ids | None) -> dict[str, Any]:
    drift = {"drift": diagnostics.drift(ids)} if ids.variants > 1 else {}
    known: dict[str, Any] = dict(forecast_of(ids, split.train, results))
    changed = None if other is None else forecast.churn(ids, other)
    if changed is not None:
        known["churn"] = changed
    return diagnostics.stats(ids, split.test.items) | drift | {"forecast": known}


def _chosen(items: ItemTable, named: str, examples: int, seed: int) -> list[int]:
    """Catalogue indices of the items named between commas, or of some drawn at random, always the same."""
    if not named:
        return sorted(np.random.default_rng(seed).permutation(len(items))[:examples].tolist())
    index_of = {name: index for index, name in enumerate(items.ids)}
    asked = lists.ids(named, index_of)
    if not asked:
        raise BenchError(f"--item takes one item or more, separated by commas; got '{named}'")
    return indices(index_of, asked)


def _nearest(train: TrainView, chosen: list[int]) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """For every chosen item those whose text is most like its own, with the cosine; none where items lack text."""
    if not chosen:
        return
    try:
        filled, count = stand_in(train.items)
        some = count < len(train.items)  # where no item has text, ids alone are near nothing
        vectors: Embeddings = embed(replace(train, items=filled) if some else train, TextSettings())
    except BenchError as error:
        Display().say(f"no nearest items by text: {error}")
        return
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for item in chosen:
        cosines = vectors @ vectors[item]
        yield item, [(other, float(cosines[other])) for other in diagnostics.nearest(cosines, item, NEAR)]


def _described(ids: Ids, items: ItemTable, item: int, near: list[tuple[int, float]]) -> dict[str, Any]:
    def one(item: int) -> dict[str, Any]:
        text = next((column[item] for column in items.text.values() if column[item]), "")
        return {"item": items.ids[item], "text": text, "identifier": diagnostics.written(ids, item)}

    measure, alike = diagnostics.likeness(ids, item)
    return one(item) | {
        "siblings": [one(other) | how for other, how in diagnostics.siblings(ids, item, NEAR)],
        "nearest": [
            one(other) | {measure: alike[other].item(), "similarity": round(cosine, diagnostics.DECIMALS)}
            for other, cosine in near
        ],
    }
