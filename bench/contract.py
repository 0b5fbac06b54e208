"""The contract: everything that must be equal before two identifier schemes may be compared.

It is stored with every result, hashed into its path on disk and printed under every table. `--set key=value` changes
one line of it for all schemes of a run at once; a scheme's own settings are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_type_hints

from bench.errors import BenchError, unknown
from bench.protocol import PROTOCOL
from bench.settings import value

CUTOFFS = (1, 5, 10, 20)  # of the metrics that are reported
BUDGETS = ("epochs", "target_examples", "budget")  # the lines of which one says how long training is
UNITS = {"s": 1, "m": 60, "h": 3600}
OF_ADAPTERS = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "base_precision")
# Lines that came after results had been stored: not written where they say what was always done, so that what is stored
# stays what it is.
LATER = ("vocabulary", "adapter", *OF_ADAPTERS, "decoding_precision", "negatives")


@dataclass(frozen=True)
class Contract:
    """Data view, recommender, budget, selection and decoding. Steps are optimizer steps, epochs passes over the
    examples.
    """

    # what is read

    # leave-one-out: of each user the newest item is the test, the one before it validation; global-temporal: of all
    # interactions the oldest 80 % train, the next 10 % validate, the newest 10 % test
    split: Literal["leave-one-out", "global-temporal"] = "leave-one-out"
    max_history: int = 20  # newest items shown
    # whether the test shows the items of validation too, as all published leave-one-out systems do
    validation_in_test_history: bool = True
    missing_text: Literal["id", "refuse"] = "id"  # what stands in for the text of an item that has none
    # the order of interactions with equal time stamps (bench.data.ties)
    ties: Literal["auto", "file", "digest", "id", "drop-order", "presumed"] = "auto"

    # the recommender

    backbone: str = "mini"  # a size to start from scratch, a checkpoint folder, a hub name, or a config.json
    dropout: float = 0.1
    max_tokens: int = 512  # encoder input; the oldest items are dropped first
    whole_words: bool = False  # a learned embedding tells the encoder which history item a token belongs to
    reinitialize: Literal["none", "numbers"] = "none"  # numbers: a pretrained backbone learns number tokens anew
    # of identifiers that are no words. own: a vocabulary of their own; extended: new rows behind those of a language
    # model
    vocabulary: Literal["own", "extended"] = "own"
    adapter: Literal["none", "lora"] = "none"  # lora: low-rank changes of a frozen base are what is trained
    lora_rank: int = 8  # rank of the change of each layer
    lora_alpha: float = 16.0  # the change is multiplied by alpha / rank
    lora_dropout: float = 0.05  # of what the change reads, in training
    lora_targets: str = "q_proj,v_proj"  # which linear layers of the base are changed, in all of its blocks
    base_precision: Literal["fp32", "bf16", "int8"] = "fp32"  # of the frozen base's linear layers
    # the text around a history. neutral: one for each kind of identifier; scheme: the scheme's own; sampled: one of ten
    # for each example; unseen: trained on the ten, ranked in an eleventh
    template: Literal["neutral", "scheme", "sampled", "unseen"] = "neutral"

    # the budget

    # windows: each example on its own; shared: all targets of a user from one reading that is causal by item
    # (bench.model.packed)
    training: Literal["windows", "shared"] = "windows"
    history: Literal["tokens", "items"] = "tokens"  # what the encoder has positions for; items: under shared only
    # all: every training prefix in each epoch; one: one random prefix of each user
    examples: Literal["all", "one"] = "all"
    part_power: float = (
        1.0  # of joined data sets each is drawn by its size to this power; 1: every example, 0: all alike
    )
    # passes over the examples. Of epochs, target_examples and budget one says how long training is; the others are 0 or
    # empty
    epochs: int = 20
    target_examples: int = 0  # items to predict in all, however many an epoch has
    budget: str = ""  # processor time (90s, 30m, 2h) or training FLOPs (2e15), converted once for each row to steps
    max_steps: int = 0  # the most steps of a row; 0: no limit but the budget
    batch_size: int = 256  # targets of a step, of all processes together
    # of which tokens the probabilities in the loss sum to one. vocabulary: all; prefix: those that may follow in an
    # identifier
    objective: Literal["vocabulary", "prefix"] = "vocabulary"
    temperature: float = 1.0  # of the loss over tokens: below 1, likely wrong tokens weigh more (LETTER, section 3.3)
    # tokens that the loss tells the right one from where more may follow, drawn for each step; 0: all. For identifiers
    # with a token for each item; sets of vectors have set.negatives
    negatives: int = 0
    optimizer: Literal["adamw"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05  # part of the steps in which the learning rate rises
    weight_decay: float = 0.01  # of matrices; norms and biases are left alone
    clip_norm: float = 1.0
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"  # of training alone

    # how a step is computed: nothing beyond rounding depends on it, and what each part of a batch draws for itself

    accumulate: int = 1  # parts of a batch that a process computes one after the other
    recompute: bool = False  # activations are not kept for the gradient but computed again: less memory, more time
    compile: bool = False  # the backbone through torch.compile

    # selection, on validation alone

    selection: Literal["ndcg@10"] = "ndcg@10"  # the metric by which validation chooses a checkpoint
    validate_every: int = 1  # epochs between two validations
    validation_users: int = 1000  # users of a fixed sample, four fifths of all at most; 0: as many as that
    patience: int = 5  # validations without a better one before training ends

    # decoding

    # beam: beam search; certified: best first until nothing open could be among the best k, so that these are exact;
    # exact: every item is scored
    decoder: Literal["beam", "certified", "exact"] = "beam"
    beam_width: int = 20
    # of which tokens the probabilities in the scores sum to one. vocabulary: all; catalogue: those of any identifier;
    # prefix: those that may follow
    normalize: Literal["vocabulary", "catalogue", "prefix"] = "vocabulary"
    length_penalty: float = 0.0  # log-probability is divided by length to this power; 0: not at all
    exclude_history: bool = False  # never recommend what the user already has, whether it is shown or not
    # of products in the layers while ranking, validation included; attention, logits and scores are in float32
    decoding_precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        self._require_one_budget()
        counts = ("max_history", "batch_size", "validate_every", "patience", "beam_width", "max_tokens", "accumulate")
        for name in counts:
            _require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _require("temperature", self.temperature, self.temperature > 0, "above 0")
        _require("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        for name in ("dropout", "warmup"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("max_steps", "validation_users", "weight_decay", "clip_norm", "negatives"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        _require("part_power", self.part_power, 0 <= self.part_power <= 1, "from 0 to 1")
        _require("length_penalty", self.length_penalty, abs(self.length_penalty) <= 10, "from -10 to 10")
        _require(
            "history",
            self.history,
            self.history == "tokens" or self.training == "shared",
            "tokens where training is not shared",
        )
        self._require_adapter()
        dropped = self.ties == "drop-order"
        _require(
            "ties",
            self.ties,
            not dropped or self.split == "leave-one-out",
            "another than drop-order under split=global-temporal, which asks for no next item",
        )
        if self.decoder != "exact":
            need = max(CUTOFFS)
            _require(
                "beam_width", self.beam_width, self.beam_width >= need, f"{need} or more, since hit@{need} is reported"
            )

    def _require_adapter(self) -> None:
        _require("lora_rank", self.lora_rank, self.lora_rank >= 1, "1 or more")
        _require("lora_alpha", self.lora_alpha, self.lora_alpha > 0, "above 0")
        _require("lora_dropout", self.lora_dropout, 0 <= self.lora_dropout < 1, "at least 0 and below 1")
        defaults = {field.name: field.default for field in fields(self)}
        for name in OF_ADAPTERS if self.adapter == "none" else ():
            found = getattr(self, name)
            _require(name, found, found == defaults[name], f"{defaults[name]} where there is no adapter=lora")
        frozen = self.adapter != "none" and self.reinitialize != "none"
        _require("reinitialize", self.reinitialize, not frozen, "none under adapter=lora, whose base is frozen")

    def _require_one_budget(self) -> None:
        asked = [name for name in BUDGETS if getattr(self, name)]
        for name in ("epochs", "target_examples"):
            least = int(asked in ([], [name]))
            _require(name, getattr(self, name), getattr(self, name) >= least, f"{least} or more")
        if len(asked) != 1:
            raise BenchError(f"the budget is one of {', '.join(BUDGETS)}; got {' and '.join(asked)}")
        if self.budget:
            amount(self.budget)

    @property
    def lines(self) -> dict[str, Any]:
        """What is stored with a result and hashed into its id: the protocol, and every field but those of ``LATER``
        that say what was always done.
        """
        defaults = {field.name: field.default for field in fields(self)}
        unsaid = {"vocabulary", "decoding_precision", "negatives"} if self.adapter != "none" else set(LATER)
        found = asdict(self)
        kept = {name: value for name, value in found.items() if name not in unsaid or value != defaults[name]}
        return {"protocol": PROTOCOL, **kept}

    @property
    def id(self) -> str:
        """8 hex digits over every line."""
        return digest(self.lines)


@dataclass(frozen=True)
class Amount:
    """What may be spent on training: processor seconds, or floating-point operations of matrix products."""

    value: float
    unit: Literal["seconds", "FLOPs"]


def amount(text: str) -> Amount:
    """``90s``, ``30m`` and ``2h`` are processor time, a bare number such as ``2e15`` is FLOPs. BenchError on others."""
    unit = text[-1:].lower()
    number = text[:-1] if unit in UNITS else text
    try:
        value = float(number) * UNITS.get(unit, 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise BenchError(f"a budget is processor time such as 90s, 30m or 2h, or FLOPs such as 2e15; got '{text}'")
    return Amount(value, "seconds" if unit in UNITS else "FLOPs")


def _require(name: str, found: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise BenchError(f"setting '{name}' must be {allowed}; got {found}")


def digest(value: Mapping[str, Any]) -> str:
    """8 hex digits over a mapping of plain values, whatever its order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Preset:
    """A named contract and what it is for. One that is not ``meaningful`` only shows that everything runs."""

    contract: Contract
    purpose: str
    meaningful: bool = True


