"""Threads in which networks run: each a queue that keeps only the newest job of each kind.

Networks are shared by all threads, which only read them: nothing here changes a model.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

MAX_WAITING = 16  # jobs of one visitor


class SupersededError(Exception):
    """A waiting job was replaced by a newer one of the same kind."""


class BusyError(Exception):
    """A visitor has too many jobs in the queue."""


@dataclass(eq=False)
class Task:
    """Work in a queue.

    Attributes:
        work: Function to call.
        owner: Visitor.
        kind: Only the newest task of an owner and kind waits; None keeps all.
        future: Its result.
    """

    work: Callable[[], Any]
    owner: Hashable
    kind: Hashable
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
    """Runs tasks one at a time, in the order of arrival."""

    def __init__(self, name: str = "inference") -> None:
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[], Any], owner: Hashable, kind: Hashable = None
    ) -> Future[Any]:
        """Append a task to the queue.

        Raises:
            BusyError: The owner already has too many waiting.
        """
        task = Task(work, owner, kind)
        with self._changed:
            if kind is not None:
                self._supersede(owner, kind)
            if sum(other.owner == owner for other in self._waiting) >= MAX_WAITING:
                raise BusyError("Too many requests are waiting; wait for some to finish.")
            self._waiting.append(task)
            self._changed.notify()
        return task.future

    def close(self) -> None:
        """Stop after the current task, and cancel those waiting."""
        with self._changed:
            self._closed = True
            for task in self._waiting:
                task.future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                task = self._waiting.popleft()
            task.run()

    def _supersede(self, owner: Hashable, kind: Hashable) -> None:
        for task in [t for t in self._waiting if (t.owner, t.kind) == (owner, kind)]:
            self._waiting.remove(task)
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(SupersededError())


class Workers(NamedTuple):
    """Separate threads, so that what takes seconds delays no frame of another visitor."""

    frames: Worker  # draws what a page shows
    jobs: Worker  # inverts, refines and trains
    files: Worker  # decodes uploads and writes downloads

    @classmethod
    def start(cls) -> Self:
        """Start the threads."""
        return cls(*map(Worker, cls._fields))

    def close(self) -> None:
        """End them."""
        for worker in self:
            worker.close()
