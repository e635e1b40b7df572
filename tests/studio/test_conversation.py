import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from fastapi import FastAPI, WebSocket

from semsynth.studio.conversation import MAX_UNSENT, Conversation
from semsynth.studio.models import Models
from semsynth.studio.visitors import Visitor, Visitors
from semsynth.studio.worker import Workers
from tests.studio.visitor import Page


class Stuck:
    """A socket whose other end neither says nor reads anything."""

    async def accept(self) -> None:
        """Connect."""

    async def receive(self) -> dict[str, Any]:
        """Wait for ever."""
        await asyncio.Event().wait()
        return {}

    async def send_bytes(self, frame: bytes) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread, for Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def test_a_client_that_does_not_read_is_disconnected_at_eight_megabytes(
    models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    workers, visitors = Workers.start(), Visitors(models)
    visitor = Visitor(models)

    async def talk() -> None:
        conversation = Conversation(cast(WebSocket, Stuck()), visitor, workers, visitors)
        running = asyncio.create_task(conversation.run())
        await asyncio.sleep(0)
        for _ in range(8):
            conversation._start(conversation._send(bytes(2**20)))
        await asyncio.sleep(0.05)
        assert visitor.sockets == 1
        conversation._start(conversation._send(b"one more"))
        await asyncio.wait_for(running, 5)

    assert MAX_UNSENT == 8 * 2**20
    with caplog.at_level(logging.WARNING):
        run(talk())
    assert visitor.sockets == 0
    assert [record.getMessage() for record in caplog.records] == [
        "A page that does not read its answers was disconnected."
    ]
    workers.close()


def test_an_aborted_upload_leaves_one_line_in_the_log(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = Page(app).client.cookies["semsynth_session"]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/upload/drag.photo",
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", f"semsynth_session={cookie}".encode())],
        "query_string": b"",
    }
    events: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"half of", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(message: Any) -> None:
        """Nobody listens."""

    with caplog.at_level(logging.INFO):
        run(app(scope, receive, send))
    lines = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert lines == ["An upload was aborted after 7 bytes."]
