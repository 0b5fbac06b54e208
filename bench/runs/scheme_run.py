"""One identifier scheme through its stages: its identifiers are made, the recommender is trained, test is read once."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast

from bench.data.splits import Split
from bench.errors import BenchError
from bench.evaluation.cost import Stopwatch
from bench.evaluation.metrics import CUTOFFS, Ranks, per_user
from bench.evaluation.ranking import evaluate
from bench.ids import diagnostics, storage
from bench.ids.scheme import Ids, IdScheme, Stage, Trained
from bench.model import huggingface
from bench.model.beam import Scoring
from bench.model.numbers import redraw_numbers
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.model.t5 import T5
from bench.runs import saved_head, store
from bench.runs.fitting import fitted, in_words, language
from bench.runs.progress import Bar, Display
from bench.runs.record import Outcome
from bench.runs.request import Request
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState
from bench.training.loop import Job, seed_everything, snapshot_path, train


class SchemeRun:
    """One identifier scheme through its stages: fit, train, rank."""

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
        self.decoding = Decoding(
            contract.decoder,
            contract.beam_width,
            Scoring(contract.normalise, contract.length_penalty),
            contract.exclude_history,
        )

    def outcome(self) -> Outcome:
        with self.accelerator.main_process_first():
            request, view = self.request, self.request.view(self.split.train)
            ids, notes = fitted(self.scheme, view, request.results, request.cell.title, self.display)
        best, done = self.trained(ids)
        watch = Stopwatch()
        ranks, complete = self.test(best.recommender)
        inference = 1000 * watch.seconds / len(self.split.test)
        if self.accelerator.is_main_process:
            self.save(best.recommender)
        costs: dict[str, float | None] = {
            "parameters": float(sum(parameter.numel() for parameter in best.recommender.parameters())),
            "fit_seconds": notes["fit_seconds"],
            "train_seconds": sum(state.seconds for _, state in done),
            "inference_seconds_per_1000_users": inference,
        }
        described = diagnostics.figures(best.recommender.ids, self.split.test.items) | best.recommender.calibrated()
        if ids.variants > 1:
            described["drift"] = diagnostics.drift(ids)
        return Outcome(ranks, complete, costs, described, self.summary(best, done))

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
        stages, done = self.scheme.stages(self.split.train, ids), list[tuple[Stage, TrainingState]]()
        stage, trained = next(stages), None
        while True:
            shares = stage.share + sum(earlier.share for earlier, _ in done)
            if shares > 1 + 1e-9:
                raise BenchError(
                    f"the stages of {self.scheme.name} ask for {shares:.2f} of the training budget by '{stage.name}'; "
                    "their shares must sum to 1 at most"
                )
            trained, state = self.train_stage(stage, self.start(stage, trained), len(done))
            done.append((replace(stage, start=None), state))
            try:
                stage = stages.send(trained)
            except StopIteration as end:
                return end.value or trained, done

    def start(self, stage: Stage, before: Trained | None) -> T5:
        """The T5 that a stage trains: a copy, so that what earlier stages came to stays as it was."""
        start = stage.start or (before.recommender.t5 if before else None)
        t5 = self.first_t5(stage.ids) if start is None else copy.deepcopy(start)
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

    def train_stage(self, stage: Stage, t5: T5, number: int) -> tuple[Trained, TrainingState]:
        """Train one stage, validating on a fixed sample of users by decoding."""
        contract = self.contract
        seed_everything(self.request.seed, 0, 1 + number)  # a head may begin with random weights
        recommender = recommender_for(stage.ids, t5, contract.max_tokens, contract.objective, contract.prompts)
        path = self.partial / f"stage-{number}-{identity(stage, t5)}.safetensors"
        if path.exists():
            self.display.say(f"{self.request.cell.title}: going on where it was stopped")
        with self.display.bar(f"{self.request.cell.title}: {stage.name}", 1) as bar:
            job = Job(
                recommender=recommender,
                sequences=self.split.train.sequences,
                contract=contract,
                seed=self.request.seed,
                stage=stage,
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
            return float(per_user(ranks.strict, self.contract.selection).mean())

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
        """``log.jsonl`` anew from the curves: steps that a killed process had done since its checkpoint are in it
        twice.
        """
        self.logged += [json.dumps({"stage": stage.name, **point}) + "\n" for point in state.curve]
        if self.accelerator.is_main_process:
            log = self.partial / "log.jsonl"
            with store.writable(log):
                log.write_text("".join(self.logged), encoding="utf-8")

    def reporter(self, stage: Stage, bar: Bar) -> Callable[[int, int, Mapping[str, float]], None]:
        """Shows the newest figures behind the bar and appends them to ``log.jsonl``."""
        shown: dict[str, float] = {}
        log = self.partial / "log.jsonl"

        def report(step: int, total: int, figures: Mapping[str, float]) -> None:
            shown.update(figures)
            bar.total = total
            bar.at(step, in_words(shown))
            if figures and self.accelerator.is_main_process:
                with store.writable(log), log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"stage": stage.name, "step": step, **figures}) + "\n")

        return report

    def test(self, recommender: Recommender) -> tuple[Ranks, bool]:
        """The one reading of the test targets."""
        with self.display.bar(f"{self.request.cell.title}: test", len(self.split.test)) as bar:
            return evaluate(recommender, self.split.test, self.decoding, max(CUTOFFS), self.accelerator, bar.advance)

    def save(self, recommender: Recommender) -> None:
        """The trained model as Transformers loads it, the head that it lacks, and the identifiers."""
        config = huggingface.export_config(
            recommender.t5.config, recommender.ids.vocabulary.pad, recommender.ids.vocabulary.eos
        )
        with store.writable(self.partial):
            huggingface.save_weights(recommender.t5, self.partial)
            saved_head.save(recommender, self.partial)
            recommender.ids.vocabulary.tokenizer.save(str(self.partial / "tokenizer.json"))
            storage.table(recommender.ids, self.split.train.items).to_parquet(self.partial / "ids.parquet", index=False)
        store.write_json(self.partial / "config.json", config)


def stage_summary(stage: Stage, state: TrainingState) -> dict[str, Any]:
    """How a stage ended, and what its mixture of variants noted."""
    return {
        "name": stage.name,
        "share": stage.share,
        "steps": state.step,
        "best_validation": state.best if stage.select else None,
        "mixture": state.memory,
    }


def identity(stage: Stage, t5: T5) -> str:
    """What a checkpoint belongs to: the stage, its identifiers and the weights it starts from. 12 hex digits."""
    plan = (stage.name, stage.share, stage.rate, stage.select, stage.snapshots, stage.ids.template, t5.config)
    held, facts = storage.parts(stage.ids)
    digest = hashlib.sha256(repr((plan, facts)).encode())
    digest.update(stage.ids.vocabulary.fingerprint.encode())
    for array in (*held.values(), *(p.detach().cpu().numpy() for p in t5.parameters())):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