EPOCH_OF_TOYS = 109_361  # training prefixes under leave-one-out

# Eight epochs of Toys: 16 to 18 minutes of one core at the 814 to 912 examples a processor second that `mini` trains on
# there (semantic/rqkmeans, windows, fp32). Every scheme and every trained baseline has as many examples, on any data
# set. That is little, so the loss leaves out what the tree of identifiers decides anyway: on validation users of Toys,
# textual identifiers then came further in every epoch. It was not tuned for numeric ones.
_CPU = Contract(
    dropout=0.0,
    epochs=0,
    target_examples=8 * EPOCH_OF_TOYS,
    batch_size=128,
    objective="prefix",
    learning_rate=3e-3,
    validation_users=2000,
    patience=3,
    normalize="prefix",
)

PRESETS = {
    "smoke": Preset(
        replace(
            _CPU, epochs=6, target_examples=0, examples="one", batch_size=64, validation_users=200, validate_every=3
        ),
        "shows that everything runs: on MovieLens-100k in minutes on two cores; its scores mean nothing",
        meaningful=False,
    ),
    "cpu": Preset(_CPU, "a small model that a core trains on Toys in ten minutes to an hour"),
    # TIGER's size trains on 114 examples a processor second (Toys, as above): 4.1 million in ten hours.
    "overnight": Preset(
        replace(
            _CPU,
            backbone="tiger",
            dropout=0.1,
            learning_rate=1e-3,
            target_examples=37 * EPOCH_OF_TOYS,
            validate_every=4,
        ),
        "the model of TIGER's size on a core: about ten hours on Toys",
    ),
    "standard": Preset(
        Contract(backbone="tiger", epochs=100, learning_rate=1e-3, validation_users=0, validate_every=2, patience=10),
        "the model of TIGER's size, trained until validation no longer improves: for one GPU",
    ),
}


