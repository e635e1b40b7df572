"""Work in processes of its own, which begin without importing torch, and can be killed."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from itertools import chain
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy

from semsynth.callbacks import Cost
from semsynth.cli import main
from tests.helpers.tiny import environment

START: Literal["forkserver"] = "forkserver"
CONTEXT = multiprocessing.get_context(START)
CONTEXT.set_forkserver_preload(["tests.helpers.killed", "semsynth.cli.train"])
ROOT = Path(__file__).parents[2]


class DDPWithOwnWeights(DDPStrategy):
    """DDP whose processes do not share the memory of their weights.

    A module that is sent to other processes stays where it is in memory. Lightning separates the
    copies of processes that it spawns, but not of those that a server forks.
    """

    def setup(self, trainer: Trainer) -> None:
        """Move the weights of this process to memory of its own."""
        assert self.lightning_module is not None
        for tensor in chain(self.lightning_module.parameters(), self.lightning_module.buffers()):
            tensor.data = tensor.data.clone()
        super().setup(trainer)


def two_processes(**options: Any) -> dict[str, Any]:
    """Arguments of a trainer that starts two processes in no time."""
    return {"devices": 2, "strategy": DDPWithOwnWeights(start_method=START, **options)}


def run_processes(
    args: list[str],
    processes: int = 1,
    kill: tuple[int, int] | None = None,
    by: signal.Signals = signal.SIGKILL,
    in_write: bool = False,
) -> list[int | None]:
    """Run a training in so many processes, as a launcher would, and return their exit statuses.

    ``kill`` is the number of a process, and of the batch at whose end a signal is sent to it; with
    ``in_write``, in the middle of the next checkpoint that is written.
    """
    run_dir = Path(next(a for a in args if a.startswith("--run_dir=")).partition("=")[2])
    run_dir.mkdir(parents=True, exist_ok=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    started: list[BaseProcess] = []
    for rank in range(processes):
        log = run_dir / f"process_{rank}.log"
        batch = kill[1] if kill and kill[0] == rank else 0
        settings = environment()
        if processes > 1:
            settings |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
            settings |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
        process = CONTEXT.Process(target=_train, args=(args, settings, log, batch, by, in_write))
        process.start()
        started.append(process)
    _wait(started)
    codes = [process.exitcode for process in started]
    if kill is None:
        logs = "\n".join(log.read_text()[-2000:] for log in sorted(run_dir.glob("process_*.log")))
        assert codes == [0] * processes, logs
    else:
        assert codes[kill[0]] != 0, "was not killed"
    return codes


def _wait(processes: list[BaseProcess]) -> None:
    """Wait for all; when one has died, the others may not wait for it for long."""
    end = time.monotonic() + 300
    while any(process.is_alive() for process in processes):
        if any(process.exitcode for process in processes):
            end = min(end, time.monotonic() + 15)
        if time.monotonic() > end:
            for process in processes:
                process.kill()
        time.sleep(0.05)
    for process in processes:
        process.join()


def _train(
    args: list[str],
    settings: dict[str, str],
    log: Path,
    batch: int,
    by: signal.Signals,
    in_write: bool,
) -> None:
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(ROOT)
    with log.open("a") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    torch.set_num_threads(1)
    if batch:
        _die_at(batch, by, in_write)
    main(args)


def _die_at(batch: int, by: signal.Signals, in_write: bool) -> None:
    original = Cost.on_train_batch_end
    seen: list[int] = []

    def counting(self: Cost, *args: Any) -> None:
        original(self, *args)
        seen.append(1)
        if len(seen) == batch and in_write:
            torch.save = half  # type: ignore[assignment]
        elif len(seen) == batch:
            os.kill(os.getpid(), by)

    def half(checkpoint: Any, opened: Any) -> None:
        opened.write(b"half of it")
        opened.flush()
        os.kill(os.getpid(), by)

    Cost.on_train_batch_end = counting  # type: ignore[method-assign, assignment]
