"""The conversation with one page: messages in, answers out, matched by number."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from semsynth.studio.answers import Answer, Reporter, StoppedError
from semsynth.studio.messages import MAX_MESSAGE, AnyMessage, Hello, Stop, parse
from semsynth.studio.visitors import LONG, NEWEST, Visitor, Visitors
from semsynth.studio.worker import BusyError, SupersededError, Worker

logger = logging.getLogger(__name__)
BETWEEN_REPORTS = 0.1  # seconds
T = TypeVar("T")


class Conversation:
    """The conversation with one page."""

    def __init__(
        self, socket: WebSocket, visitor: Visitor, worker: Worker, visitors: Visitors
    ) -> None:
        self.socket, self.visitor, self.worker, self.visitors = socket, visitor, worker, visitors
        self.tasks: set[asyncio.Task[None]] = set()
        self.sending = asyncio.Lock()

    async def run(self) -> None:
        """Answer until the page is closed or sends an invalid message."""
        await self.socket.accept()
        self.visitor.sockets += 1
        try:
            while (message := await self._next()) is not None:
                self._take(message)
        except WebSocketDisconnect:
            pass
        finally:
            self.visitor.sockets -= 1
            self.visitor.last_seen = self.visitors.clock()
            for task in self.tasks:
                task.cancel()

    async def _next(self) -> AnyMessage | None:
        """The next message; None after an invalid one, which ends the conversation."""
        event = await self.socket.receive()
        if event["type"] == "websocket.disconnect":
            return None
        text = event.get("text") or event.get("bytes") or b""
        try:
            if len(text) > MAX_MESSAGE:
                raise ValueError("The message is too long.")
            return parse(text)
        except (ValidationError, ValueError, RecursionError):
            await self.socket.close(1008, "Invalid message.")
            return None

    def _take(self, message: AnyMessage) -> None:
        if isinstance(message, Stop):
            self.visitor.stopped.set()
        task = asyncio.create_task(self._answer(message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, message: AnyMessage) -> None:
        """Answer one message: a result, superseded by a newer one, or an error."""
        try:
            answer = await self._work(message)
        except SupersededError:
            answer = Answer({"superseded": True})
        except StoppedError:
            answer = Answer({"stopped": True})
        except BusyError as error:
            answer = Answer({"error": str(error), "status": 429})
        except ValueError as error:  # of methods and tabs, for the visitor
            answer = Answer({"error": str(error), "status": 422})
        except Exception:
            logger.exception("A message of kind %s failed.", message.type)
            answer = Answer({"error": "Internal error; see the log of the studio.", "status": 500})
        await self._send(answer.pack(seq=message.seq, done=True))

    async def _work(self, message: AnyMessage) -> Answer:
        visitor = self.visitor
        if isinstance(message, Stop):
            return Answer()
        if isinstance(message, Hello):
            return await in_worker(self.worker, self._greeting, visitor, "hello")
        long = message.type in LONG
        kind = message.type if long or message.type in NEWEST else None
        report = self._reporter(message.seq, asyncio.get_running_loop())
        if long:
            visitor.stopped.clear()

        def work() -> Answer:
            group = message.type.partition(".")[0]
            tab: Any = getattr(visitor, "scribble" if group == "annotate" else group)
            return tab.answer(message, visitor.uploads, report)

        return await in_worker(self.worker, work, visitor, kind, long)

    def _greeting(self) -> Answer:
        """The whole state: models and session."""
        fields: dict[str, Any] = {}
        images: list[bytes] = []
        for name in ("paint", "scribble", "drag"):
            tab = getattr(self.visitor, name)
            state = tab.state()
            fields[name] = {"info": tab.info(), **state.fields, "images": len(state.images)}
            images += state.images
        return Answer(fields, images)

    def _reporter(self, seq: int, loop: asyncio.AbstractEventLoop) -> Reporter:
        """The progress callback of a long job, called in the worker's thread."""
        last = [0.0]

        def report(
            part: float, words: str, images: Sequence[bytes] = (), loss: float | None = None
        ) -> None:
            if self.visitor.stopped.is_set():
                raise StoppedError
            self.worker.give_way()
            now = time.monotonic()
            if now - last[0] < BETWEEN_REPORTS and not images:
                return
            last[0] = now
            fields = {"progress": round(part, 4), "words": words, "loss": loss}
            frame = Answer(fields, images).pack(seq=seq, done=False)
            asyncio.run_coroutine_threadsafe(self._send(frame), loop)

        return report

    async def _send(self, frame: bytes) -> None:
        async with self.sending:
            # the page may be closed; its request is completed all the same
            with suppress(RuntimeError, WebSocketDisconnect):
                await self.socket.send_bytes(frame)


async def in_worker(
    worker: Worker,
    work: Callable[[], T],
    owner: Hashable,
    kind: str | None = None,
    long: bool = False,
) -> T:
    """Run work in the worker's thread and wait for it."""
    return await asyncio.wrap_future(worker.submit(work, owner, kind, long))
