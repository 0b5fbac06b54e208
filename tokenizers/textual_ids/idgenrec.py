"""``textual/idgenrec``: a language model reads an item's text, writes a short name, and learns from the recommender
which names help (IDGenRec, Tan et al., 2024).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench import backbone, devices
from bench.backbone.protocol import trained_state
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Ids, Template, TokenIds
from bench.ids.limits import CatalogueSize, Needs, token_bytes
from bench.ids.prompts import NEUTRAL, SEPARATOR
from bench.ids.scheme import IdScheme, Stage, Trained
from bench.ids.text import require_text
from bench.ids.users import UserIds
from bench.model.recommender import Recommender
from bench.training import checkpoint
from bench.training.cost import Stopwatch
from textual_ids.assigning import assign, levels
from textual_ids.diverse import Search
from textual_ids.generator import Writer
from textual_ids.generators import cache_path, content_key, first_writer, kept_writer
from textual_ids.learner import GeneratorLearner
from textual_ids.reading import read_tokens
from textual_ids.salience import unwritable
from textual_ids.unwritten import refuse_unwritten

GENERATOR = "generator.safetensors"
PUBLISHED = "names of users as the published code writes them, test items included, are textual/idgenrec-user-leak"
READING, NAMING = 1.5e-3, 3e-2  # seconds of a core for a text in bootstrapping, and for its name among ten candidates
BOOTSTRAP = ("vocabulary", "words", "min_shared", "bootstrap_epochs", "bootstrap_batch", "bootstrap_rate")


@dataclass(frozen=True)
class IdGenRecSettings:
    """The generator, how it names items, and how it is trained.

    ``generator`` is a size to start from scratch (such as mini, or a ``config.json``), or a checkpoint: a folder or a
    name on the Hugging Face hub, such as the paper's nandakishormpai/t5-small-machine-articles-tag-generation. From
    scratch it reads lower-case words and learns, in ``bootstrap_epochs`` over the catalogue, to write each item's
    ``words`` most salient words; a checkpoint reads the text as it stands and is used as it is, so what is said of
    ``BOOTSTRAP`` is refused with one.

    Names are found among ``candidates`` of a diverse beam search, for ``lengths`` times nine levels at most. The budget
    is parted into ``rounds`` with a stage of the generator, each ``generator_share`` of its steps, and stages of the
    recommender, which share the rest equally; ``first`` says which begins. Rates multiply the contract's learning rate.

    With ``users`` on, the generator names every user as it names items, reading the names of the user's training items;
    every input of the recommender whose user is known then begins with that name, whatever is trained or ranked.
    """

    generator: str = "mini"
    max_text: int = 256  # tokens that the generator reads of an item
    candidates: int = 10
    lengths: int = 3
    vocabulary: int = 6000  # rows of the subword vocabulary where generator and backbone start from scratch
    words: int = 4
    min_shared: int = 5  # items that must have a word before its rarity counts for it
    bootstrap_epochs: int = 12
    bootstrap_batch: int = 128
    bootstrap_rate: float = 3e-3
    first: Literal["recommender", "generator"] = "recommender"
    rounds: int = 1
    generator_share: float = 0.03
    generator_rate: float = 0.03
    recommender_rate: float = 1.0
    max_history: int = 10  # newest items that the generator names in its own stage
    users: Literal["off", "on"] = field(default="off", metadata={"hint": PUBLISHED})

    def __post_init__(self) -> None:
        counts = ("candidates", "lengths", "rounds", "max_history", *BOOTSTRAP)
        for name, least in (*((name, 1) for name in counts if name != "bootstrap_rate"), ("max_text", 2)):
            if getattr(self, name) < least:
                raise BenchError(f"setting '{name}' must be {least} or more; got {getattr(self, name)}")
        for name in ("bootstrap_rate", "generator_rate", "recommender_rate", "generator_share"):
            if not getattr(self, name) > 0:
                raise BenchError(f"setting '{name}' must be above 0; got {getattr(self, name)}")
        if self.rounds * self.generator_share >= 1:
            raise BenchError(
                f"{self.rounds} rounds of generator_share={self.generator_share} leave nothing of the training budget "
                "to the recommender; lower one of them"
            )
        changed = [setting.name for setting in fields(self) if getattr(self, setting.name) != setting.default]
        if not backbone.is_scratch(self.generator) and (useless := set(changed) & set(BOOTSTRAP)):
            raise BenchError(
                f"setting '{min(useless)}' is for a generator that starts from scratch; '{self.generator}' is a "
                "checkpoint, which is used as it is: leave the setting out"
            )

    @property
    def recommender_share(self) -> float:
        """Of the budget, for each stage of the recommender."""
        return (1 - self.rounds * self.generator_share) / (self.rounds + (self.first == "recommender"))


class IdGenRec(IdScheme):
    """Words that a generator writes for each item (IDGenRec): recommender and generator are trained in turn.

    After each stage of the generator every item is named anew.

    Only the last stage looks at validation: a recommender chosen by it would pass what it saw on to the names.
    """

    name = "textual/idgenrec"
    version = 2
    supports_transfer = True
    Settings: ClassVar[type[Any]] = IdGenRecSettings
    writer: Writer | None = None  # as the stages have left it

    def validate_items(self, items: ItemTable) -> None:
        require_text(items, "textual identifiers")

    def needs(self, size: CatalogueSize) -> Needs:
        """By the texts that are read and the names that are written, once in ``fit`` and once in each round."""
        plan = self.settings
        scratch = backbone.is_scratch(plan.generator)
        naming = NAMING * plan.candidates / 10 * (1 + plan.rounds) * (1 if scratch else 10)
        taught = READING * plan.bootstrap_epochs if scratch else 0.0
        hint = "use textual/title, which learns nothing, or semantic/rqkmeans"
        return Needs(token_bytes(size, 8) + 6000.0 * size.items, (naming + taught) * size.items, hint)

    def warnings(self, train: TrainView) -> Sequence[str]:
        return unwritable(train.items, train.language)

    def fit(self, train: TrainView) -> Ids:
        self.writer = first_writer(self.settings, train)
        if train.language is not None:
            refuse_unwritten(self.name, train.items, train.language)
        return self.named(train, self.writer)

    def save_state(self, folder: Path) -> None:
        """The generator that has named the items of the tested recommender, for ``transfer``."""
        if self.writer is not None:
            checkpoint.save(folder / GENERATOR, checkpoint.TrainingState(), trained_state(self.writer.model))

    def transfer(self, trained: Recommender, target: TrainView, kept: Path) -> Ids:
        """An unseen catalogue is named by the trained generator, which reads its text as it read that of training."""
        return self.named(target, kept_writer(self.settings, target, trained.ids.vocabulary, kept / GENERATOR))

    def cache_key(self) -> str:
        return backbone.content_digest(self.settings.generator, "generator")

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        plan = self.settings
        share = plan.recommender_share
        if plan.first == "recommender":
            yield Stage(ids, "recommender", budget_fraction=share, lr_scale=plan.recommender_rate, use_validation=False)
        writer = self.writer = self.first(train)
        for number in range(1, plan.rounds + 1):
            writer = self.writer = yield from self.taught(writer, ids, f"generator {number}", plan.generator_share)
            ids = self.named(train, writer)
            last = number == plan.rounds
            yield Stage(
                ids, f"recommender {number}", budget_fraction=share, lr_scale=plan.recommender_rate, use_validation=last
            )
        return None

    def first(self, train: TrainView) -> Writer:
        """The generator as ``fit`` has left it, whose seconds are counted there."""
        return first_writer(self.settings, replace(train, cached_seconds=[], own_training={}))

    def taught(self, writer: Writer, ids: Ids, name: str, share: float) -> Generator[Stage, Trained, Writer]:
        """A stage of the generator: what it came to."""
        plan, max_length = self.settings, levels(1, 1)[0].max_length - 1

        def learner(recommender: Recommender) -> GeneratorLearner:
            return GeneratorLearner(recommender, writer, plan.max_history, max_length)

        trained = yield Stage(
            ids, name, budget_fraction=share, lr_scale=plan.generator_rate, wrap_model=learner, use_validation=False
        )
        assert isinstance(trained.recommender, GeneratorLearner)
        return Writer(trained.recommender.generator, writer.vocabulary, writer.sources)

    def named(self, train: TrainView, writer: Writer) -> TokenIds:
        """Every item named by the generator and, where it is asked to, every user; there is none in a catalogue that is
        not trained on.
        """
        ids = self.written(train, writer)
        if self.settings.users == "off" or not len(train.sequences):
            return ids
        sources = read_tokens(writer.vocabulary, as_histories(ids, train.sequences), self.settings.max_text)
        found = self.written(train, replace(writer, sources=sources))
        return replace(ids, users=UserIds(found.tokens[0], found.lengths[0]))

    def written(self, train: TrainView, writer: Writer) -> TokenIds:
        """A name for each of the generator's texts."""
        return train.share(lambda: self.kept_names(train, writer))

    def kept_names(self, train: TrainView, writer: Writer) -> TokenIds:
        """From the cache where it has named them before."""
        plan, vocabulary = self.settings, writer.vocabulary
        searches = levels(plan.lengths, plan.candidates)
        weights = (tensor.cpu().numpy().tobytes() for tensor in writer.model.state_dict().values())
        key = content_key(
            writer.model.signature,
            repr(writer.sources),
            repr(searches),
            vocabulary.fingerprint,
            *weights,
            *devices.key(train.device),
        )
        path = cache_path(train, f"names-{key}")
        if path and path.exists():
            kept, notes = storage.load(path)
            assert isinstance(kept, TokenIds)
            train.cached_seconds.append(notes["seconds"])
            return kept
        watch = Stopwatch()

        def candidates(rows: Sequence[int], search: Search) -> list[list[str]]:
            return writer.candidates(rows, search, train.progress)

        codes = assign(numbered(writer.sources), candidates, searches, vocabulary)
        template = NEUTRAL if vocabulary.language_model else Template(separator=SEPARATOR)
        ids = TokenIds.from_lists(codes, vocabulary, template)
        if path:
            storage.save(ids, path, {"seconds": watch.seconds}, once=True)
        return ids


