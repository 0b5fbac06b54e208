"""One identifier scheme through its stages: its identifiers are made, the recommender is trained, test is read once."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast

from bench.data.dataset import Report
from bench.data.splits import Split, Targets
from bench.errors import BenchError
from bench.evaluation.cost import Stopwatch
from bench.evaluation.metrics import CUTOFFS, Ranks
from bench.evaluation.ranking import evaluate
from bench.evaluation.warm_cold import Mask, by_kind, is_warm
from bench.ids import diagnostics, exchange, storage
from bench.ids.scheme import Ids, IdScheme, Stage, Trained
from bench.model import huggingface
from bench.model.numbers import redraw_numbers
from bench.model.recommender import Recommender, recommender_for
from bench.model.t5 import T5
from bench.runs import curves, saved_head, store
from bench.runs.fitting import decoding_of, fitted, language, told
from bench.runs.progress import Bar, Display
from bench.runs.record import Outcome
from bench.runs.request import Request
from bench.runs.saved import IDS, WEIGHTS, checksum
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState
from bench.training.loop import Job, seed_everything, snapshot_path, train


class SchemeRun:
    """One identifier scheme through its stages: fit, train, rank."""

    seconds_between: float = 0.0  # that the scheme took for what it does between stages

    def __init__(
        self,
        request: Request,
        scheme: IdScheme,
        split: Split,
        partial: Path,
        display: Display,
        accelerator: Accelerator,
    ) -> None:
        self.request, self.scheme, self.partial = request, scheme, partial
        self.display, self.accelerator, self.contract = display, accelerator, request.contract
        self.logged: list[str] = []
        contract = request.contract
        self.split = replace(split, train=replace(split.train, language=language(contract)))
        self.selection, self.held_out = split.validation.parted(contract.validation_users, request.seed)
        self.decoding = decoding_of(contract)

    def outcome(self) -> Outcome:
        with self.accelerator.main_process_first():
            request, view = self.request, self.request.view(self.split.train)
            for warning in request.warnings:
                self.display.say(f"{request.cell.title}: {warning}")
            ids, notes = fitted(self.scheme, view, request.results, request.cell.title, self.display)
        best, done = self.trained(ids)
        self.first = ids
        watch = Stopwatch()
        ranks, complete = self.ranked(best.recommender, "test", self.split.test)
        inference = 1000 * watch.seconds / len(self.split.test)
        warm = is_warm(self.split.train.sequences, len(self.split.train.items))
        kinds = by_kind(self.split.test, warm, (ranks, complete), functools.partial(self.ranked, best.recommender))
        if self.accelerator.is_main_process:
            self.save(best.recommender)
        costs: dict[str, float | None] = {
            "parameters": float(sum(parameter.numel() for parameter in best.recommender.parameters())),
            "fit_seconds": notes["fit_seconds"],
            "train_seconds": sum(state.seconds for _, state in done) + self.seconds_between,
            "inference_seconds_per_1000_users": inference,
        }
        described = diagnostics.figures(best.recommender.ids, self.split.test.items) | best.recommender.calibrated()
        if ids.variants > 1:
            described["drift"] = diagnostics.drift(ids)
        remarks = [*request.warnings, *self.scheme.remarks(view)]
        if remarks:
            described["remarks"] = remarks
        return Outcome(ranks, complete, costs, described, self.summary(best, done), kinds)

    def summary(self, best: Trained, done: Sequence[tuple[Stage, TrainingState]]) -> dict[str, Any]:
        """What is stored of the training: of the stage that was tested, in all, and of every stage."""
        return {
            "steps": sum(state.step for _, state in done),
            "epochs": sum(state.epoch for _, state in done),
            "best_step": done[best.number][1].best_step,
            "best_validation": best.validation,
            "selection": self.contract.selection,
            "tested": done[best.number][0].name,
            "stages": [stage_summary(stage, state) for stage, state in done],
            "curve": [{"stage": stage.name, **point} for stage, state in done for point in state.curve],
        }

    def trained(self, ids: Ids) -> tuple[Trained, list[tuple[Stage, TrainingState]]]:
        """Drive the scheme's stages; those that are finished are replayed from their checkpoints. What is to be tested,
        and how every stage ended.
        """
        kept, spared = self.request.results / "cache", list[float]()
        view = replace(self.request.view(self.split.train), cache=kept, spared=spared, report=self.between)
        stages, done = self.scheme.stages(view, ids), list[tuple[Stage, TrainingState]]()
        trained: Trained | None = None
        while isinstance(stage := self.next_stage(stages, trained), Stage):
            before = sum(earlier.share for earlier, _ in done)
            shares = before + stage.share
            if shares > 1 + 1e-9:
                raise BenchError(
                    f"the stages of {self.scheme.name} ask for {shares:.2f} of the training budget by '{stage.name}'; "
                    "their shares must sum to 1 at most"
                )
            trained, state = self.train_stage(stage, self.start(stage, trained), len(done), before)
            done.append((replace(stage, start=None, learner=None), state))
        self.seconds_between += sum(spared)
        if trained is None:
            raise BenchError(f"the stages of {self.scheme.name} are none; at least one must be yielded")
        return stage.value or trained, done

    def next_stage(self, stages: Generator[Stage, Any, Any], trained: Trained | None) -> Stage | StopIteration:
        """What the scheme does until its next stage: first the main process, from whose cache the others read. The end
        of the stages is returned, for whoever raises it in here leaves the others waiting.
        """
        with (
            self.accelerator.main_process_first(),
            self.display.bar(f"{self.request.cell.title}: between stages", 1) as self.bar,
        ):
            watch = Stopwatch()
            try:
                return stages.send(trained)
            except StopIteration as end:
                return end
            finally:
                self.seconds_between += watch.seconds

    def between(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """How far the scheme is with what it does between stages."""
        told(self.bar)(done, total, figures)

    def start(self, stage: Stage, before: Trained | None) -> T5:
        """The T5 that a stage trains: a copy, so that what earlier stages came to stays as it was."""
        start = stage.start or (before.recommender.t5 if before else None)
        t5 = self.first_t5(stage.ids) if start is None else copy.deepcopy(start).requires_grad_()
        if before is None and self.contract.reinitialise == "numbers":
            redraw_numbers(t5, stage.ids.vocabulary, self.request.seed)
        if self.contract.whole_words:
            t5.grow_whole_words(self.contract.max_history + 1)
        return t5

    def first_t5(self, ids: Ids) -> T5:
        seed_everything(self.request.seed, 0, 0)
        backbone, dropout = self.contract.backbone, self.contract.dropout
        if huggingface.is_scratch(backbone):
            return T5(huggingface.scratch_config(backbone, ids.vocabulary.size, dropout))
        pretrained = huggingface.load(huggingface.locate(backbone), dropout)
        if pretrained.whole_words is not None and not self.contract.whole_words:
            raise BenchError(
                f"backbone '{backbone}' was trained with whole-word embeddings, which this contract leaves out; "
                "use them with --set whole_words=true, or give another backbone"
            )
        if ids.vocabulary.language_model:
            return pretrained
        return huggingface.with_new_vocabulary(pretrained, ids.vocabulary.size)

    def train_stage(self, stage: Stage, t5: T5, number: int, before: float) -> tuple[Trained, TrainingState]:
        """Train a stage, validating on a sample of users by decoding; earlier ones had ``before`` of the budget."""
        contract = self.contract
        seed_everything(self.request.seed, 0, 1 + number)  # a head may begin with random weights
        recommender = recommender_for(stage.ids, t5, contract.max_tokens, contract.objective, contract.prompts)
        if stage.learner is not None:
            recommender = stage.learner(recommender)
        path = self.partial / f"stage-{number}-{identity(stage, recommender)}.safetensors"
        if path.exists():
            self.display.say(f"{self.request.cell.title}: going on where it was stopped")
        with self.display.bar(f"{self.request.cell.title}: {stage.name}", 1) as bar:
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
                report=self.reporter(stage, bar),
                accelerator=self.accelerator,
            )
            state = train(job)
        if not stage.select:
            self.calibrate(recommender)
        self.rewrite_log(stage, state)
        validation = state.best if stage.select else None
        return Trained(recommender, validation, self.snapshots(job), number), state

    def reporter(self, stage: Stage, bar: Bar) -> Report:
        """What a stage's training tells its figures."""
        return curves.reporter(self.partial, stage.name, bar, self.accelerator.is_main_process)

    def validator(self, recommender: Recommender, bar: Bar) -> Callable[[], float]:
        """The selection metric on the users that select, by decoding."""

        def validate() -> float:
            done = 0

            def advance(users: int) -> None:
                nonlocal done
                done = min(done + users, len(self.selection))
                bar.at(bar.done, f"validating: {done:,} of {len(self.selection):,} users")

            self.calibrate(recommender)
            ranks, _ = evaluate(recommender, self.selection, self.decoding, max(CUTOFFS), self.accelerator, advance)
            return float(ranks.per_user(self.contract.selection).mean())

        return validate

    def calibrate(self, recommender: Recommender) -> None:
        """On the users that select; all processes take what the main one chose."""
        recommender.calibrate(self.selection, self.decoding, self.contract.selection)
        if self.accelerator.num_processes > 1:
            for chosen in recommender.buffers():
                broadcast(chosen)

    def snapshots(self, job: Job) -> tuple[T5, ...]:
        """The recommender's T5 as it was after the parts of the stage that were asked for."""
        self.accelerator.wait_for_everyone()
        copies = []
        for part in job.stage.snapshots:
            _, weights = checkpoint.load(snapshot_path(job, part))
            t5 = copy.deepcopy(job.recommender.t5)
            t5.load_state_dict(weights)
            copies.append(t5)
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
        with self.display.bar(f"{self.request.cell.title}: {name}", len(targets)) as bar:
            slots, at = max(CUTOFFS), self.accelerator
            return evaluate(recommender, targets, self.decoding, slots, at, bar.advance, candidates)

    def save(self, recommender: Recommender) -> None:
        """Model and tokenizer as Transformers loads them, the head it lacks, identifiers, what the scheme keeps."""
        ids = recommender.ids
        config = huggingface.export_config(recommender.t5.config, ids.vocabulary.pad, ids.vocabulary.eos)
        with store.writable(self.partial):
            huggingface.save_weights(recommender.t5, self.partial)
            saved_head.save(recommender, self.partial)
            ids.vocabulary.tokenizer.save(str(self.partial / "tokenizer.json"))
            self.scheme.keep(self.partial)
        storage.save(ids, self.partial / IDS, {})
        exchange.write(ids, self.split.train.items, self.partial / "ids.parquet", self.first)
        store.write_json(self.partial / "config.json", config | {WEIGHTS: checksum(self.partial)})
        store.write_json(self.partial / "tokenizer_config.json", huggingface.export_tokenizer_config(ids.vocabulary))


def stage_summary(stage: Stage, state: TrainingState) -> dict[str, Any]:
    """How a stage ended, and what its mixture of variants noted."""
    return {
        "name": stage.name,
        "share": stage.share,
        "steps": state.step,
        "best_validation": state.best if stage.select else None,
        "mixture": state.memory,
    }


def identity(stage: Stage, recommender: Recommender) -> str:
    """What a checkpoint belongs to: the stage, its identifiers and all weights it starts from. 12 hex digits."""
    config = recommender.t5.config
    plan = (stage.name, stage.share, stage.rate, stage.select, stage.snapshots, stage.ids.template, config)
    held, facts = storage.parts(stage.ids)
    digest = hashlib.sha256(repr((plan, facts)).encode())
    digest.update(stage.ids.vocabulary.fingerprint.encode())
    weights = (parameter.detach().cpu().numpy() for parameter in recommender.parameters())
    for array in (*held.values(), *weights):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
