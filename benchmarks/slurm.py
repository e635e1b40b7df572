"""Runs of a sweep as jobs of SLURM, through submitit.

A job has one task for each process of its training: ``trainer.devices`` tasks on each of
``trainer.num_nodes`` nodes. SIGUSR1, which SLURM sends ahead of the time limit, makes the training
save a checkpoint and the job requeue. The jobs outlive the runner, and the next one takes their
rows.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import attempt
from benchmarks.results import (
    Row,
    append_result,
    is_row,
    latest_rows,
    read_damaged,
    read_results,
)
from benchmarks.sweep import Point, SweepError
from semsynth.files import write_text

POLL_SECONDS = 5
WARNING_SECONDS = 90  # between SIGUSR1 and the time limit
console = Console()
Shape = tuple[int, int]


def parse_resources(words: Sequence[str]) -> dict[str, Any]:
    """``partition=gpu time=600`` as a dictionary; numbers become numbers."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise SweepError(f"--slurm takes KEY=VALUE, got {word!r}.")
        found[key] = int(value) if value.isdigit() else value
    return found


@dataclass(frozen=True)
class PointJob:
    """What each task of a job does: one process of the training of one point."""

    point: Point
    output: Path
    sweep: str

    def __call__(self) -> None:
        """Run the training; the first task leaves the row in ``rows/``, or requeues the job."""
        os.environ["SEMSYNTH_REQUEUE"] = "0"  # this process does it
        name = self.point.name
        if os.environ["SLURM_PROCID"] != "0":
            process = subprocess.Popen(attempt.command_of(self.point, self.output / "runs" / name))
            forward_interrupts(process)
            sys.exit(process.wait())
        arguments = (self.point, self.output, self.sweep, threading.Event())
        row = attempt.run_point(*arguments, begun=forward_interrupts)
        if row.get("exit_code") in attempt.INTERRUPTED:
            requeue()
        write_text(self.output / f"rows/{name}.json", json.dumps(row | {"job": own_job()}) + "\n")


def forward_interrupts(process: attempt.Process) -> None:
    """Pass SIGUSR1 on to a process, where the batch system does not send it to all by itself."""

    def send(*_: Any) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, send)


def requeue() -> None:
    """Give the job back to the queue and wait for its end."""
    subprocess.run(["scontrol", "requeue", own_job()], check=True)
    time.sleep(10 * attempt.PATIENCE)
    raise RuntimeError("SLURM did not end the job that it was asked to requeue.")


def own_job() -> str:
    """Number of the job that this process is a task of."""
    import submitit

    return submitit.JobEnvironment().job_id


def run_all(points: list[Point], output: Path, sweep: str, resources: dict[str, Any]) -> None:
    """Submit what has no scores and is not under way, and take rows until all jobs have ended."""
    collect(output)
    done = {row["run"] for row in latest_rows(output) if "scores" in row}
    waiting = {point.name: point for point in points if point.name not in done}
    alive = in_queue()
    files = {name: output / "runs" / name / "job" for name in waiting}
    found = {name: file.read_text() for name, file in files.items() if file.is_file()}
    jobs = {name: job for name, job in found.items() if job in alive}  # of an earlier runner
    new = [point for name, point in waiting.items() if name not in jobs]
    for shape, group in groupby(sorted(new, key=tasks_of), key=tasks_of):
        jobs |= submit(list(group), output, sweep, resources, shape)
    console.print(f"{len(points) - len(waiting)} done, {len(jobs)} jobs under way")
    try:
        wait(jobs, waiting, output, sweep)
    except KeyboardInterrupt:
        ids = " ".join(sorted(jobs.values()))
        console.print(f"The jobs go on; rerun to take their rows, or: scancel {ids}")
        raise


def tasks_of(point: Point) -> Shape:
    """Nodes, and tasks on each, of a point's training."""
    nodes, tasks = (point.parameters.get(f"trainer.{k}", 1) for k in ("num_nodes", "devices"))
    if not (str(nodes).isdigit() and str(tasks).isdigit()):
        raise SweepError(f"SLURM needs numbers of nodes and devices, got {nodes!r} and {tasks!r}.")
    return int(nodes), int(tasks)


def submit(
    points: list[Point], output: Path, sweep: str, resources: dict[str, Any], shape: Shape
) -> dict[str, str]:
    """Submit points as one array job; returns the number of each point's job."""
    try:
        import submitit

        executor = submitit.SlurmExecutor(folder=output / "slurm")
        parameters = {"job_name": sweep, "nodes": shape[0], "ntasks_per_node": shape[1]}
        forced = {"requeue": True, "signal": f"USR1@{WARNING_SECONDS}"}
        executor.update_parameters(**parameters | resources, additional_parameters=forced)
    except ImportError as error:
        raise SweepError("--backend slurm needs submitit: pip install 'semsynth[slurm]'") from error
    except (RuntimeError, ValueError) as error:
        raise SweepError(f"--backend slurm: {error}") from error
    jobs = executor.submit_array([PointJob(point, output, sweep) for point in points])
    found = {point.name: str(job.job_id) for point, job in zip(points, jobs, strict=True)}
    for name, job in found.items():
        write_text(output / "runs" / name / "job", job)
    return found


def in_queue() -> set[str]:
    """Numbers of the user's jobs that wait or run, tasks of arrays one by one."""
    words = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def wait(jobs: dict[str, str], points: dict[str, Point], output: Path, sweep: str) -> None:
    """Take rows as jobs end; a job that ends without one gets a row that says so."""
    while jobs:
        ended = [name for name, job in jobs.items() if job not in in_queue()]
        collect(output)  # after asking: a job leaves its row before it leaves the queue
        taken = {row.get("job") for row in read_results(output)}
        for name in ended:
            job = jobs.pop(name)
            if job not in taken:
                append_result(output, lost(points[name], output, sweep, job))
        if jobs:
            time.sleep(POLL_SECONDS)


def collect(output: Path) -> None:
    """Take the rows that jobs have left, each once."""
    for file in sorted((output / "rows").glob("*.json")):
        if (row := read_damaged(file)) is None:
            continue
        if is_row(row) and row not in read_results(output):
            append_result(output, row)
        file.unlink()


def lost(point: Point, output: Path, sweep: str, job: str) -> Row:
    """The row of a job that ended without one: cancelled, or killed by its node."""
    run_dir = output / "runs" / point.name
    file = run_dir / "run.json"
    record = (read_damaged(file) if file.is_file() else None) or {}
    now = time.time()
    record = {"commit": "unknown", "started": now, "ended": now} | record | {"code": None}
    row = attempt.row_of(point, run_dir, sweep, record)
    return row | {"job": job, "error": f"job {job} ended without a row: {row['error']}"}
