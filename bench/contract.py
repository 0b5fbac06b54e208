"""The contract: everything that must be equal before two identifier schemes may be compared.

It is stored with every result, hashed into its path on disk and printed under every table. `--set key=value` changes
one line of it for all schemes of a run at once; a scheme's own settings are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from bench.errors import BenchError, unknown
from bench.protocol import PROTOCOL
from bench.settings import parse

CUTOFFS = (1, 5, 10, 20)  # of the metrics that are reported


@dataclass(frozen=True)
class Contract:
    """Data view, recommender, budget, selection and decoding. Steps are optimizer steps, epochs passes over the
    examples.
    """

    # what is read
    split: Literal["leave-one-out", "global-temporal"] = (
        "leave-one-out"  # or global time: the oldest 80 % train, 10 %, 10 %
    )
    max_history: int = 20  # newest items shown
    validation_in_test_history: bool = True  # as all published leave-one-out systems do
    missing_text: Literal["id", "refuse"] = "id"  # what stands in for the text of an item that has none
    ties: Literal["auto", "file", "digest", "id", "drop-order", "presumed"] = "auto"  # see bench.data.ties

    # the recommender
    backbone: str = "mini"  # a size to start from scratch, a checkpoint folder, a hub name, or a config.json
    dropout: float = 0.1
    max_tokens: int = 512  # encoder input; the oldest items are dropped first
    whole_words: bool = False  # a learned embedding tells the encoder which history item a token belongs to
    reinitialize: Literal["none", "numbers"] = "none"  # what a pretrained backbone has to learn anew
    # the text around a history: one for each kind; the scheme's own; one of ten; ten, and ranked in an eleventh
    template: Literal["neutral", "scheme", "sampled", "unseen"] = "neutral"

    # the budget
    examples: Literal["all", "one"] = "all"  # every training prefix in each epoch, or one random prefix of each user
    epochs: int = 20
    max_steps: int = 0  # 0: no limit but the epochs
    batch_size: int = 256  # of all processes together
    objective: Literal["vocabulary", "prefix"] = "vocabulary"  # where the token probabilities of the loss sum to one
    optimizer: Literal["adamw"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05  # part of the steps
    weight_decay: float = 0.01  # of matrices; norms and biases are left alone
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"  # of training; scores are always computed in fp32

    # selection, on validation alone
    selection: Literal["ndcg@10"] = "ndcg@10"
    validate_every: int = 1  # epochs
    validation_users: int = 1000  # a fixed sample, at most four fifths of all, which is what 0 asks for
    patience: int = 5  # validations without a better one before training ends

    # decoding
    # beam search; beam search and then whatever it may have missed, so that the best k are exact; every item
    decoder: Literal["beam", "certified", "exact"] = "beam"
    beam_width: int = 20
    normalize: Literal["vocabulary", "catalogue", "prefix"] = "vocabulary"  # the same, of the scores
    length_penalty: float = 0.0  # log-probability is divided by length to this power; 0: not at all
    exclude_history: bool = False  # never recommend what the user already has, whether it is shown or not

    def __post_init__(self) -> None:
        for name in ("max_history", "epochs", "batch_size", "validate_every", "patience", "beam_width", "max_tokens"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _require("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        for name in ("dropout", "warmup"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("max_steps", "validation_users", "weight_decay", "clip_norm"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        _require("length_penalty", self.length_penalty, abs(self.length_penalty) <= 10, "from -10 to 10")
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

    @property
    def lines(self) -> dict[str, Any]:
        """What is stored with a result and hashed into its id: the protocol, and every field."""
        return {"protocol": PROTOCOL, **asdict(self)}

    @property
    def id(self) -> str:
        """8 hex digits over every line."""
        return digest(self.lines)


def _require(name: str, found: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise BenchError(f"setting '{name}' must be {allowed}; got {found}")


def digest(value: Mapping[str, Any]) -> str:
    """8 hex digits over a mapping of plain values, whatever its order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Preset:
    """A named contract and what it is for."""

    contract: Contract
    purpose: str


# Two cores have half an hour. The loss therefore leaves out what the tree of identifiers decides anyway: on validation
# users of Toys, textual identifiers then came further in every epoch. It was not tuned for numeric ones.
_CPU = Contract(
    dropout=0.0,
    epochs=8,
    batch_size=128,
    objective="prefix",
    learning_rate=3e-3,
    validation_users=2000,
    patience=3,
    normalize="prefix",
)

PRESETS = {
    "smoke": Preset(
        replace(_CPU, epochs=6, examples="one", batch_size=64, validation_users=200, validate_every=3),
        "shows that everything runs: under two minutes on two cores; its scores mean nothing",
    ),
    "cpu": Preset(_CPU, "a small model that a core trains on Toys in ten minutes to an hour"),
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
    """The contract with some lines replaced, given as text. BenchError on an unknown line or value."""
    read = parse(Contract, overrides, "setting")
    return replace(contract, **{name: getattr(read, name) for name in overrides})


def default_preset(cuda: bool) -> str:
    """`standard` where there is a GPU, else `cpu`."""
    return "standard" if cuda else "cpu"


def setting_names() -> list[str]:
    """What `--set` accepts without a scheme's name before it."""
    return [field.name for field in fields(Contract)]
