"""What may not be ranked, a stretch of the catalogue at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.dataset import Sequences
from bench.evaluation.metrics import exclusion_mask
from bench.model.top import excluded_items


@pytest.mark.parametrize("candidates", [None, np.arange(9) % 4 != 1])
@pytest.mark.parametrize("without", [None, Sequences.from_rows([[3, 3, 8], [], [0, 4]])])
def test_a_stretch_is_that_part_of_the_whole(without: Sequences | None, candidates: NDArray[np.bool_] | None) -> None:
    whole, stretch = exclusion_mask(without, 3, 9, candidates), excluded_items(without, 3, candidates)
    assert (whole is None) == (stretch is None)
    for start, stop in ((0, 4), (4, 8), (8, 9)) if whole is not None and stretch else ():
        np.testing.assert_array_equal(stretch(start, stop), whole[:, start:stop])
