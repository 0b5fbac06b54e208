"""What a person sees of a download: a bar on a terminal, a line for each file in a log."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bench.console import Console


class ProgressBars:
    """One bar at a time, on standard error. Implements ``bench.data.download.Progress``; to be used in a ``with``."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self.progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self.lively = console.lively
        self.what = ""

    def __enter__(self) -> ProgressBars:
        if self.lively:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, what: str) -> None:
        self.what = what
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        self.progress.add_task(what, total=None)
        if not self.lively:
            self._say(what)

    def update(self, done: int, total: int | None) -> None:
        for task in self.progress.task_ids:
            self.progress.update(task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._say(f"{self.what}: {text}")

    def _say(self, text: str) -> None:
        self.progress.console.print(text, soft_wrap=True)
