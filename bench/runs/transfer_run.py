"""The model of a finished run on other data, without any training: on each part of the joined data set that it was
trained on, and on catalogues that it has never seen (zero-shot).

Such a test is a run of its own, stored under the data set that is tested. Its contract says what the model was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from bench import backbone, ranks
from bench.contract import CUTOFFS, Contract, digest
from bench.data import splitting
from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.joined import part_range, restricted
from bench.data.splits import Split, Targets
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline
from bench.evaluation.metrics import Ranks
from bench.evaluation.warm_cold import ITEM_GROUPS, Mask, by_group, is_warm
from bench.ids import diagnostics, exchange
from bench.ids.identifiers import Ids, TokenIds
from bench.ids.scheme import IdScheme
from bench.model.recommender import Recommender, decoding_of, recommender_under
from bench.results import head as saved_head
from bench.results.digests import RESULT, TABLE
from bench.results.read import Result, read
from bench.results.saved import restore
from bench.results.write import Outcome
from bench.runs.adapting import adapted, require_users
from bench.runs.fitting import refuse_reading, told, with_language
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.training.cost import Stopwatch
from bench.training.ranking import check_cutoff, evaluate

Unseen = tuple[Dataset, Contract]  # with the order of ties that it has itself, whatever that of the training data


def transfer_requests(request: Request, unseen: Sequence[Unseen], with_parts: bool = True) -> list[Request]:
    """The tests that follow a run: of each part of its data set if asked for, then of each unseen one. A baseline that
    keeps nothing of its runs has none.
    """
    if isinstance(request.subject, AnyBaseline) and not request.subject.saves_state:
        return []
    contract = request.contract
    parts = request.dataset.parts if with_parts else ()
    return [replace(request, dataset=part, trained_by=request) for part in parts] + [
        replace(
            request,
            dataset=dataset,
            contract=replace(contract, ties=own.ties),
            trained_by=request,
            adapted_on=users,
        )
        for dataset, own in unseen
        for users in request.adapt
    ]


def split_of(request: Request) -> Split:
    """The split of what is tested; of a part, it is what the split of the joined data set says of it."""
    by = request.trained_by
    at = by and part_range(by.dataset, request.dataset)
    if by and at:
        return restricted(split_of(by), request.dataset, at)
    return splitting.split(request.dataset, request.contract, request.seed)


def refuse(request: Request, unseen: Sequence[Unseen], with_parts: bool = True) -> None:
    """BenchError where a run or one of the tests that follow it can't be done, before anything is trained."""
    if unseen and isinstance(request.subject, AnyBaseline) and not request.subject.supports_transfer:
        names, baseline = ",".join(dataset.name for dataset, _ in unseen), request.subject
        raise BenchError(
            f"--zero-shot {names} was asked for, but baseline {baseline.name} {baseline.no_transfer_reason}; "
            f"fit it there with a run of its own: --baseline {baseline.name} --dataset {names}"
        )
    if not request.is_baseline:
        _refuse_wording(request.contract)
        backbone.require(request.contract)
        refuse_reading(request.subject, request.contract)
    request.subject.cache_key()  # files that it reads must be there before anything is trained
    for dataset, _ in unseen:
        _refuse_zero_shot(request, dataset)
    for test in transfer_requests(request, unseen, with_parts):
        split_of(test)
        check_cutoff(max(CUTOFFS), len(test.dataset.items))
        if test.unseen:  # the items of a part were named with all others
            _require(test)
        if test.adapted_on:
            require_users(test)
    _require(request)


def _require(request: Request) -> None:
    """BenchError where what the subject needs is not in the catalogue, and nothing stands in for it."""
    _ = request.items


def _refuse_wording(contract: Contract) -> None:
    """Sentences and numbers are a language model's, whichever scheme is run."""
    lines = {"template": contract.template in ("sampled", "unseen"), "reinitialize": contract.reinitialize != "none"}
    asked = [f"{name}={getattr(contract, name)}" for name, holds in lines.items() if holds]
    if asked and backbone.is_scratch(contract.backbone):
        raise BenchError(
            f"{asked[0]} needs identifiers in a language model's words, but backbone '{contract.backbone}' starts from "
            "scratch and has none; give a pretrained one and a scheme that uses its words, or drop this"
        )


def _refuse_zero_shot(request: Request, tested: Dataset) -> None:
    subject, home = request.subject, request.dataset
    asked = f"--zero-shot {tested.name} was asked for, but"
    names = {home.name, *(part.name for part in home.parts)}
    both = names & {tested.name, *(part.name for part in tested.parts)}
    if both or home.fingerprint == tested.fingerprint:
        raise BenchError(f"{asked} the model is trained on it, in '{home.name}'; name a data set that is unseen")
    if isinstance(subject, IdScheme) and not subject.supports_transfer:
        raise BenchError(
            f"{asked} {subject.name} cannot name the items of another catalogue: {subject.no_transfer_reason}; "
            "use a scheme whose vocabulary transfers, such as textual"
        )


