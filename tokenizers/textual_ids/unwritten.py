"""Items whose text a vocabulary cannot write: a number alone is no textual identifier, and never passes for one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.vocabulary import Vocabulary
from textual_ids.salience import worded

MOST = 0.2  # share of the catalogue that may be numbered under the name of a textual scheme


def refuse_numbers(scheme: str, without: NDArray[np.bool_]) -> None:
    """BenchError where more than ``MOST`` of the items are ``without`` a word."""
    count = int(np.count_nonzero(without))
    if count > MOST * len(without):
        raise BenchError(
            f"{count:,} of {len(without):,} items have no word that the vocabulary can write, so {scheme} would number "
            f"them, which is no textual identifier (at most {MOST:.0%} may be); give a backbone that writes the "
            "language of the catalogue, such as an mT5, or use a numeric scheme"
        )


def refuse_unwritten(scheme: str, items: ItemTable, vocabulary: Vocabulary) -> None:
    """The same, from the text of the items."""
    refuse_numbers(scheme, ~worded(items, vocabulary))
