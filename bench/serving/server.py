"""Runs the application until it is told to stop, and then ends what was begun."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from bench.errors import BenchError

GRACE = 30  # seconds in which what was asked is answered, after the signal to stop


class Server(uvicorn.Server):
    """uvicorn raises a signal again when it has stopped, so that the shell hears of a death; here it was a wish."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer on ``host`` and ``port`` (0: any that is free) until SIGINT or SIGTERM. ``ready`` is told the address.

    BenchError where the address can't be had.
    """
    with _bound(host, port) as listening:
        name, number = listening.getsockname()[:2]
        ready(f"http://{f'[{name}]' if ':' in name else name}:{number}")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE, server_header=False)
        asyncio.run(Server(config).serve([listening]))


def _bound(host: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as undone:
        try:
            family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listening = undone.enter_context(socket.socket(family, kind))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(1024)  # before anybody is told the address
        except (OSError, UnicodeError) as error:  # of a name that none can be, before anybody is asked for it
            reason = getattr(error, "strerror", None) or error
            raise BenchError(f"cannot serve on {host}, port {port}: {reason}; name others: --host, --port") from error
        undone.pop_all()
    return listening
