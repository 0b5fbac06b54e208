"""Which models of RecBole compete, with which settings, and over which ranges those are searched.

Facts and their sources. Defaults: RecBole 1.2.1's own (``properties/model/*.yaml``), with the training of its benchmark
of sequential models on Amazon data (``asset/hyper_tuning_configs/sequential/amazon-books_seq.md`` in its repository:
embeddings of 64, NDCG@10 under leave-one-out, at most 500 epochs in batches of 1,024). Ranges: "Tuning Hyper
Parameters" of each model's page in RecBole's documentation. S3Rec's has none but for the length of pre-training: it has
SASRec's ranges. What the presets change is ours, in ``PRESETS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import BenchError

Ranges = dict[str, tuple[Any, ...]]

LEAST = {"tune": 0, "stopping_step": 0, "epochs": 1, "train_batch_size": 1, "eval_step": 1, "pretrain_epochs": 1}
LEARNING_RATES = (0.01, 0.005, 0.001, 0.0005, 0.0001)


@dataclass(frozen=True)
class Searched:
    """Settings of every model that has ranges to search, none of which RecBole gets."""

    tune: int = 0  # trials of a random search; 0: the settings as they are
    fixed: tuple[str, ...] = ()  # what the search leaves as it is; everything given with --set is

    def __post_init__(self) -> None:
        for name, lowest in LEAST.items():
            if getattr(self, name, lowest) < lowest:
                raise BenchError(f"setting '{name}' must be {lowest} or more; got {getattr(self, name)}")


@dataclass(frozen=True)
class Training(Searched):
    """Settings of every model that is trained in epochs; RecBole gets all but those of ``OURS`` as they are."""

    epochs: int = 500
    train_batch_size: int = 1024
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    stopping_step: int = 10  # validations without a better one that training outlives; one more ends it
    eval_step: int = 1  # epochs between validations
    examples: Literal["all", "one"] = "all"  # every training prefix, or one random of each user, the same in all epochs


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
    pretrain_epochs: int = 100
    mask_ratio: float = 0.2


@dataclass(frozen=True)
class Neighbors(Searched):
    k: int = 100
    shrink: float = 0.0


@dataclass(frozen=True)
class Counting:
    """Popularity has nothing to set."""


ATTRIBUTE_COLUMNS = ("categories", "category", "genres", "class")
OURS = ("examples", "tune", "fixed", "attributes")  # settings that RecBole does not know

_ATTENTION: Ranges = {
    "learning_rate": LEARNING_RATES,
    "hidden_dropout_prob": (0.2, 0.5),
    "attn_dropout_prob": (0.2, 0.5),
    "n_heads": (1, 2),
    "n_layers": (1, 2, 3),
}

RANGES: dict[str, Ranges] = {
    "GRU4Rec": {
        "learning_rate": LEARNING_RATES,
        "dropout_prob": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        "num_layers": (1, 2, 3),
    },
    "Caser": {
        "learning_rate": LEARNING_RATES,
        "reg_weight": (0.0, 1e-4, 1e-5),
        "dropout_prob": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "HGN": {
        "learning_rate": (0.01, 0.001),
        "pooling_type": ("average", "max"),
        "reg_weight": ((0.0, 0.0), (0.001, 0.00001)),
    },
    "SASRec": _ATTENTION,
    "BERT4Rec": {**_ATTENTION, "n_layers": (1, 2)},
    "FDSA": _ATTENTION,
    "S3Rec": _ATTENTION,  # of both its stages; every trial pre-trains as long as is set
    "ItemKNN": {"k": (10, 50, 100, 200, 250, 300, 400, 500, 1000, 1500, 2000, 2500), "shrink": (0.0, 1.0)},
}

# An epoch on Toys takes one core a minute or two for SASRec, 20 s for HGN, 160 s for BERT4Rec and five minutes for the
# pre-training of S3Rec, whatever the batch; smaller batches learn more in it. Under cpu identifier schemes have as many
# epochs.
PRESETS = {
    "smoke": {"epochs": "2", "train_batch_size": "256", "examples": "one"},
    "cpu": {"epochs": "8", "train_batch_size": "256", "stopping_step": "3"},
}

# What searches chose on the validation users of MovieLens-100k, with as many trials and epochs for each baseline: five
# trials under smoke, four under cpu, of the learning rate alone but for HGN and ItemKNN. Who is not named keeps what it
# has. results/recbole-tuning has every trial. The rest is RecBole's own.
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


def presets(name: str, trained: bool = True, **more: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the presets change of the settings of a baseline: what was tuned, of one that is ``trained`` its budget, and
    ``more``, which is this baseline's alone.
    """
    return {
        preset: {**(shared if trained else {}), **TUNED[preset].get(name, {}), **more.get(preset, {})}
        for preset, shared in PRESETS.items()
    }
