"""The thread in which all networks run: a queue with the newest job of each kind, and long jobs.

All inference is here, so that methods need no locks. A long job, such as a training, yields at each
step to the short jobs that are waiting.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

MAX_WAITING = 16  # jobs of one visitor


class SupersededError(Exception):
    """A waiting job was replaced by a newer one of the same kind."""


class BusyError(Exception):
    """A visitor has too many jobs in the queue."""


@dataclass(eq=False)
class Job:
    """A job.

    Attributes:
        work: Function to call.
        owner: Visitor.
        kind: Only the newest job of an owner and kind waits; None keeps all.
        long: Whether it takes seconds and yields to others.
        future: Its result.
    """

    work: Callable[[], Any]
    owner: Hashable
    kind: str | None
    long: bool
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        """Do the work, unless it was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:
            self.future.set_exception(error)


class Worker:
    """Runs jobs one at a time, in the order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="inference", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[], Any], owner: Hashable, kind: str | None = None, long: bool = False
    ) -> Future[Any]:
        """Append a job to the queue.

        Raises:
            BusyError: The owner already has too many waiting.
        """
        job = Job(work, owner, kind, long)
        with self._changed:
            if kind is not None:
                self._supersede(owner, kind)
            if sum(other.owner == owner for other in self._waiting) >= MAX_WAITING:
                raise BusyError("Too many requests are waiting; wait for some to finish.")
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def give_way(self) -> None:
        """Run waiting short jobs; called by a long job in its own thread.

        Raises:
            CancelledError: The worker is closed.
        """
        if self._closed:
            raise CancelledError
        while (job := self._next(short=True)) is not None:
            job.run()

    def close(self) -> None:
        """Stop after the current job, a long one at its next step, and cancel those waiting."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
            if (job := self._next()) is not None:
                job.run()

    def _next(self, short: bool = False) -> Job | None:
        with self._changed:
            for job in self._waiting:
                if not (short and job.long):
                    self._waiting.remove(job)
                    return job
        return None

    def _supersede(self, owner: Hashable, kind: str) -> None:
        for job in [j for j in self._waiting if (j.owner, j.kind) == (owner, kind)]:
            self._waiting.remove(job)
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(SupersededError())
