"""What waits is ranked together; who asks too much is told so; who asked is answered before the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.results.saved import AnySaved, Recommendation
from bench.serving import batches
from bench.serving.batches import Batcher, FullError


class Slow:
    """Answers with the last item of a history, once it may; remembers how many were asked together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.may = threading.Event()

    def recommend_many(
        self, histories: Sequence[Sequence[str]], k: int, exclude: bool | None
    ) -> list[list[Recommendation]]:
        self.may.wait()
        self.sizes.append(len(histories))
        if any("break" in history for history in histories):
            raise ValueError("broken")
        return [[Recommendation(history[-1], "", 0.0, "")] * k for history in histories]


def batcher(slow: Slow) -> Batcher:
    return Batcher(cast(AnySaved, slow))


async def asked(batcher: Batcher, histories: Sequence[str], k: int = 1) -> list[asyncio.Task[Any]]:
    """Tasks that are waiting for an answer."""
    tasks = [asyncio.create_task(batcher.ask([history], k, None)) for history in histories]
    await asyncio.sleep(0.01)
    return tasks


def test_what_waits_is_answered_together_and_each_its_own() -> None:
    slow = Slow()

    async def use() -> list[Any]:
        async with batcher(slow) as use:
            first = await asked(use, ["a"])
            others = await asked(use, ["b", "c", "d"])
            more = await asked(use, ["e"], k=2)
            slow.may.set()
            return [[one.item for one in await task] for task in (*first, *others, *more)]

    assert asyncio.run(use()) == [["a"], ["b"], ["c"], ["d"], ["e", "e"]]
    assert slow.sizes == [1, 3, 1]


def test_who_leaves_waits_for_the_answers() -> None:
    slow = Slow()

    async def use() -> list[Any]:
        async with batcher(slow) as use:
            tasks = await asked(use, ["a", "b"])
            slow.may.set()
        return [task.result()[0].item for task in tasks]

    assert asyncio.run(use()) == ["a", "b"]


def test_an_error_is_told_to_those_who_asked_and_nobody_else() -> None:
    slow = Slow()
    slow.may.set()

    async def use() -> str:
        async with batcher(slow) as use:
            with pytest.raises(ValueError, match="broken"):
                await use.ask(["break"], 1, None)
            return (await use.ask(["a"], 1, None))[0].item

    assert asyncio.run(use()) == "a"


def test_too_many_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WAITING", 2)
    slow = Slow()

    async def use() -> SimpleNamespace:
        async with batcher(slow) as use:
            tasks = await asked(use, ["a"])
            tasks += await asked(use, ["b", "c"])
            with pytest.raises(FullError, match="2 requests are waiting"):
                await use.ask(["d"], 1, None)
            slow.may.set()
            return SimpleNamespace(found=[(await task)[0].item for task in tasks])

    assert asyncio.run(use()).found == ["a", "b", "c"]


def test_who_has_gone_keeps_nobody_waiting() -> None:
    slow = Slow()

    async def use() -> str:
        async with batcher(slow) as use:
            (gone, there) = await asked(use, ["a", "b"])
            gone.cancel()
            slow.may.set()
            return (await there)[0].item

    assert asyncio.run(use()) == "b"