def transferred(
    request: Request, scheme: IdScheme, split: Split, partial: Path, display: Display, accelerator: Accelerator
) -> Outcome:
    """Read the model back, name the items of the catalogue, rank the test targets among them."""
    home = model_folder(request)
    with ranks.folder(home, (".safetensors", ".json", ".sha256")) as here:
        trained, model = restore(here).requires_grad_(False), read(here / RESULT, str(home))
    ids, seconds = ranks.shared(lambda: identifiers(request, scheme, trained, home, display, split.train.device))
    recommender = recommender_of(ids, trained, request).to(accelerator.device)
    learned = adapted(request, recommender, split, partial, display, accelerator) if request.adapted_on else {}

    def ranked(name: str, targets: Targets, candidates: Mask | None) -> tuple[Ranks, bool]:
        with display.bar(f"{request.run.title}: {name}", len(targets)) as bar:
            how, most = decoding_of(request.contract), max(CUTOFFS)
            return evaluate(recommender, targets, how, most, accelerator, bar.advance, candidates)

    watch = Stopwatch()
    whole = ranked("test", split.test, None)
    costs: dict[str, float | None] = asdict(model.costs) | {
        "inference_seconds_per_1000_users": 1000 * watch.seconds / len(split.test)
    }
    if seconds is not None:
        costs |= {"id_construction_seconds": seconds, "id_construction_processor_seconds": None}
    if accelerator.is_main_process:
        exchange.write(ids, request.dataset.items, partial / TABLE)
    origin: dict[str, Any] = {"model": home.relative_to(request.results).as_posix(), "weights": weights(model)}
    warm = is_warm(split.train.sequences, len(ids))
    item_groups = by_group(split.test, warm, whole, ranked) if seconds is None else dict.fromkeys(ITEM_GROUPS)
    described = diagnostics.stats(ids, split.test.items)
    warnings = () if seconds is None else request.warnings
    return Outcome(*whole, costs, described, origin | learned, item_groups, warnings)


def model_folder(request: Request) -> Path:
    """The finished run that has trained the model of a request."""
    if request.trained_by is None:
        raise ValueError("a request that trains its own model has no other run")
    return request.trained_by.run.folder(request.results)


def recommender_of(ids: Ids, trained: Recommender, request: Request) -> Recommender:
    """The trained model over other identifiers."""
    found = recommender_under(request.contract, ids, trained.backbone)
    saved_head.copy(trained, found)
    return found.eval()


def identifiers(
    request: Request, scheme: IdScheme, trained: Recommender, home: Path, display: Display, device: str
) -> tuple[Ids, float | None]:
    """Of a part those that the model was trained with, of an unseen catalogue new ones and the seconds they took."""
    by = request.trained_by
    at = by and part_range(by.dataset, request.dataset)
    if at:
        return trained.ids.of_items(at.items), None
    watch, view = Stopwatch(), unseen(request, device)
    display.say(f"{request.run.title}: making identifiers for {len(request.dataset.items):,} items")
    with display.bar(f"{request.run.title}: identifiers", 1) as bar:
        found = scheme.transfer(trained, replace(view, progress=told(bar)), home)
    _check(found, trained.ids, scheme, request.dataset)
    return _read_alike(found, trained.ids), watch.seconds + sum(view.cached_seconds)


def _read_alike(found: Ids, trained: Ids) -> Ids:
    """Tokens with an end wherever the model has learned to write one, and no users: of the unseen none is known."""
    if isinstance(found, TokenIds) and isinstance(trained, TokenIds):
        return replace(found, append_eos=found.appends_eos or trained.appends_eos, users=None)
    return found


def unseen(request: Request, device: str) -> TrainView:
    """All that a scheme may see of an unseen data set: the catalogue with its text. There are no sequences."""
    nothing = Sequences(np.empty(0, np.int32), np.zeros(1, np.int64))
    cache = request.results / "cache"
    view = TrainView(request.dataset.name, request.items, nothing, request.seed, cache=cache, device=device)
    return with_language(view, request.contract)


def _check(found: object, trained: Ids, scheme: IdScheme, dataset: Dataset) -> None:
    if not isinstance(found, Ids) or len(found) != len(dataset.items):
        what = f"{len(found)} identifiers" if isinstance(found, Ids) else type(found).__name__
        raise BenchError(
            f"transfer of {scheme.name} returned {what} for the {len(dataset.items)} items of '{dataset.name}'; "
            "it must return one identifier for each item, in catalogue order"
        )
    if found.vocabulary.fingerprint != trained.vocabulary.fingerprint:
        raise BenchError(
            f"transfer of {scheme.name} wrote '{dataset.name}' in a vocabulary of {found.vocabulary.size:,} rows, "
            f"which is not the trained model's of {trained.vocabulary.size:,}; it must use trained.ids.vocabulary"
        )


def outdated(folder: Path, request: Request) -> bool:
    """Whether a finished test was made with weights that its model's run no longer has."""
    made_with = (read(folder / RESULT, str(folder)).training or {}).get("weights")
    return bool(made_with != weights_of(request))


def weights_of(request: Request) -> str:
    """Of the model that a request tests, as they are now."""
    home = model_folder(request)
    return weights(read(home / RESULT, str(home)))


def weights(result: Result) -> str:
    """8 hex digits over the weights and identifiers of a finished run."""
    return digest({name: sha256 for name, sha256 in result.files.items() if name.endswith(".safetensors")})
