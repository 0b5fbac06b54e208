"""The server of a finished run, asked over a real connection."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

import bench
from bench.results.saved import AnySaved
from bench.serving import app
from bench.serving.app import LARGEST_BODY, LONGEST_HISTORY, MOST_ITEMS, create

HISTORY = ["i03", "i04", "i06"]


@pytest.fixture(scope="module")
def saved(served_runs: Path) -> AnySaved:
    return bench.load("numeric/sequential", results=served_runs)


@pytest.fixture(scope="module")
def address(saved: AnySaved) -> Iterator[str]:
    """Where the run is served, by a thread of this process."""
    server = uvicorn.Server(uvicorn.Config(create(saved), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield client


def test_it_says_what_it_serves(client: httpx.Client) -> None:
    health = client.get("/healthz")
    assert health.status_code == 200
    known = {"status": "ok", "scheme": "numeric/sequential", "dataset": "toy", "seed": 0, "items": 30}
    assert health.json() == {**known, "bench": bench.__version__}


def test_it_recommends_what_python_does(client: httpx.Client, saved: AnySaved) -> None:
    for exclude in (None, True, False):
        asked = {"history": HISTORY, "k": 5} | ({} if exclude is None else {"exclude_history": exclude})
        answer = client.post("/recommend", json=asked).json()
        assert answer == {"items": [vars(one) for one in saved.recommend(HISTORY, 5, exclude)], "unknown_items": 0}
    assert len(client.post("/recommend", json={"history": []}).json()["items"]) == 10


def test_unknown_items_are_skipped_and_counted(client: httpx.Client) -> None:
    known = client.post("/recommend", json={"history": HISTORY}).json()
    mixed = client.post("/recommend", json={"history": ["lego", "i03", "", "i04", "i06", "\u0000"]}).json()
    assert (mixed["items"], mixed["unknown_items"]) == (known["items"], 3)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["history"]),
        ({"history": "i03"}, ["history"]),
        ({"history": [3]}, ["history", 0]),
        ({"history": ["i" * 501]}, ["history", 0]),
        ({"history": ["i03"] * (LONGEST_HISTORY + 1)}, ["history"]),
        ({"history": [], "k": 0}, ["k"]),
        ({"history": [], "k": MOST_ITEMS + 1}, ["k"]),
        ({"history": [], "k": "\ud800"}, ["k"]),
        ({"history": [], "size": 3}, ["size"]),
    ],
)
def test_wrong_input_is_named_and_not_repeated(client: httpx.Client, body: object, where: list[object]) -> None:
    import json

    answer = client.post("/recommend", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == 422
    (wrong,) = answer.json()["detail"]
    assert wrong["loc"] == ["body", *where]
    assert set(wrong) == {"type", "loc", "msg"}


def test_no_large_body_is_read(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    large = client.post("/recommend", content=b" " * (LARGEST_BODY + 1), headers=headers)
    assert large.status_code == 413
    untold = client.post("/recommend", content=iter([b'{"history": []}']), headers=headers)
    assert untold.status_code == 413
    assert "got none" in untold.json()["detail"]
    assert client.post("/recommend", content=b"{", headers=headers).status_code == 422


def test_a_body_in_chunks_is_not_read_whatever_length_it_tells(address: str) -> None:
    """Chunks go before a length, and may have no end."""
    host, port = address.removeprefix("http://").split(":")
    head = "POST /recommend HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    body = b" " * (2 * LARGEST_BODY)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode())
        assert connection.recv(20).split()[1] in (b"413", b"400")  # before any of it has come


def test_a_body_that_does_not_come_is_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LONGEST_BODY", 0.2)
    host, port = address.removeprefix("http://").split(":")
    head = "POST /recommend HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f'{head}{{"hist'.encode())
        answer = b"".join(iter(lambda: connection.recv(1000), b""))  # until the server ends the connection
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within 0.2 seconds" in answer


def test_a_length_without_end_is_too_large(saved: AnySaved) -> None:
    """Servers refuse it before; the application does not rely on that."""
    from fastapi.testclient import TestClient

    headers = {"content-type": "application/json", "content-length": "9" * 5000}
    with TestClient(create(saved), raise_server_exceptions=False) as client:
        assert client.post("/recommend", content=b"{}", headers=headers).status_code == 413


def test_it_describes_itself(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/recommend", "/healthz"}
    assert client.get("/docs").status_code == 200


def test_many_at_once_get_each_their_own_answer(address: str, saved: AnySaved) -> None:
    """64 connections: whoever asks beside whom, and for how much, changes nothing but the last bits of scores."""
    questions = [([f"i{number % 30:02d}", f"i{number * 7 % 30:02d}"], 1 + number % 3) for number in range(128)]

    async def ask() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits, trust_env=False) as client:
            asked = (client.post("/recommend", json={"history": history, "k": k}) for history, k in questions)
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert {answer.status_code for answer in answers} == {200}
    for (history, k), answer in zip(questions, answers, strict=True):
        found, alone = answer.json()["items"], saved.recommend(history, k)
        assert [one["item"] for one in found] == [one.item for one in alone]
        assert [one["score"] for one in found] == pytest.approx([one.score for one in alone], abs=1e-4)
