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
        assert split.train.sequences.owners is not None
        assert split.train.sequences.owners.tolist() == list(range(len(split.train.sequences)))
        for targets in (split.validation, split.test):
            assert targets.histories.owners is not None
            assert targets.histories.owners.tolist() == targets.users.tolist()
            taken = targets.take(np.array([len(targets) - 1])).histories.owners
            assert taken is not None
            assert taken.tolist() == targets.users[-1:].tolist()

    return check
