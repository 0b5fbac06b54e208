"""Several processes and a signal to one of them: all stop at one step, and seldom talk about it (torchrun, gloo)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.training import checkpoint

# One stage over random sequences of ten items. Process 1 gets a signal in its third step; `pause` is added to each.
STAGE = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
import torch
import torch.distributed
from accelerate import Accelerator
from bench.backbone.t5 import T5, T5Config
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.model.recommender import recommender_for
from bench.training.loop import Job, train
from bench.vocabulary import Vocabulary

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
rank = int(os.environ["RANK"])
vocabulary = Vocabulary.private("abcdefghij")
ids = TokenIds.from_lists([vocabulary.ids([letter]) for letter in "abcdefghij"], vocabulary)
shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "heads": 2, "layers": 1, "decoder_layers": 1}
torch.manual_seed(0)
recommender = recommender_for(ids, T5(T5Config(vocabulary.size, **shape)))
sequences = Sequences.from_rows(np.random.default_rng(0).integers(0, 10, (40, 6)).tolist())
reduce, reductions = torch.distributed.all_reduce, []


def counted(*given, **named):
    reductions.append(1)
    return reduce(*given, **named)


def progress(step, total, stats):
    time.sleep(pause)
    if step == 3 and rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
        (folder / "signaled").write_text(str(time.time()))


torch.distributed.all_reduce = counted
contract = Contract(examples="all", epochs=50, batch_size=8)
stage = Stage(ids, use_validation=False)
path, accelerator = folder / "stage.safetensors", Accelerator(cpu=True)
job = Job(recommender, sequences, contract, 0, stage, dict, None, path, 0.0, progress, accelerator=accelerator)
try:
    train(job)
except KeyboardInterrupt:
    weights = sum(float(p.detach().abs().sum()) for p in recommender.parameters())
    told = {"weights": weights, "reductions": len(reductions), "time": time.time()}
    (folder / f"rank-{rank}.json").write_text(json.dumps(told))
os._exit(0)  # a thread of Gloo that frees a tensor while the interpreter is torn down would abort it
"""


@pytest.mark.parametrize(("pause", "fewest", "most"), [(0.0, 4, 60), (0.5, 4, 12)])
def test_all_stop_at_one_step_without_talking_at_every_one(
    started: dict[str, str], tmp_path: Path, pause: float, fewest: int, most: int
) -> None:
    """Slow steps: within seconds, not within twenty steps. Fast ones: a meeting every twenty steps or every second."""
    (tmp_path / "stage.py").write_text(STAGE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, str(tmp_path / "stage.py"), str(tmp_path), str(pause)]
    done = subprocess.run(command, env=started, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    state, _ = checkpoint.load(tmp_path / "stage.safetensors")
    assert fewest <= state.step <= most
    assert told[0]["weights"] == told[1]["weights"]  # a step more or less would show
    assert told[0]["reductions"] == told[1]["reductions"] < state.step
    assert max(each["time"] for each in told) - float((tmp_path / "signaled").read_text()) < 20 * max(pause, 0.5)
    assert state.processor_seconds > 0
