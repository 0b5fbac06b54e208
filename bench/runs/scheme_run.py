"""One identifier scheme through its stages: its identifiers are made, the recommender is trained, test is read once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast

from bench import backbone, ranks
from bench.backbone.extending import extend
from bench.backbone.numbers import redraw_numbers
from bench.backbone.protocol import Backbone, load_trained_state
from bench.contract import CUTOFFS, Contract, changed
from bench.data.dataset import Progress
from bench.data.splits import Split, Targets
from bench.errors import BenchError
from bench.evaluation.by_part import at_step
from bench.evaluation.metrics import Ranks
from bench.evaluation.warm_cold import Mask, by_group, is_warm
from bench.ids import diagnostics, exchange, storage
from bench.ids.extending import extended
from bench.ids.identifiers import Ids
from bench.ids.scheme import IdScheme, Stage, Trained
from bench.model.recommender import Recommender, decoding_of, recommender_under
from bench.results import head as saved_head
from bench.results import store
from bench.results.digests import TABLE
from bench.results.saved import IDS
from bench.results.write import Outcome
from bench.runs import converting, curves
from bench.runs.beam_check import beam_check
from bench.runs.fitting import fitted, told, with_language
from bench.runs.forecasting import forecast_of
from bench.runs.progress import Bar, Display
from bench.runs.request import Request
from bench.runs.search import Found, Searching
from bench.runs.stage_facts import identity, stage_summary, total, training_costs
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState
from bench.training.cost import Stopwatch
from bench.training.loop import Job, seed_everything, snapshot_path, train
from bench.training.ranking import evaluate
from bench.training.search import Record
from bench.vocabulary import Vocabulary


class SchemeRun:
    """One identifier scheme through its stages: fit, train, rank."""

    seconds_between: float = 0.0  # that the scheme took for what it does between stages: naming items anew
    processor_between: float | None = 0.0  # None where it took something from the cache
    used: float = 0.0  # processor seconds of optimizer steps alone
    spent: Mapping[str, float]  # what identifiers took of a budget of either unit, once they are made
    first: Ids  # before any stage
    bar: Bar  # while the scheme works between two stages

    def __init__(
        self,
        request: Request,
        scheme: IdScheme,
        split: Split,
        partial: Path,
        display: Display,
        accelerator: Accelerator,
        fraction: float = 1.0,
    ) -> None:
        self.request, self.scheme, self.partial = request, scheme, partial
        self.display, self.accelerator = display, accelerator
        self.contract = changed(request.contract, dict(request.tuned))
        # A trial of a search has a part of the budget, and a folder in that of its run, which ``root`` is.
        self.fraction, self.root = fraction, partial
        self.logged: list[str] = []
        contract = request.contract
        self.split = replace(split, train=with_language(split.train, contract))
        self.selection, self.held_out = split.validation.parted(contract.validation_users, request.seed)
        self.decoding = decoding_of(contract)
        self.budget: Mapping[str, Any] = {}  # what a budget of time or FLOPs was converted to

    def outcome(self) -> Outcome:
        request, view = self.request, self.request.view(self.split.train)
        for warning in request.warnings:
            self.display.say(f"{request.run.title}: {warning}")
        ids, notes = ranks.shared(lambda: fitted(self.scheme, view, request.results, request.run.title, self.display))
        if self.contract.vocabulary == "extended" and view.language:
            ids = extended(ids, view.language)
        self.spent, unknown = converting.spent_on(notes), converting.uncounted(self.contract, notes)
        for warning in unknown:
            self.display.say(f"{request.run.title}: {warning}")
        found = self.searched(ids) if request.search else None
        best, done = self.trained(ids)
        self.first = ids
        watch = Stopwatch()
        found_ranks, complete = self.ranked(best.recommender, "test", self.split.test)
        inference = 1000 * watch.seconds / len(self.split.test)
        warm = is_warm(self.split.train.sequences, len(self.split.train.items))
        item_groups = by_group(
            self.split.test, warm, (found_ranks, complete), functools.partial(self.ranked, best.recommender)
        )
        watch = Stopwatch()
        if self.accelerator.is_main_process:
            with ranks.alone():
                self.save(best.recommender)
        trained = training_costs([state for _, state in done])
        trained["training_seconds"] = total([trained["training_seconds"], watch.seconds])
        trained = found.costs(trained) if found else trained
        costs: dict[str, float | None] = {
            "parameters": float(sum(parameter.numel() for parameter in best.recommender.parameters())),
            "id_construction_seconds": notes["seconds"] + self.seconds_between,
            "id_construction_processor_seconds": total([notes.get("processor_seconds"), self.processor_between]),
            **trained,
            **{name: notes.get(name) for name in ("own_steps", "own_examples", "own_flops")},
            "inference_seconds_per_1000_users": inference,
        }
        described = diagnostics.stats(best.recommender.ids, self.split.test.items) | best.recommender.calibrated()
        described |= beam_check(best.recommender, found_ranks, self.split.test, self.decoding, self.accelerator)
        if self.accelerator.is_main_process:
            with ranks.alone():
                described["forecast"] = forecast_of(ids, view, request.results)
        if ids.variants > 1:
            described["drift"] = diagnostics.drift(ids)
        warnings = (*request.warnings, *self.scheme.warnings(view), *unknown)
        return Outcome(found_ranks, complete, costs, described, self.summary(best, done, found), item_groups, warnings)

    def searched(self, ids: Ids) -> Found:
        """The lines of training that a search chooses, which hold from here on."""
        ranges, request = self.request.search, self.request
        assert ranges, "a search was asked for"
        found = Searching(
            ranges,
            self.contract,
            request.seed,
            self.partial,
            request.run.title,
            self.contract.selection,
            self.display,
            self.accelerator,
            functools.partial(self.tried, ids),
        ).found()
        self.contract = found.contract
        if converting.SIZE in dict(ranges.lines):  # the trials have the steps of the first one's size
            self.budget = {}
        return found

    def tried(self, ids: Ids, contract: Contract, folder: Path, fraction: float) -> Record:
        """What a trial comes to: it is trained and validated, and never sees a test target."""
        trial = SchemeRun(self.request, self.scheme, self.split, folder, self.display, self.accelerator, fraction)
        trial.contract = contract
        trial.root, trial.spent = self.root, self.spent
        trial.budget = self.budget  # all trials have the steps that the first was given
        best, done = trial.trained(ids)
        self.budget = trial.budget
        if best.validation is None:
            raise BenchError(f"{self.scheme.name} can't be searched: what is tested of it is not validated")
        return {"best_validation": best.validation, **training_costs([state for _, state in done])}

    def summary(
        self, best: Trained, done: Sequence[tuple[Stage, TrainingState]], found: Found | None
    ) -> dict[str, Any]:
        """What is stored of the training: of the stage that was tested, in all, and of every stage."""
        return {
            "steps": sum(state.step for _, state in done),
            "epochs": sum(state.epoch for _, state in done),
            "best_step": done[best.number][1].best_step,
            "best_validation": best.validation,
            **at_step(done[best.number][1].curve, done[best.number][1].best_step),
            "selection": self.contract.selection,
            **({"budget": converting.with_used(self.budget, self.used)} if self.budget else {}),
            **({"search": found.summary(self.request.seed)} if found else {}),
            "tested": done[best.number][0].name,
            "stages": [stage_summary(stage, state) for stage, state in done],
            "curve": [{"stage": stage.name, **point} for stage, state in done for point in state.curve],
        }

    def trained(self, ids: Ids) -> tuple[Trained, list[tuple[Stage, TrainingState]]]:
        """Drive the scheme's stages; those that are finished are replayed from their checkpoints. What is to be tested,
        and how every stage ended.
        """
        kept, cached_seconds = self.request.results / "cache", list[float]()
        view = replace(
            self.request.view(self.split.train),
            cache=kept if self.accelerator.is_main_process else None,
            cached_seconds=cached_seconds,
            progress=self.between,
            share=ranks.shared,
        )
        stages, done = self.scheme.stages(view, ids), list[tuple[Stage, TrainingState]]()
        trained: Trained | None = None
        while isinstance(stage := self.next_stage(stages, trained), Stage):
            before = sum(earlier.budget_fraction for earlier, _ in done)
            shares = before + stage.budget_fraction
            if shares > 1 + 1e-9:
                raise BenchError(
                    f"the stages of {self.scheme.name} ask for {shares:.2f} of the training budget by '{stage.name}'; "
                    "their shares must sum to 1 at most"
                )
            trained, state = self.train_stage(stage, self.start(stage, trained), len(done), before)
            done.append((replace(stage, start=None, wrap_model=None), state))
        self.seconds_between += sum(cached_seconds)
        self.processor_between = None if cached_seconds else self.processor_between
        if trained is None:
            raise BenchError(f"{self.scheme.name} yielded no stage; at least one is needed")
        return stage.value or trained, done

    def next_stage(self, stages: Generator[Stage, Any, Any], trained: Trained | None) -> Stage | StopIteration:
        """What the scheme does until its next stage. All processes do it; what takes long they share."""
        with self.display.bar(f"{self.request.run.title}: between stages", 1) as self.bar:
            watch = Stopwatch()
            try:
                return stages.send(trained)
            except StopIteration as end:
                return end
            finally:
                self.seconds_between += watch.seconds
                self.processor_between = total([self.processor_between, watch.processor_seconds])

    def between(self, done: int, total: int, stats: Mapping[str, float]) -> None:
        """How far the scheme is with what it does between stages."""
        told(self.bar)(done, total, stats)

    def start(self, stage: Stage, before: Trained | None) -> Backbone:
        """The backbone that a stage trains: a copy, so that what earlier stages came to stays as it was."""
        start: Backbone | None = stage.start or (before.recommender.backbone if before else None)
        model = self.first_backbone(stage.ids) if start is None else start.copied()
        model.unfreeze()
        if before is None and self.contract.reinitialize == "numbers":
            redraw_numbers(model, stage.ids.vocabulary, self.request.seed)
        if self.contract.whole_words:
            model.grow_whole_words(self.contract.max_history + 1)
        return model

    def first_backbone(self, ids: Ids) -> Backbone:
        seed_everything(self.request.seed, 0, 0)
        name, dropout = self.contract.backbone, self.contract.dropout
        if backbone.is_scratch(name):
            return backbone.scratch(name, ids.vocabulary.size, dropout)
        pretrained = backbone.load(name, dropout)
        if pretrained.whole_words is not None and not self.contract.whole_words:
            raise BenchError(
                f"backbone '{name}' was trained with whole-word embeddings, which this contract does not use; "
                "add --set whole_words=true, or give another backbone"
            )
        return backbone.adapted(self._with_words(pretrained, ids.vocabulary), self.contract)

    def _with_words(self, pretrained: Backbone, vocabulary: Vocabulary) -> Backbone:
        """A pretrained backbone for a vocabulary: its own, with new rows behind it, or another."""
        if not vocabulary.language_model:
            return pretrained.with_vocabulary(vocabulary.size)
        own = self.split.train.language
        if self.contract.vocabulary == "extended" and own and own.fingerprint != vocabulary.fingerprint:
            extend(pretrained, own, vocabulary, self.request.seed)
        return pretrained

    def train_stage(self, stage: Stage, model: Backbone, number: int, before: float) -> tuple[Trained, TrainingState]:
        """Train a stage, validating on a sample of users by decoding; earlier ones had ``before`` of the budget."""
        contract, watch = self.contract, Stopwatch()
        seed_everything(self.request.seed, 0, 1 + number)  # a head may begin with random weights
        recommender = recommender_under(contract, stage.ids, model)
        if stage.wrap_model is not None:
            recommender = stage.wrap_model(recommender)
        start = identity(stage, recommender)
        ranks.require_same({f"identifiers and weights at the start of stage '{stage.name}'": start})
        path = self.partial / f"stage-{number}-{start}.safetensors"
        if path.exists():
            self.display.say(f"{self.request.run.title}: resuming")
        with self.display.bar(f"{self.request.run.title}: {stage.name}", 1) as bar:
            job = Job(
                recommender=recommender,
                sequences=self.split.train.sequences,
                contract=contract,
                seed=self.request.seed,
                stage=stage,
                before=before,
                validate=self.validator(recommender, bar),
                held_out=self.held_out,
                path=path,
                progress=self.reporter(stage, bar),
                save_every=self.request.save_every,
                accelerator=self.accelerator,
                fraction=self.fraction,
                part_users=self.request.part_users,
            )
            if contract.budget and stage.budget_fraction:
                trial = self.root != self.partial
                self.budget = self.budget or converting.converted(self.request, job, self.root, self.spent, trial)
                job = replace(job, converted=int(self.budget["steps"]))
            prepared = watch.seconds, watch.processor_seconds
            state = train(job)
        self.used += state.processor_seconds - state.validation_processor_seconds
        state.training_seconds += prepared[0]
        state.processor_seconds += prepared[1]
        if not stage.use_validation:
            watch = Stopwatch()
            self.calibrate(recommender)
            state.validation_seconds += watch.seconds
        self.rewrite_log(stage, state)
        validation = state.best if stage.use_validation else None
        return Trained(recommender, validation, self.snapshots(job), number), state

    def reporter(self, stage: Stage, bar: Bar) -> Progress:
        """What a stage's training tells its stats."""
        return curves.reporter(self.partial, stage.name, bar, self.accelerator.is_main_process)

    def validator(self, recommender: Recommender, bar: Bar) -> Callable[[], Mapping[str, float]]:
        """The selection metric on the users that select, by decoding, and on those of each data set that was joined."""

        def validate() -> Mapping[str, float]:
            done = 0

            def advance(users: int) -> None:
                nonlocal done
                done = min(done + users, len(self.selection))
                bar.at(bar.done, f"validating: {done:,} of {len(self.selection):,} users")

            with recommender.fixed_weights():
                self.calibrate(recommender)
                ranks, _ = evaluate(recommender, self.selection, self.decoding, max(CUTOFFS), self.accelerator, advance)
            metric = self.contract.selection
            return self.request.parts.scores(metric, ranks.per_user(metric), self.selection.users)

        return validate

    def calibrate(self, recommender: Recommender) -> None:
        """On the users that select; all processes take what the main one chose."""
        recommender.calibrate(self.selection, self.decoding, self.contract.selection)
        if self.accelerator.num_processes > 1:
            for chosen in recommender.buffers():
                broadcast(chosen)

    def snapshots(self, job: Job) -> tuple[Backbone, ...]:
        """The recommender's backbone as it was after the parts of the stage that were asked for."""
        copies = []
        for part in job.stage.snapshots:
            _, weights = ranks.shared(functools.partial(checkpoint.load, snapshot_path(job, part)))
            model = job.recommender.backbone.copied()
            load_trained_state(model, weights)
            copies.append(model)
        return tuple(copies)

    def rewrite_log(self, stage: Stage, state: TrainingState) -> None:
        """``log.jsonl`` anew from the curves of this stage and those before it."""
        self.logged += [curves.line(stage.name, point) for point in state.curve]
        if self.accelerator.is_main_process:
            curves.rewrite(self.partial, self.logged)

    def ranked(
        self, recommender: Recommender, name: str, targets: Targets, candidates: Mask | None = None
    ) -> tuple[Ranks, bool]:
        """A reading of test targets: of all once, and of those of one kind among the items of that kind."""
        with self.display.bar(f"{self.request.run.title}: {name}", len(targets)) as bar:
            k, at = max(CUTOFFS), self.accelerator
            return evaluate(recommender, targets, self.decoding, k, at, bar.advance, candidates)

    def save(self, recommender: Recommender) -> None:
        """Model and tokenizer as Transformers loads them, the head it lacks, identifiers, what the scheme keeps."""
        ids, contract = recommender.ids, self.contract
        config = backbone.export_config(recommender.backbone, ids.vocabulary, contract.training, contract.history)
        with store.writable(self.partial):
            backbone.save(recommender.backbone, self.partial)
            saved_head.save(recommender, self.partial)
            ids.vocabulary.tokenizer.save(str(self.partial / "tokenizer.json"))
            self.scheme.save_state(self.partial)
        storage.save(ids, self.partial / IDS, {})
        exchange.write(ids, self.split.train.items, self.partial / TABLE, self.first)
        store.write_json(self.partial / "config.json", config)
        store.write_json(self.partial / "tokenizer_config.json", backbone.export_tokenizer_config(ids.vocabulary))
