"""Jobs that take seconds: they outlive a reload of the page, and end soon after it is closed."""

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

from semsynth.studio.answers import Answer, Reporter, StoppedError
from semsynth.studio.worker import Worker

GRACE = 2.0  # seconds for which a job waits for the page to come back
BETWEEN_REPORTS = 0.1  # seconds
MAX_RESULTS = 4  # kept for pages that are being reloaded

Watch = Callable[[Answer], None]
"""Receives the reports of a job."""
Work = Callable[[Reporter], Answer]


class Job:
    """One job, which any number of pages watch by its key."""

    def __init__(self, worker: Worker, owner: Hashable, work: Work) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = threading.Event()
        self.last: Answer | None = None
        self.watchers: dict[Hashable, Watch] = {}
        self._reported = 0.0
        self.future: Future[Answer] = worker.submit(lambda: work(self.report), owner)

    async def result(self, watcher: Hashable, watch: Watch) -> Answer:
        """Report to a watcher, beginning with the last report, until the result is there.

        Raises:
            StoppedError: It was stopped.
        """
        self.watchers[watcher] = watch
        if self.last is not None:
            watch(self.last)
        try:
            return await asyncio.shield(asyncio.wrap_future(self.future))
        except asyncio.CancelledError:
            if self.future.cancelled():
                raise StoppedError from None
            raise
        finally:
            self.watchers.pop(watcher, None)
            if not self.watchers and not self.future.done():
                self.loop.call_later(GRACE, self._stop_unwatched)

    def report(
        self, part: float, words: str, images: Sequence[bytes] = (), loss: float | None = None
    ) -> None:
        """Report progress from the worker's thread; see ``Reporter``."""
        if self.stopped.is_set():
            raise StoppedError
        now = self.loop.time()
        if now - self._reported < BETWEEN_REPORTS and not images:
            return
        self._reported = now
        fields: dict[str, Any] = {"progress": round(part, 4), "words": words, "loss": loss}
        self.loop.call_soon_threadsafe(self._tell, Answer(fields, images))

    def stop(self) -> None:
        """End it at its next step, or take it from the queue."""
        self.stopped.set()
        self.future.cancel()

    def _tell(self, answer: Answer) -> None:
        self.last = answer
        for watch in self.watchers.values():
            watch(answer)

    def _stop_unwatched(self) -> None:
        if not self.watchers and not self.future.done():
            self.stop()


class Jobs:
    """The jobs of one visitor, by keys that the pages choose."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def enter(self, key: str, start: Callable[[], Job]) -> Job:
        """The job with this key: running, finished, or started now if it is unknown or failed."""
        job = self._jobs.get(key)
        if job is None or job.stopped.is_set() or failed(job.future):
            self._jobs[key] = job = start()
            for old in [k for k, other in self._jobs.items() if other.future.done()][:-MAX_RESULTS]:
                del self._jobs[old]
        return job

    def stop(self, key: str) -> None:
        """Stop the job with this key, and no other."""
        if key in self._jobs:
            self._jobs[key].stop()

    def stop_all(self) -> None:
        """Stop all."""
        for job in self._jobs.values():
            job.stop()


def failed(future: Future[Answer]) -> bool:
    """Whether it ended without a result."""
    return future.done() and (future.cancelled() or future.exception() is not None)