def as_histories(ids: TokenIds, sequences: Sequences) -> list[str]:
    """The names of every user's items, the newest last, with spaces between them; "" for a user who has none."""
    names = [ids.vocabulary.decode(ids.code(item)) for item in range(len(ids))]
    return [" ".join(names[item] for item in sequences[user]) for user in range(len(sequences))]


def numbered(texts: Sequence[Sequence[int]]) -> list[int]:
    """Each text's number: that of the first item with the same."""
    first: dict[tuple[int, ...], int] = {}
    return [first.setdefault(tuple(text), item) for item, text in enumerate(texts)]


class RecommenderOnly(IdGenRec):
    """IDGenRec's control whose first names stay; the recommender is trained in the same stages.

    The steps of the generator are added to the last, so optimizers, schedules and selection are the same, and only the
    names differ.
    """

    name = "textual/idgenrec-rec-only"

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        self.writer, plan = self.first(train), self.settings
        share, last = plan.recommender_share, f"recommender {plan.rounds}"
        names = ["recommender"] if plan.first == "recommender" else []
        for name in (*names, *(f"recommender {number}" for number in range(1, plan.rounds + 1))):
            more = plan.rounds * plan.generator_share if name == last else 0.0
            yield Stage(
                ids, name, budget_fraction=share + more, lr_scale=plan.recommender_rate, use_validation=name == last
            )
        return None


class GeneratorOnly(IdGenRec):
    """IDGenRec's control whose recommender is never trained: the whole budget goes to the generator."""

    name = "textual/idgenrec-gen-only"

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        writer = self.writer = self.first(train)
        for number in range(1, self.settings.rounds + 1):
            writer = self.writer = yield from self.taught(writer, ids, f"generator {number}", 1 / self.settings.rounds)
            ids = self.named(train, writer)
        yield Stage(ids, "recommender as it began", budget_fraction=0.0, use_validation=False)
        return None


@dataclass(frozen=True)
class UserLeakSettings(IdGenRecSettings):
    """Without users there is no leak to show."""

    users: Literal["on"] = "on"


class UserLeak(IdGenRec):
    """IDGenRec with its code's identifiers of users, which leak: written from every sequence, test item included.

    The first names of the items are those of ``textual/idgenrec``. It is kept to show what this leak is worth, beside
    ``textual/idgenrec`` with ``users=on``, and for nothing else.
    """

    name = "textual/idgenrec-user-leak"
    leaks = True
    Settings = UserLeakSettings
