"""Classical recommenders through RecBole, on the very same split as identifier schemes.

    bench run --baseline sasrec,gru4rec --dataset toys

RecBole runs in a process of its own (``child``), on pre-split files of our split (``files``). It validates by our
metric on our validation users. What comes back through a pipe (``messages``) is scores of the whole catalogue, not
ranks: to rank a user RecBole would have to be told the target. So it never holds a test target, test histories reach
it only when training is over, and ties and excluded items are treated by our evaluation as for everybody else. The
ranks of every user are in ``per_user.parquet`` of the run.

    bench run --baseline sasrec --dataset toys --tune 20 --set sasrec.n_layers=2

searches ``ranges`` for the settings that validate best (``tuning``), leaving alone what was given. ``training.search``
in ``result.json`` has every trial with its settings, validation score and seconds, or why it failed. Costs are then
those of the whole search.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.evaluation.baseline import TrainedBaseline, TrainingContext
from bench.ids.limits import CatalogueSize, Needs
from recbole_baselines import files, models
from recbole_baselines.base import PROCESS, RANKED, RecBoleBaseline
from recbole_baselines.neighbors import Kept

PAIR = 2e-8  # seconds in which ItemKNN compares two items

__all__ = ["FDSA", "HGN", "BERT4Rec", "Caser", "GRU4Rec", "ItemKNN", "Popularity", "S3Rec", "SASRec", "SASRecBPR"]


class GRU4Rec(RecBoleBaseline):
    """A recurrent network over the history (Tan et al., 2016)."""

    name, model, Settings = "gru4rec", "GRU4Rec", models.Recurrent
    ranges = models.RANGES["GRU4Rec"]
    follows = models.lines("dropout_prob")
    searched = models.searched(name)


class Caser(RecBoleBaseline):
    """Convolutions over the history as an image, and a vector for each user (Tang and Wang, 2018)."""

    name, model, Settings = "caser", "Caser", models.Convolutional
    knows_users = True
    ranges = models.RANGES["Caser"]
    follows = models.lines("dropout_prob")
    searched = models.searched(name)


class HGN(RecBoleBaseline):
    """Gates over features and items of the history, and a vector for each user (Ma et al., 2019)."""

    name, model, Settings = "hgn", "HGN", models.Gating
    tables, knows_users = 2, True
    ranges = models.RANGES["HGN"]
    follows = models.lines()
    searched = models.searched(name)


class SASRec(RecBoleBaseline):
    """Self-attention (Kang and McAuley, 2018), trained to tell the target from the whole catalogue."""

    name, model, Settings = "sasrec/ce", "SASRec", models.Transformer
    ranges = models.RANGES["SASRec"]
    follows = models.lines(*models.DROPOUT)
    searched = models.searched(name)


class SASRecBPR(SASRec):
    """SASRec, trained to tell the target from one random item: the weaker one of many published tables."""

    name = "sasrec/bpr"
    searched = models.searched(name)
    fixed: ClassVar[dict[str, Any]] = {
        "loss_type": "BPR",
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False},
    }


class BERT4Rec(RecBoleBaseline):
    """Self-attention in both directions that fills gaps (Sun et al., 2019)."""

    name, model, Settings = "bert4rec", "BERT4Rec", models.Cloze
    ranges = models.RANGES["BERT4Rec"]
    follows = models.lines(*models.DROPOUT)
    searched = models.searched(name)

    def rows(self, train: TrainView, context: TrainingContext) -> files.Rows:
        return files.with_targets(train, context.contract.max_history)

    def scored(self, size: CatalogueSize) -> int:
        return max(1, int(self.settings.mask_ratio * (size.max_history + 1)))

    def width(self, context: TrainingContext) -> int:
        width = context.contract.max_history + 1  # the mask stands behind the history
        if int(self.settings.mask_ratio * width) < 1:
            raise BenchError(
                f"mask_ratio={self.settings.mask_ratio} of {width} positions masks none: nothing to learn for "
                "bert4rec; raise --set bert4rec.mask_ratio or max_history"
            )
        return width


class _WithAttributes(RecBoleBaseline):
    """A model that reads attributes of items, such as categories."""

    def validate_items(self, items: ItemTable) -> None:
        super().validate_items(items)
        files.attribute_column(items, self.settings.attributes)

    def attributes(self, items: ItemTable) -> list[list[int]]:
        return files.attributes(items, self.settings.attributes)


class FDSA(_WithAttributes):
    """Self-attention over items and, beside it, over their attributes (Zhang et al., 2019)."""

    name, model, Settings = "fdsa", "FDSA", models.WithAttributes
    ranges = models.RANGES["FDSA"]
    follows = models.lines(*models.DROPOUT)
    searched = models.searched(name)
    fixed: ClassVar[dict[str, Any]] = {**RecBoleBaseline.fixed, "selected_features": ["attributes"]}


class S3Rec(_WithAttributes):
    """SASRec, pre-trained to predict masked items, attributes and segments (Zhou et al., 2020)."""

    name, model, Settings = "s3rec", "S3Rec", models.PreTrained
    ranges = models.RANGES["S3Rec"]
    follows = models.lines(*models.DROPOUT)
    fixed: ClassVar[dict[str, Any]] = {**RecBoleBaseline.fixed, "item_attribute": "attributes"}
    searched = models.searched(name)


class _Counting(RecBoleBaseline):
    """A model that counts interactions once and knows no order."""

    probe = True
    binds = TrainedBaseline.binds

    def rows(self, train: TrainView, context: TrainingContext) -> files.Rows:
        return files.interactions(train)


class ItemKNN(Kept, _Counting):
    """Items like those of the history, by the users they share."""

    name, model, Settings = "itemknn", "ItemKNN", models.Neighbors
    ranges = models.RANGES["ItemKNN"]
    searched = models.searched(name)

    def needs(self, size: CatalogueSize) -> Needs:
        """Each item is compared with every other; RecBole then scores, as Python numbers, all items that a user's are
        near.
        """
        history = size.interactions / max(size.users, 1)
        near = min(self.settings.k, size.items, history * size.interactions / max(size.items, 1))
        reached = size.users * min(size.items, history * near)
        blocks = 1200.0 * size.items + 400.0 * size.users
        similar = size.items * (8.0 * min(self.settings.k, size.items) + 100 * near)
        hint = "use a smaller --set itemknn.k, or markov"
        return Needs(PROCESS + blocks + similar + 60 * reached + 150 * size.interactions, PAIR * size.items**2, hint)


class Popularity(_Counting):
    """RecBole's own popularity: must agree with ``pop``."""

    name, model, Settings = "recbole-pop", "Pop", models.Counting
    no_transfer_reason = "counts the items of one catalogue by their number"
    fixed: ClassVar[dict[str, Any]] = {"train_neg_sample_args": None}

    def needs(self, size: CatalogueSize) -> Needs:
        return Needs(PROCESS + RANKED + 300.0 * size.interactions)
