"""The main process goes first from stage to stage, and keeps nobody waiting behind the last."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
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


class Waits:
    """As Accelerate's main process: what is raised while it goes first skips the barrier that frees the others."""

    def __init__(self) -> None:
        self.freed = 0

    @contextlib.contextmanager
    def main_process_first(self) -> Iterator[None]:
        yield
        self.freed += 1


def run(accelerator: Waits, scheme: Any = None) -> SchemeRun:
    made, train = SchemeRun.__new__(SchemeRun), TrainView("toy", ItemTable(("one",), {}), Sequences.from_rows([[0]]), 0)
    split = SimpleNamespace(train=train)
    run = SimpleNamespace(title="a run")
    request = SimpleNamespace(run=run, view=lambda train: train, results=Path("results"))
    vars(made).update(accelerator=accelerator, scheme=scheme, display=Display(), request=request, split=split)
    return made


def stages() -> Generator[Stage, Any, Any]:
    yield STAGE
    return "the best"


def test_the_others_are_freed_after_the_last_stage_too() -> None:
    accelerator, going = Waits(), stages()
    one = run(accelerator)
    assert one.next_stage(going, None) is STAGE
    end = one.next_stage(going, None)
    assert isinstance(end, StopIteration)
    assert (end.value, accelerator.freed) == ("the best", 2)


def test_a_scheme_without_stages_is_refused() -> None:
    accelerator, idle = Waits(), SimpleNamespace(name="idle", stages=lambda view, ids: (stage for stage in ()))
    with pytest.raises(BenchError, match="idle yielded no stage; at least one is needed"):
        run(accelerator, idle).trained(STAGE.ids)
    assert accelerator.freed == 1
