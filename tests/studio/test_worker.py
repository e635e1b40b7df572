import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from semsynth.studio.worker import MAX_WAITING, BusyError, SupersededError, Worker, Workers


class Gate:
    """A job that holds the worker until it is opened."""

    def __init__(self, worker: Worker) -> None:
        self.opened, self.entered = threading.Event(), threading.Event()
        self.future = worker.submit(self.wait, "gate")
        self.entered.wait(5)

    def wait(self) -> None:
        self.entered.set()
        assert self.opened.wait(5)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_jobs_run_in_the_order_in_which_they_came(worker: Worker) -> None:
    order = list[int]()
    gate = Gate(worker)
    futures = [worker.submit(lambda i=i: order.append(i), "a") for i in range(5)]  # type: ignore[misc]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert order == [0, 1, 2, 3, 4]


def test_only_the_newest_of_a_kind_waits(worker: Worker) -> None:
    ran = list[str]()
    gate = Gate(worker)
    old = worker.submit(lambda: ran.append("old"), "a", "preview")
    other = worker.submit(lambda: ran.append("other visitor"), "b", "preview")
    new = worker.submit(lambda: ran.append("new"), "a", "preview")
    gate.opened.set()
    new.result(5)
    other.result(5)
    assert isinstance(old.exception(5), SupersededError)
    assert ran == ["other visitor", "new"]


def test_a_job_that_never_yields_delays_no_frame() -> None:
    workers = Workers.start()
    gate = Gate(workers.jobs)
    assert workers.frames.submit(lambda: "frame", "b").result(5) == "frame"
    assert not gate.future.done()
    gate.opened.set()
    workers.close()


def test_an_owner_cannot_fill_the_queue(worker: Worker) -> None:
    gate = Gate(worker)
    for _ in range(MAX_WAITING):
        worker.submit(lambda: None, "a")
    with pytest.raises(BusyError, match="Too many"):
        worker.submit(lambda: None, "a")
    worker.submit(lambda: None, "b")
    gate.opened.set()


def test_an_error_reaches_who_waits_and_the_worker_goes_on(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0, "a").result(5)
    assert worker.submit(lambda: 7, "a").result(5) == 7


def test_closing_cancels_what_waits(worker: Worker) -> None:
    gate = Gate(worker)
    waiting = worker.submit(lambda: None, "a")
    threading.Timer(0.05, gate.opened.set).start()
    worker.close()
    with pytest.raises(CancelledError):
        waiting.result(5)
