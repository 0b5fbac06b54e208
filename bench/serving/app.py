"""The HTTP interface of a finished run: ``POST /recommend``, ``GET /healthz``, and its own description in ``/docs``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

import bench
from bench.results.saved import AnySaved
from bench.serving.batches import Batcher, FullError

LONGEST_HISTORY, MOST_ITEMS, LONGEST_ID = 10_000, 1_000, 500
LARGEST_BODY = 1 << 20  # bytes of a request
LONGEST_BODY = 20.0  # seconds until it is there: fewer than a server that stops waits for answers

ItemId = Annotated[str, Field(max_length=LONGEST_ID)]


class Question(BaseModel):
    """What a user has had, and how much is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    history: list[ItemId] = Field(
        max_length=LONGEST_HISTORY,
        description="Items by their original id, oldest first. Items that the run does not know are skipped.",
        examples=[["50", "181", "172"]],
    )
    k: int = Field(10, ge=1, le=MOST_ITEMS, description="How many items to recommend.")
    exclude_history: bool | None = Field(None, description="Exclude the history; by default as in the test of the run.")


class Item(BaseModel):
    """A recommended item. Scores of one answer can be compared, those of two runs cannot."""

    item: str
    title: str
    score: float
    identifier: str


class Answer(BaseModel):
    """The best items first. There are fewer than ``k`` where the catalogue or the beam ends."""

    items: list[Item]
    unknown_items: int = Field(description="How many items of the history were skipped: the run does not know them.")


class Health(BaseModel):
    """What answers here."""

    status: str
    scheme: str
    dataset: str
    seed: int
    items: int
    bench: str


def create(saved: AnySaved) -> FastAPI:
    """The application that answers for one run."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Batcher(saved) as app.state.batcher:
            yield

    result = saved.result
    title = f"{result.scheme.name} on {result.dataset.name}"
    app = FastAPI(title=title, version=bench.__version__, lifespan=lifespan, description="Recommends the next items.")
    app.middleware("http")(refuse_slow)
    app.middleware("http")(refuse_large)
    app.add_exception_handler(FullError, _full)
    app.add_exception_handler(RequestValidationError, _wrong)

    @app.get("/healthz")
    async def healthz() -> Health:
        """Whether this is up, and which run it answers for."""
        scheme, dataset, items = result.scheme.name, result.dataset.name, len(saved.rows)
        return Health(
            status="ok", scheme=scheme, dataset=dataset, seed=result.seed, items=items, bench=bench.__version__
        )

    @app.post("/recommend", responses={408: {}, 413: {}, 503: {}})
    async def recommend(question: Question) -> Answer:
        """The best items for a history."""
        known, unknown = saved.known(question.history)
        found = await app.state.batcher.ask(known, question.k, question.exclude_history)
        return Answer(items=[Item(**asdict(one)) for one in found], unknown_items=unknown)

    return app


async def refuse_large(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """A body is read only where its length is told, and small. One that comes in chunks has no length but theirs,
    whatever it says beside: HTTP has them go first.
    """
    length = "" if "transfer-encoding" in request.headers else request.headers.get("content-length", "")
    small = length.isdecimal() and len(length) <= len(str(LARGEST_BODY)) and int(length) <= LARGEST_BODY
    if request.method == "POST" and not small:
        detail = f"a request says its length, which is at most {LARGEST_BODY:,} bytes; got {length[:20] or 'none'}"
        return JSONResponse({"detail": detail}, 413)
    return await call(request)


async def refuse_slow(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """A body is waited for, but not without end: a client that has stalled would hold its connection for good, and a
    server that is told to stop.
    """
    try:
        await asyncio.wait_for(request.body(), LONGEST_BODY)
    except asyncio.TimeoutError:
        detail = f"a body is there within {LONGEST_BODY:g} seconds; it was not"
        return JSONResponse({"detail": detail}, 408, {"Connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)  # which nobody reads
    return await call(request)


async def _full(request: Request, error: Exception) -> Any:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})


async def _wrong(request: Request, error: Exception) -> Any:
    """What is wrong and where, without what was sent: that may be large, or no text at all."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [{name: each[name] for name in ("type", "loc", "msg")} for each in found]}, 422)
