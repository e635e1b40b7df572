"""One run of a sweep: a process of its own, which never runs twice at the same time.

The process holds the lock of its run directory. If the runner is killed, the process goes on alone;
the next runner waits for it and takes its scores. If the process was killed too, or failed, it is
restarted and resumes from its last checkpoint if it has one.
"""

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.results import (
    Row,
    code_of,
    current_commit,
    is_row,
    object_in,
    package_digest,
    read_damaged,
)
from benchmarks.sweep import Point
from semsynth.errors import UserError
from semsynth.files import read_yaml, write_text

INTERRUPTED = (75, -signal.SIGUSR1)
"""Exit codes of a run that was asked to make room: it saved itself, or had not begun."""
NUMBERS = ("started", "ended", "code")  # in the record of an attempt
PATIENCE = 60  # seconds that a process gets to stop
Process = subprocess.Popen[bytes]


def run_point(
    point: Point,
    output: Path,
    sweep: str,
    stopping: threading.Event,
    begun: Callable[[Process], object] = lambda _: None,
) -> Row:
    """Run a point, or take the scores that a run without a runner left, and return its row.

    ``stopping`` stops the run when it is set, so that it saves itself; ``begun`` gets its process.
    What the run prints goes to ``output.log``.
    """
    run_dir = output / "runs" / point.name
    run_dir.mkdir(parents=True, exist_ok=True)
    with hold(run_dir / "run.lock", stopping) as lock:
        record = left_behind(run_dir)
        row = {} if record is None else row_of(point, run_dir, sweep, record)
        if "scores" in row and is_row(row):
            return row
        record = start_record(point, run_dir)
        process = start(point, run_dir, sweep, lock)
        begun(process)
        record["code"] = follow(process, stopping)
        record["ended"] = time.time()
        write_text(run_dir / "run.json", json.dumps(record) + "\n")
        return row_of(point, run_dir, sweep, record)


@contextmanager
def hold(path: Path, stopping: threading.Event) -> Iterator[IO[bytes]]:
    """Hold the lock of a run directory; wait while a process without a runner still has it."""
    with path.open("ab") as lock:
        if not try_lock(lock):
            print(f"{path.parent} is running without its runner, waiting for it", flush=True)
            while not try_lock(lock):
                if stopping.wait(0.1):
                    raise SystemExit
        yield lock


def try_lock(file: IO[bytes]) -> bool:
    """Lock a file, unless another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def left_behind(run_dir: Path) -> dict[str, Any] | None:
    """Record of an attempt whose scores no runner has taken, if there is one."""
    file, scores = run_dir / "run.json", run_dir / "scores" / "test.json"
    if not file.is_file() or not scores.is_file():
        return None
    record, config = read_damaged(file), run_dir / "config.yaml"
    if record is None or not all(isinstance(record.get(k, 0), float | int) for k in NUMBERS):
        return None
    if "started" not in record or (config.is_file() and not what_ran(config)):
        return None
    record = {"commit": "unknown"} | record
    # Without a code the process outlived its runner; scores are written when all is done.
    return {"ended": scores.stat().st_mtime, "code": 0} | record if not record.get("code") else None


def start_record(point: Point, run_dir: Path) -> dict[str, Any]:
    """Record that an attempt begins; from here on scores in the directory are its own.

    What resumes from a checkpoint of other code stays a run of that code.
    """
    (run_dir / "scores" / "test.json").unlink(missing_ok=True)
    file = run_dir / "run.json"
    resumes = file.is_file() and (run_dir / "checkpoints").is_dir()
    before = (object_in(file.read_bytes()) if resumes else None) or {}
    source = before.get("source") or code_of(point.parameters, package_digest())
    record = {"started": time.time(), "commit": current_commit(), "source": source}
    write_text(file, json.dumps(record) + "\n")
    return record


def start(point: Point, run_dir: Path, sweep: str, lock: IO[bytes]) -> Process:
    """Start the process of a run, which inherits the lock and writes ``output.log``."""
    environment = {"WANDB_RUN_GROUP": sweep} | os.environ
    kept = [lock.fileno()]
    with (run_dir / "output.log").open("wb") as log:
        command = command_of(point, run_dir)
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, pass_fds=kept)


def command_of(point: Point, run_dir: Path) -> list[str]:
    """The command of a run, which continues from its last checkpoint if it has one."""
    return [*point.command, f"--run_dir={run_dir}", "--ckpt_path=last"]


def follow(process: Process, stopping: threading.Event) -> int:
    """Wait for a process; if this one is told to stop, have it save itself, or end it."""
    try:
        while process.poll() is None and not stopping.wait(0.1):
            pass
    finally:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
    return process.returncode


def row_of(point: Point, run_dir: Path, sweep: str, record: dict[str, Any]) -> Row:
    """The row of a run that has ended."""
    row: Row = {
        "run": point.name,
        "sweep": sweep,
        "run_dir": str(run_dir),
        "parameters": point.parameters,
        "varied": point.varied,
        "commit": record["commit"],
        "code": record.get("source"),
        "started": round(record["started"], 3),
        "seconds": round(record["ended"] - record["started"], 1),
    }
    row |= what_ran(run_dir / "config.yaml")
    scores, cost = (run_dir / "scores" / f"{name}.json" for name in ("test", "cost"))
    if cost.is_file() and (found := read_damaged(cost)) is not None:
        row["cost"] = found
    measured = read_damaged(scores) if record["code"] == 0 and scores.is_file() else None
    if measured is None:
        error = reason(run_dir / "output.log") or "no scores/test.json"
        return row | {"error": error, "exit_code": record["code"]}
    if (spent := measured.pop("seconds_per_image", None)) is not None:
        row["cost"] = row.get("cost", {}) | {"seconds_per_image": spent}
    return measured | row  # its seed is the noise's


def what_ran(file: Path) -> Row:
    """Method, data, seed and hash of the configuration that a run has written."""
    if not file.is_file():
        return {}
    from semsynth.callbacks.run_directory import config_hash  # imports Lightning

    try:
        config = read_yaml(file)
        return {
            "method": config["model"]["class_path"].rsplit(".", 1)[-1],
            "data": config["data"]["class_path"].rsplit(".", 1)[-1],
            "seed": config["seed_everything"],
            "config_hash": config_hash(config)[:16],
        }
    except (UserError, AttributeError, KeyError, TypeError):  # damaged
        return {}


def reason(log: Path) -> str:
    """The last line of a log that is not W&B's: the message of the error."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    said = [line.strip() for line in lines if line.strip() and not line.startswith("wandb")]
    return said[-1][:500] if said else ""
