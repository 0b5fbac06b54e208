"""What holds of every split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.data.splits import Split


@pytest.fixture
def check_owners() -> Callable[[Split], None]:
    """Histories are owned by rows of the training view, also where only some of the targets are taken."""

    def check(split: Split) -> None:
        assert split.train.sequences.user_rows is not None
        assert split.train.sequences.user_rows.tolist() == list(range(len(split.train.sequences)))
        for targets in (split.validation, split.test):
            assert targets.histories.user_rows is not None
            assert targets.histories.user_rows.tolist() == targets.users.tolist()
            taken = targets.take(np.array([len(targets) - 1])).histories.user_rows
            assert taken is not None
            assert taken.tolist() == targets.users[-1:].tolist()

    return check
