"""From stage to stage, and what is behind the last."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.runs.progress import Display
from bench.runs.scheme_run import SchemeRun
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("ab")
STAGE = Stage(TokenIds(np.full((1, 1, 1), 3, np.int32), np.ones((1, 1), np.int32), VOCABULARY))


def run(scheme: Any = None) -> SchemeRun:
    made, train = SchemeRun.__new__(SchemeRun), TrainView("toy", ItemTable(("one",), {}), Sequences.from_rows([[0]]), 0)
    split = SimpleNamespace(train=train)
    run = SimpleNamespace(title="a run")
    request = SimpleNamespace(run=run, view=lambda train: train, results=Path("results"))
    alone = SimpleNamespace(is_main_process=True)
    vars(made).update(accelerator=alone, scheme=scheme, display=Display(), request=request, split=split)
    return made


def stages() -> Generator[Stage, Any, Any]:
    yield STAGE
    return "the best"


def test_the_end_of_the_stages_has_what_they_return() -> None:
    one, going = run(), stages()
    assert one.next_stage(going, None) is STAGE
    end = one.next_stage(going, None)
    assert isinstance(end, StopIteration)
    assert end.value == "the best"


def test_a_scheme_without_stages_is_refused() -> None:
    idle = SimpleNamespace(name="idle", stages=lambda view, ids: (stage for stage in ()))
    with pytest.raises(BenchError, match="idle yielded no stage; at least one is needed"):
        run(idle).trained(STAGE.ids)
