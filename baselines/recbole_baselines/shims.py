"""What RecBole 1.2.1 needs before it runs as meant on today's stack. Used in RecBole's own process alone.

Each entry says what breaks; tests/baselines/test_shims.py fails for every one that RecBole no longer needs. Three more
things are avoided rather than patched: ``recbole.quick_start`` (imports an old Ray), the command line (RecBole's
``Config`` reads ``sys.argv``, so its process is started without one) and the data set name ``ml-100k`` (always read
from RecBole's own folder). pandas must be below 3, where RecBole's in-place fills silently do nothing.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def apply() -> None:
    """Everything that must be in place before RecBole is imported."""
    restore_numpy_names()
    read_weights_alone()


def restore_numpy_names() -> None:
    """``Config`` reads three names that NumPy 2 has removed, to restore others that NumPy 1.24 had removed."""
    for name, kind in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
        setattr(np, name, kind)


def read_weights_alone() -> None:
    """An unfinished run may come from somebody else, and a pickle is a program: ``torch.load`` reads plain tensors.

    RecBole's own checkpoints hold its configuration, which that refuses; ours (``trainer``) hold weights alone.
    """
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def unpickle_no_data_set() -> None:
    """RecBole unpickles a data set of its own where a file of a certain name lies in the working folder."""
    from recbole.data import utils

    utils.pickle = _NoPickle


class _NoPickle:
    """Stands where RecBole has Python's module ``pickle``."""

    @staticmethod
    def load(file: BinaryIO) -> None:
        raise RuntimeError(f"'{file.name}' is a pickled data set, which may run code; it is not read: remove it")


def stop_watching_gradients() -> None:
    """Loading any model loads SINE, whose module has torch check every gradient of every model for NaN.

    That takes a quarter of the time. RecBole's trainer looks for NaN in the loss itself.
    """
    torch.autograd.set_detect_anomaly(False)


def widen(rows: Tensor, width: int) -> Tensor:
    """``[n, width]``: Caser and HGN want the declared width, pre-split files give that of the longest history read."""
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))


def spare_oldest_item(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """BERT4Rec puts its mask behind a history and then drops the first position, even where there is room for all.

    A history of one item would be ignored. One empty position in front is dropped instead; the width grows by it.
    """
    return torch.nn.functional.pad(rows, (1, 0))[:, : rows.shape[1]], lengths + 1


def masked_loss(model: Any, batch: Any) -> Tensor:
    """BERT4Rec divides its loss by the number of masked positions, and a batch without any ends training as NaN.

    Few short histories, as in a last batch, have none now and then. There is nothing to learn from them.
    """
    loss: Tensor = model.calculate_loss(batch)
    return loss if bool((batch[model.MASK_INDEX] > 0).any()) else torch.zeros_like(loss, requires_grad=True)


def pad_left(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """S3Rec pre-trains with padding on the left, as its authors do, but is fine-tuned on rows padded on the right.

    Its position embeddings would not fit; so rows are moved to the right end, where the last item always stands.
    """
    width = rows.shape[1]
    source = torch.arange(width) - (width - lengths)[:, None]
    return torch.where(source >= 0, rows.gather(1, source.clamp(min=0)), 0), torch.full_like(lengths, width)


def with_next(rows: Tensor, lengths: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """S3Rec pre-trains on histories without the item after them, so never on the newest item of a user.

    Its authors' own sequences end with it. It is put behind, in place of the oldest where there is no room.
    """
    width = rows.shape[1]
    rows = torch.where((lengths == width)[:, None], rows.roll(-1, dims=1), rows)
    return rows.scatter(1, lengths.clamp(max=width - 1)[:, None], items[:, None]), (lengths + 1).clamp(max=width)


def count_repeats(model: Any, batch: Any) -> Tensor:
    """Pop counts an item once for each batch that has it, not for each interaction, so whatever is popular ties.

    Its loss, after which every interaction of the batch is counted.
    """
    before = model.item_cnt.clone()
    loss: Tensor = model.calculate_loss(batch)
    model.item_cnt = before + torch.bincount(batch[model.ITEM_ID], minlength=model.n_items)[:, None]
    model.max_cnt = model.item_cnt.max(dim=0)[0]
    return loss


def neighbor_scores(model: Any, histories: Any, items: NDArray[np.int64]) -> NDArray[np.float32]:
    """ItemKNN's scores ``[users, items]`` for ``histories [users, items]``.

    RecBole scores a user by the training interactions, whatever of them the history shows and whatever came after.
    ``items`` are RecBole's numbers of the columns.
    """
    return np.asarray((histories @ neighbors(model, items)).toarray(), np.float32)


def neighbors(model: Any, items: NDArray[np.int64]) -> Any:
    """ItemKNN's similarities ``[items, items]``, sparse, where ``items`` are RecBole's numbers of ours."""
    return model.w.tocsr()[items][:, items]
