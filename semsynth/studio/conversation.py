"""The conversation with one page: messages in, answers out, matched by number."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from semsynth.studio import messages
from semsynth.studio.answers import Answer, StoppedError, silent
from semsynth.studio.jobs import Job
from semsynth.studio.messages import MAX_MESSAGE, AnyMessage, Hello, Stop, parse
from semsynth.studio.store import MissingError
from semsynth.studio.visitors import Visitor, Visitors, chosen
from semsynth.studio.worker import BusyError, SupersededError, Worker, Workers

logger = logging.getLogger(__name__)
MAX_UNSENT = 8 * 2**20  # bytes that wait for a page that does not read
NEWEST = {"drag.preview", "paint.draw", "scribble.draw"}  # of these only the newest matters
T = TypeVar("T")


class Conversation:
    """The conversation with one page."""

    def __init__(
        self, socket: WebSocket, visitor: Visitor, workers: Workers, visitors: Visitors
    ) -> None:
        self.socket, self.visitor, self.workers, self.visitors = socket, visitor, workers, visitors
        self.tasks: set[asyncio.Task[None]] = set()
        self.sending = asyncio.Lock()
        self.unsent = 0

    async def run(self) -> None:
        """Answer until the page is closed, sends an invalid message or stops reading."""
        await self.socket.accept()
        self.visitor.sockets += 1
        self.reading = asyncio.ensure_future(self._read())
        try:
            with suppress(WebSocketDisconnect, asyncio.CancelledError):
                await self.reading
        finally:
            self.visitor.sockets -= 1
            self.visitor.last_seen = self.visitors.clock()
            for task in [self.reading, *self.tasks]:
                task.cancel()

    async def _read(self) -> None:
        while (message := await self._next()) is not None:
            self._start(self._answer(message))

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

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
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
        except MissingError as error:
            answer = Answer({"error": str(error), "status": 410, "missing": error.key})
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
            visitor.jobs.stop(message.job)
            return Answer()
        if isinstance(message, Hello):
            return await in_worker(self.workers.frames, visitor.info, visitor)
        group = message.type.partition(".")[0]
        tabs: dict[str, Any] = getattr(visitor, "scribble" if group == "annotate" else group)
        tab = chosen(tabs, message.model)
        if isinstance(message, messages.Job):

            def start() -> Job:
                return Job(self.workers.jobs, visitor, lambda report: tab.answer(message, report))

            job = visitor.jobs.enter(message.job, start)
            return await job.result(self, lambda answer: self._report(message.seq, answer))
        kind = (self, message.type) if message.type in NEWEST else None
        return await in_worker(
            self.workers.frames, lambda: tab.answer(message, silent), visitor, kind
        )

    def _report(self, seq: int, answer: Answer) -> None:
        self._start(self._send(answer.pack(seq=seq, done=False)))

    async def _send(self, frame: bytes) -> None:
        self.unsent += len(frame)
        if self.unsent > MAX_UNSENT:
            logger.warning("A page that does not read its answers was disconnected.")
            self.reading.cancel()
            return
        async with self.sending:
            # the page may be closed; its request is completed all the same
            with suppress(RuntimeError, WebSocketDisconnect):
                await self.socket.send_bytes(frame)
        self.unsent -= len(frame)


async def in_worker(
    worker: Worker, work: Callable[[], T], owner: Hashable, kind: Hashable = None
) -> T:
    """Run work in a worker's thread and wait for it."""
    return await asyncio.wrap_future(worker.submit(work, owner, kind))
