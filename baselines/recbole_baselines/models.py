"""Which models of RecBole compete, with which settings, and over which ranges those are searched.

Facts and their sources. Defaults: RecBole 1.2.1's own (``properties/model/*.yaml``); how long, in which batches and by
which schedule a model is trained is the contract's, as for identifier schemes. Ranges: those of
``bench.training.search`` for what all that is trained shares, the rest from "Tuning Hyper Parameters" of each model's
page in RecBole's documentation. S3Rec's has none but for the length of pre-training: it has SASRec's ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import BenchError
from bench.evaluation.baseline import Found
from bench.results.kept import Overlap
from bench.training.search import DROPOUTS, LEARNING_RATES, WEIGHT_DECAYS

Ranges = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Searched:
    """Settings of every model that has ranges to search, none of which RecBole gets."""

    tune: int = 0  # trials of a random search; 0: the settings as they are
    fixed: tuple[str, ...] = ()  # what the search leaves as it is; everything given with --set is

    def __post_init__(self) -> None:
        if self.tune < 0:
            raise BenchError(f"setting 'tune' must be 0 or more; got {self.tune}")


@dataclass(frozen=True)
class Training(Searched):
    """Settings of every model that is trained in steps; RecBole gets all but those of ``OURS`` as they are."""

    learning_rate: float = 0.001
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Recurrent(Training):
    embedding_size: int = 64
    hidden_size: int = 128
    num_layers: int = 1
    dropout_prob: float = 0.3


@dataclass(frozen=True)
class Convolutional(Training):
    embedding_size: int = 64
    nv: int = 4  # vertical filters
    nh: int = 8  # horizontal filters of each height
    dropout_prob: float = 0.4
    reg_weight: float = 1e-4


@dataclass(frozen=True)
class Gating(Training):
    embedding_size: int = 64
    pooling_type: Literal["average", "max"] = "average"
    reg_weight: tuple[float, ...] = (0.0, 0.0)  # of gates, of embeddings


@dataclass(frozen=True)
class Transformer(Training):
    n_layers: int = 2
    n_heads: int = 2
    hidden_size: int = 64
    inner_size: int = 256
    hidden_dropout_prob: float = 0.5
    attn_dropout_prob: float = 0.5


@dataclass(frozen=True)
class Cloze(Transformer):
    hidden_dropout_prob: float = 0.2
    attn_dropout_prob: float = 0.2
    mask_ratio: float = 0.2


@dataclass(frozen=True)
class WithAttributes(Transformer):
    attributes: str = ""  # column of the items' text; by default the first of ATTRIBUTE_COLUMNS


@dataclass(frozen=True)
class PreTrained(WithAttributes):
    pretrain_fraction: float = 0.25  # of the budget; RecBole itself pre-trains beside it, for as long again
    mask_ratio: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.pretrain_fraction < 1:
            raise BenchError(f"setting 'pretrain_fraction' must be above 0 and below 1; got {self.pretrain_fraction}")


@dataclass(frozen=True)
class Neighbors(Overlap, Searched):
    k: int = 100
    shrink: float = 0.0


@dataclass(frozen=True)
class Counting:
    """Popularity has nothing to set."""


ATTRIBUTE_COLUMNS = ("categories", "category", "genres", "class")
OURS = ("tune", "fixed", "attributes", "pretrain_fraction", "same")  # settings that RecBole does not know

DROPOUT = ("hidden_dropout_prob", "attn_dropout_prob")

_TRAINED: Ranges = {"learning_rate": LEARNING_RATES, "weight_decay": WEIGHT_DECAYS}
_ATTENTION: Ranges = {
    **_TRAINED,
    **dict.fromkeys(DROPOUT, DROPOUTS),
    "n_heads": (1, 2),
    "n_layers": (1, 2, 3),
}

RANGES: dict[str, Ranges] = {
    "GRU4Rec": {**_TRAINED, "dropout_prob": DROPOUTS, "num_layers": (1, 2, 3)},
    "Caser": {**_TRAINED, "dropout_prob": DROPOUTS, "reg_weight": (0.0, 1e-4, 1e-5)},
    "HGN": {**_TRAINED, "pooling_type": ("average", "max"), "reg_weight": ((0.0, 0.0), (0.001, 0.00001))},
    "SASRec": _ATTENTION,
    "BERT4Rec": {**_ATTENTION, "n_layers": (1, 2)},
    "FDSA": _ATTENTION,
    "S3Rec": _ATTENTION,  # of both its stages
    "ItemKNN": {"k": (10, 50, 100, 200, 250, 300, 400, 500, 1000, 1500, 2000, 2500), "shrink": (0.0, 1.0)},
}
SIZES = ("n_heads", "n_layers", "num_layers")  # of these, what --tune searches only where that is asked for

# What searches chose on the validation users of MovieLens-100k, with as many trials and epochs for each baseline: five
# trials under smoke, four under cpu, of the learning rate alone but for HGN and ItemKNN. Who is not named keeps what it
# has. results/recbole-tuning has every trial. They were made without warm-up and decay, in batches of 256, and are used
# on MovieLens-100k alone: a search on one data set is no search on another.
SEARCHED_ON = "ml-100k"
TRIALS = {"smoke": 5, "cpu": 4}
TUNED: dict[str, dict[str, dict[str, str]]] = {
    "smoke": {
        "bert4rec": {"learning_rate": "0.01"},
        "caser": {"learning_rate": "0.005"},
        "gru4rec": {"learning_rate": "0.005"},
        "hgn": {"learning_rate": "0.01", "pooling_type": "max"},
        "itemknn": {"k": "300", "shrink": "1"},
        "s3rec": {"learning_rate": "0.005"},
        "sasrec/bpr": {"learning_rate": "0.01"},
        "sasrec/ce": {"learning_rate": "0.01"},
    },
    "cpu": {
        "caser": {"learning_rate": "0.005"},
        "gru4rec": {"learning_rate": "0.005"},
        "s3rec": {"learning_rate": "0.0005"},
    },
}


def searched(name: str) -> dict[str, Found]:
    """What earlier searches have found for a baseline, by preset."""
    return {
        preset: Found(SEARCHED_ON, TRIALS[preset], chosen[name]) for preset, chosen in TUNED.items() if name in chosen
    }


def lines(*dropout: str) -> dict[str, tuple[str, ...]]:
    """The settings that lines of the contract become where ``--set`` gives them; ``dropout`` are a model's own."""
    same: dict[str, tuple[str, ...]] = {name: (name,) for name in ("learning_rate", "weight_decay")}
    return {**same, "dropout": dropout} if dropout else same
