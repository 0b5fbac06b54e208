"""Requests that arrive while the recommender is at work wait, and are then ranked in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.results.saved import AnySaved, Recommendation

AT_ONCE = 256  # histories of one batch
WAITING = 1024  # histories that may wait: whoever comes then is told to come again


class FullError(BenchError):
    """More is asked than is answered."""


@dataclass(frozen=True, eq=False)
class Question:
    """A ``history`` of known items, and what is asked about it. ``answer`` gets the items, or the error."""

    history: Sequence[str]
    k: int
    exclude: bool | None
    answer: asyncio.Future[list[Recommendation]] = field(repr=False)

    @property
    def kind(self) -> tuple[int, bool | None]:
        """Questions of one kind are one call of the recommender, so an answer does not hang on who else asks."""
        return self.k, self.exclude


class Batcher:
    """Answers questions of one event loop, in the order in which they came, by one thread that ranks.

    ``async with Batcher(saved) as batcher: await batcher.ask(history, k, exclude)``. Who leaves the block waits until
    whatever was asked is answered.
    """

    def __init__(self, saved: AnySaved) -> None:
        self.saved = saved
        self.waiting: asyncio.Queue[Question | None] = asyncio.Queue()
        self.worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self.worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.waiting.put(None)
        if self.worker:
            await self.worker

    async def ask(self, history: Sequence[str], k: int, exclude: bool | None) -> list[Recommendation]:
        """The best ``k`` items. FullError where too many wait already."""
        if self.waiting.qsize() >= WAITING:
            raise FullError(f"{WAITING:,} requests are waiting; ask again later")
        question = Question(history, k, exclude, asyncio.get_running_loop().create_future())
        await self.waiting.put(question)
        return await question.answer

    async def _work(self) -> None:
        while (first := await self.waiting.get()) is not None:
            together, last = [first], False
            while len(together) < AT_ONCE and not self.waiting.empty():
                following = self.waiting.get_nowait()
                last = following is None
                if following is None:
                    break
                together.append(following)
            for kind in dict.fromkeys(question.kind for question in together):
                await self._answer([question for question in together if question.kind == kind])
            if last:
                return

    async def _answer(self, questions: Sequence[Question]) -> None:
        histories = [question.history for question in questions]
        k, exclude = questions[0].kind
        try:
            found = await asyncio.to_thread(self.saved.recommend_many, histories, k, exclude)
        except Exception as error:  # of any kind: who asked is told, and the next ones are answered
            for question in questions:
                if not question.answer.done():
                    question.answer.set_exception(error)
            return
        for question, answer in zip(questions, found, strict=True):
            if not question.answer.done():  # who asked may have gone
                question.answer.set_result(answer)
