"""One identifier scheme through its stages: its identifiers are made, the recommender is trained, test is read once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from safetensors.torch import save_file

from bench.data.dataset import TrainView
from bench.data.splits import Split
from bench.errors import BenchError
from bench.evaluation.cost import Stopwatch
from bench.evaluation.metrics import CUTOFFS, Ranks, per_user
from bench.evaluation.ranking import evaluate
from bench.ids import diagnostics, plugins, storage
from bench.ids.scheme import Ids, IdScheme, Stage
from bench.ids.vocabulary import Vocabulary
from bench.model import huggingface
from bench.model.beam import Scoring
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.model.t5 import T5
from bench.runs import store
from bench.runs.progress import Bar, Display
from bench.runs.record import Outcome
from bench.runs.request import Request
from bench.training.checkpoint import TrainingState
from bench.training.loop import Job, seed_everything, train


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
        self.backbone = None if huggingface.is_scratch(contract.backbone) else huggingface.locate(contract.backbone)
        self.split = replace(split, train=replace(split.train, language=self._language()))
        self.decoding = Decoding(
            contract.decoder,
            contract.beam_width,
            Scoring(contract.normalise, contract.length_penalty),
            contract.exclude_history,
        )

    def _language(self) -> Vocabulary | None:
        if self.backbone is None:
            return None
        self.pretrained = huggingface.load(self.backbone, self.contract.dropout)
        return Vocabulary.of_language_model(self.backbone, self.pretrained.config.vocabulary)

    def outcome(self) -> Outcome:
        ids, notes = self.fitted()
        recommender, states = self.trained(ids)
        watch = Stopwatch()
        ranks, complete = self.test(recommender)
        inference = 1000 * watch.seconds / len(self.split.test)
        if self.accelerator.is_main_process:
            self.save(recommender)
        costs: dict[str, float | None] = {
            "parameters": float(sum(parameter.numel() for parameter in recommender.parameters())),
            "fit_seconds": notes["fit_seconds"],
            "train_seconds": sum(state.seconds for state in states),
            "inference_seconds_per_1000_users": inference,
        }
        last = states[-1]
        training = {
            "steps": sum(state.step for state in states),
            "epochs": sum(state.epoch for state in states),
            "best_step": last.best_step,
            "best_validation": last.best,
            "selection": self.contract.selection,
            "curve": [point for state in states for point in state.curve],
        }
        return Outcome(ranks, complete, costs, diagnostics.figures(recommender.ids, self.split.test.items), training)

    def fitted(self) -> tuple[Ids, dict[str, float]]:
        """The scheme's identifiers, from the cache where the same scheme was fitted on the same view before."""
        view = self.request.view(self.split.train)
        path = self.request.results / "cache" / "ids" / f"{fit_key(self.scheme, view)}.safetensors"
        with self.accelerator.main_process_first():
            if path.exists():
                return storage.load(path)
            self.display.say(f"{self.request.cell.title}: making identifiers for {len(view.items):,} items")
            watch = Stopwatch()
            ids = self.scheme.fit(view)
            if not isinstance(ids, Ids):
                raise BenchError(f"fit of {self.scheme.name} returned {type(ids).__name__}; it must return TokenIds")
            if len(ids) != len(view.items):
                raise BenchError(
                    f"{self.scheme.name} made {len(ids)} identifiers for {len(view.items)} items; "
                    "fit must return one for each item, in catalogue order"
                )
            notes = {"fit_seconds": watch.seconds}
            storage.save(ids, path, notes)
            return ids, notes

    def trained(self, ids: Ids) -> tuple[Recommender, list[TrainingState]]:
        """Drive the scheme's stages; those that are finished are replayed from their checkpoints."""
        stages, states = self.scheme.stages(self.split.train, ids), list[TrainingState]()
        stage, recommender, shares = next(stages), None, 0.0
        while True:
            t5 = self.first_t5(stage.ids) if recommender is None else recommender.t5
            recommender = recommender_for(stage.ids, t5, self.contract.max_tokens, self.contract.objective)
            shares += stage.share
            if shares > 1 + 1e-9:
                raise BenchError(
                    f"the stages of {self.scheme.name} ask for {shares:.2f} of the training budget by '{stage.name}'; "
                    "their shares must sum to 1 at most"
                )
            states.append(self.train_stage(stage, recommender, len(states)))
            try:
                stage = stages.send(recommender)
            except StopIteration:
                return recommender, states

    def first_t5(self, ids: Ids) -> T5:
        seed_everything(self.request.seed, 0, 0)
        if self.backbone is None:
            config = huggingface.scratch_config(self.contract.backbone, ids.vocabulary.size, self.contract.dropout)
            return T5(config)
        if ids.vocabulary.language_model:
            return self.pretrained
        return huggingface.with_new_vocabulary(self.pretrained, ids.vocabulary.size)

    def train_stage(self, stage: Stage, recommender: Recommender, number: int) -> TrainingState:
        """Train one stage, validating on a fixed sample of users by decoding."""
        sample = self.split.validation.sample(self.contract.validation_users, self.request.seed)

        def validate() -> float:
            done = 0

            def advance(users: int) -> None:
                nonlocal done
                done = min(done + users, len(sample))
                bar.at(bar.done, f"validating: {done:,} of {len(sample):,} users")

            ranks, _ = evaluate(recommender, sample, self.decoding, max(CUTOFFS), self.accelerator, advance)
            return float(per_user(ranks.strict, self.contract.selection).mean())

        path = self.partial / f"stage-{number}-{identity(stage, recommender.t5)}.safetensors"
        if path.exists():
            self.display.say(f"{self.request.cell.title}: going on where it was stopped")
        with self.display.bar(f"{self.request.cell.title}: {stage.name}", 1) as bar:
            state = train(
                Job(
                    recommender=recommender,
                    sequences=self.split.train.sequences,
                    contract=self.contract,
                    seed=self.request.seed,
                    validate=validate,
                    path=path,
                    share=stage.share,
                    report=self.reporter(stage, bar),
                    accelerator=self.accelerator,
                )
            )
        self.rewrite_log(stage, state)
        return state

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
            bar.at(step, "  ".join(f"{name} {value:.4f}" for name, value in shown.items()))
            if figures and self.accelerator.is_main_process:
                with store.writable(log), log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"stage": stage.name, "step": step, **figures}) + "\n")

        return report

    def test(self, recommender: Recommender) -> tuple[Ranks, bool]:
        """The one reading of the test targets."""
        with self.display.bar(f"{self.request.cell.title}: test", len(self.split.test)) as bar:
            return evaluate(recommender, self.split.test, self.decoding, max(CUTOFFS), self.accelerator, bar.advance)

    def save(self, recommender: Recommender) -> None:
        """The trained model as Transformers loads it, and the identifiers it writes."""
        config = huggingface.export_config(
            recommender.t5.config, recommender.ids.vocabulary.pad, recommender.ids.vocabulary.eos
        )
        with store.writable(self.partial):
            save_file(huggingface.export_weights(recommender.t5), self.partial / "model.safetensors", {"format": "pt"})
            recommender.ids.vocabulary.tokenizer.save(str(self.partial / "tokenizer.json"))
            storage.table(recommender.ids, self.split.train.items).to_parquet(self.partial / "ids.parquet", index=False)
        store.write_json(self.partial / "config.json", config)


def fit_key(scheme: IdScheme, train: TrainView) -> str:
    """What fitted identifiers depend on: scheme, version, settings, source, libraries, and the training view."""
    libraries = [f"{name} {version(name)}" for name in ("bench", "numpy", "scipy", "tokenizers", "scikit-learn")]
    settings = json.dumps(asdict(scheme.settings))
    sources = [plugins.source_digest(type(scheme)), plugins.source_digest(IdScheme)]
    parts = [scheme.name, str(scheme.version), settings, train.fingerprint, *sources, *libraries]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def identity(stage: Stage, t5: T5) -> str:
    """What a checkpoint belongs to: the stage's identifiers and the weights it starts from. 12 hex digits."""
    digest = hashlib.sha256(f"{stage.name} {stage.share} {stage.ids.template} {t5.config}".encode())
    digest.update(stage.ids.vocabulary.fingerprint.encode())
    arrays = [stage.ids.tokens, stage.ids.lengths, *(p.detach().cpu().numpy() for p in t5.parameters())]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