def contract_for(preset: str, overrides: Mapping[str, str]) -> Contract:
    """The preset's contract with some lines changed. BenchError on an unknown preset, setting or value."""
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    return changed(PRESETS[preset].contract, overrides)


def changed(contract: Contract, overrides: Mapping[str, str]) -> Contract:
    """The contract with some lines replaced, given as text. A budget takes the place of another one. BenchError on an
    unknown line or value.
    """
    unset: dict[str, Any] = {}
    if overrides.get("budget") or any(overrides.get(name, "0") not in ("0", "") for name in BUDGETS):
        unset = {"epochs": 0, "target_examples": 0, "budget": ""}
    known = {field.name: field.type for field in fields(Contract)}
    for name in overrides:
        if name not in known:
            raise unknown("setting", name, known)
    hints = get_type_hints(Contract)
    read = {name: value(text, hints[name], f"setting '{name}'") for name, text in overrides.items()}
    return replace(contract, **{**unset, **read})


def scores_mean_nothing(preset: str | None) -> bool:
    """Whether no score of a model trained under this preset may be believed. ``None`` is no preset."""
    return preset in PRESETS and not PRESETS[preset].meaningful


def default_preset(cuda: bool) -> str:
    """`standard` where there is a GPU, else `cpu`."""
    return "standard" if cuda else "cpu"


def setting_names() -> list[str]:
    """What `--set` accepts without a scheme's name before it."""
    return [field.name for field in fields(Contract)]
