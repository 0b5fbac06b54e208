"""What else follows a run while it trains: TensorBoard, Weights & Biases or MLflow, through Accelerate's trackers.

    results/track/tensorboard/<as below results/runs>/      tensorboard --logdir results/track/tensorboard
    results/track/wandb/<as below results/runs>/            wandb sync <folder>/wandb/offline-*
    results/track/mlflow/mlflow.db, unless MLFLOW_TRACKING_URI is set:
                                                            mlflow ui --backend-store-uri sqlite:///<that file>

A run has a tracker of its own. It is told the stats of ``log.jsonl``, as ``<stage>/<name>``, and at the end the strict
metrics of the test. Nothing of a result depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.contract import CUTOFFS
from bench.errors import BenchError, said, unknown
from bench.plugins import top_level
from bench.results.schema import Record
from bench.runs.progress import Display
from bench.runs.request import Request

TRACKERS = ("tensorboard", "wandb", "mlflow")  # each is the name of its library and of our extra too
PROJECT = "bench"


def require(name: str) -> None:
    """BenchError where there is no tracker of this name, or its library is not installed. Empty is none."""
    if name and name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    if name and not top_level(name):
        extra = f"pip install 'item-identifier-bench[{name}]'"
        raise BenchError(f"--track {name} needs {name}, which is not installed: {extra}")


@contextmanager
def tracked(request: Request, display: Display, main: bool) -> Iterator[None]:
    """A tracker is told what is shown on the display, for the time of the block. Only the ``main`` process has one."""
    if not (request.track and main):
        yield
        return
    with _database(request):
        follower = _Follower(_started(request), request, display)
        before, display.track = display.track, follower.log
        try:
            yield
        finally:
            display.track = before
            follower.finish()


@contextmanager
def _database(request: Request) -> Iterator[None]:
    """MLflow's, for the time of the block, unless a server is named: else it makes one in the folder of the command."""
    if request.track != "mlflow" or "MLFLOW_TRACKING_URI" in os.environ:
        yield
        return
    mlflow, folder = import_module("mlflow"), folder_of(request).absolute()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    try:
        yield
    finally:  # it has put it into the environment, where it would hold for another results folder too
        mlflow.set_tracking_uri(None)


class _Follower:
    """A tracker that ends no run: what it can't do is said once, and it is told nothing more."""

    def __init__(self, tracker: Any, request: Request, display: Display) -> None:
        self.tracker, self.request, self.display, self.failed = tracker, request, display, False

    def log(self, stage: str, step: int, stats: Mapping[str, float]) -> None:
        at = "_at_" if self.request.track == "mlflow" else "@"  # which MLflow's names may not have
        values = {f"{stage}/{name}".replace("@", at): value for name, value in stats.items()}
        self._try(lambda: self.tracker.log(values, step=step))

    def finish(self) -> None:
        self._try(self.tracker.finish)

    def _try(self, act: Callable[[], object]) -> None:
        if self.failed:
            return
        try:
            act()
        except Exception as error:  # a network that is gone must not end a training of hours
            self.failed = True
            self.display.say(f"{self.request.run.title}: --track {self.request.track} has failed: {said(error)}")


def tell_scores(display: Display, found: Record) -> None:
    """The strict metrics of a finished run, at the step that its training came to."""
    metrics = found.metrics["strict"]
    scores = {name: metrics[name] for name in metrics if name.partition("@")[2] in map(str, CUTOFFS)}
    display.track("test", int(found.costs.steps or 0), scores)


def folder_of(request: Request) -> Path:
    """Where the tracker of a run writes what it keeps on this machine: MLflow has one folder for all runs."""
    home = request.results / "track" / request.track
    run = request.run.folder(request.results)
    return home if request.track == "mlflow" else home / run.relative_to(request.results / "runs")


def _started(request: Request) -> Any:
    """One of Accelerate's, which knows the settings of the run."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    folder, title = folder_of(request).absolute(), request.run.title
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, tuple[str, dict[str, Any]]] = {
        "tensorboard": (folder.name, {"logging_dir": folder.parent}),
        "wandb": (PROJECT, {"name": title, "dir": str(folder)}),
        "mlflow": (PROJECT, {"run_name": title, "logging_dir": (folder / "artifacts").as_uri()}),
    }
    name, options = named[request.track]
    try:
        tracker = LOGGER_TYPE_TO_CLASS[request.track](name, **options)
        if hasattr(tracker, "start"):  # of newer versions of Accelerate
            tracker.start()
        tracker.store_init_configuration(_settings(request))
    except Exception as error:  # whatever a library raises that has no account, network or room
        raise BenchError(f"--track {request.track} can't begin: {said(error)}") from error
    return tracker


def _settings(request: Request) -> Mapping[str, str | int | float | bool]:
    """What decides the scores, as plain values."""
    plain = (str, int, float, bool)
    return {key: value if isinstance(value, plain) else str(value) for key, value in request.run.identity.items()}
