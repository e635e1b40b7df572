"""Run a sweep: ``python -m benchmarks.run FILE [--output DIR] [--hours H] [--refresh]``."""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import filelock
from rich.console import Console
from rich.live import Live

from benchmarks import slurm as cluster
from benchmarks.attempt import run_point, what_ran
from benchmarks.results import (
    Row,
    append_result,
    code_of,
    latest_rows,
    package_digest,
    read_results,
    set_aside,
)
from benchmarks.sweep import Point, load, read_sweep
from benchmarks.view import View
from semsynth.cli.parsing import arguments_of
from semsynth.errors import UsageError, UserError, require_writable
from semsynth.files import read_yaml

console = Console()
PROGRAM = "python -m benchmarks.run"


def run(
    file: Path,
    *,
    output: Path = Path("outputs/benchmark"),
    backend: Literal["local", "slurm", "wandb"] = "local",
    jobs: int = 1,
    slurm: Sequence[str] = (),
    hours: float | None = None,
    refresh: bool = False,
) -> bool:
    """Run what has not been run of a sweep, then the oracle, then write the report.

    Each run is a process of its own. When it is done, its scores go to results.jsonl and
    results.csv, one line a run. Rerun the command to resume: the run in progress continues from its
    last checkpoint. A run that fails is recorded with its error and does not stop the rest.

    Args:
        file: A W&B sweep file.
        output: Where to write.
        backend: slurm submits the runs as an array job and waits for them; wandb creates the sweep
            and prints the command of its agents.
        jobs: Runs at a time, of backend local.
        slurm: KEY=VALUE, resources of a job as submitit names them: partition=gpu time=600.
        hours: Stop after so many hours, of backend local; rerun the command to go on.
        refresh: Also repeat the runs whose code or configuration file has changed since.

    Returns:
        Whether every run of the sweep has scores.
    """
    if jobs < 1 or (jobs > 1 and backend != "local"):
        raise UsageError(f"--jobs must be at least 1, and goes with backend local; got {jobs}")
    if hours is not None and (hours <= 0 or backend != "local"):
        raise UsageError(f"--hours must be above 0, and goes with backend local; got {hours}")
    points = read_sweep(file)
    if backend == "wandb":
        create_wandb_sweep(file)
        return True
    resources = cluster.parse_resources(slurm)
    require_writable(output, "--output")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the run in progress first
    output.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(output / "runner.lock", timeout=0):
            set_aside(output)
            if refresh:
                retire(points, output)
            if backend == "slurm":
                cluster.run_all(points, output, file.stem, resources)
            else:
                run_all(points, output, file.stem, jobs, hours)
            names = {point.name for point in points}
            rows = [row for row in latest_rows(output) if row["run"] in names]
            add_oracles(output, rows)
            from benchmarks import report  # imports torch

            report.write(output, title=file.stem)
    except filelock.Timeout as error:
        message = f"Another runner is at work in {output}; choose another --output."
        raise UserError(message) from error
    missing = len(points) - sum("scores" in row for row in rows)
    errors = [row["error"] for row in rows if "scores" not in row and "error" in row]
    if errors:
        count = "All" if len(errors) == len(points) else f"{len(errors)} of"
        text = f"{count} {len(points)} runs failed. The first: {errors[0]}"
        console.print(text, markup=False)
    if missing:
        console.print(
            f"{missing} of {len(points)} runs have no scores; rerun the command to go on."
        )
    return not missing


def retire(points: list[Point], output: Path) -> None:
    """Take the scores from runs whose code has changed, and remove what they have left."""
    package, names = package_digest(), {point.name for point in points}
    for row in latest_rows(output):
        if row["run"] not in names or "scores" not in row:
            continue
        if row.get("code") != code_of(row["parameters"], package):
            shutil.rmtree(output / "runs" / row["run"], ignore_errors=True)
            kept = {key: value for key, value in row.items() if key not in ("scores", "protocol")}
            append_result(output, kept | {"error": "set aside by --refresh: its code has changed"})


def run_all(
    points: list[Point], output: Path, sweep: str, jobs: int = 1, hours: float | None = None
) -> None:
    """Run what has no scores yet, so many at a time, until all is done or the time is over."""
    view = View(points, sweep, latest_rows(output), jobs, console)
    adding, stopping = threading.Lock(), threading.Event()

    def run_one(point: Point) -> None:
        if stopping.is_set():
            return
        view.begin(point, output / "runs" / point.name)
        row = run_point(point, output, sweep, stopping)
        with adding:
            if not stopping.is_set():
                append_result(output, row)
                view.end(point, row)

    timer = threading.Timer(3600 * (hours or 0), stopping.set)
    waiting = [point for point in points if point.name in view.waiting]
    with Live(view, console=console, transient=True), ThreadPoolExecutor(jobs) as pool:
        try:
            if hours is not None:
                timer.start()
            begun = [pool.submit(run_one, point) for point in waiting]
            for ended in wait(begun, return_when=FIRST_EXCEPTION).done:
                ended.result()
        finally:  # an exception, or this process is told to stop
            timer.cancel()
            stopping.set()
            pool.shutdown(cancel_futures=True)


def create_wandb_sweep(file: Path) -> None:
    """Create the sweep on the server of W&B and print the command of its agents."""
    import wandb

    try:
        identity = wandb.sweep(load(file), project=wandb.setup().settings.project or "semsynth")
    except (wandb.errors.UsageError, wandb.errors.CommError) as error:
        raise UserError(f"W&B did not take the sweep: {error}") from error
    console.print(f"Start agents, on as many machines as you like: wandb agent {identity}")


def add_oracles(output: Path, rows: list[Row]) -> None:
    """Measure the best scores that can be reached, once for each data set.

    They are those of the renderer of a toy world, or of a small data set's photographs.
    """
    known = {row.get("data") for row in read_results(output) if row.get("oracle")}
    for row in rows:
        config_file = Path(row["run_dir"]) / "config.yaml"
        if "scores" not in row or not what_ran(config_file):
            continue
        from benchmarks.studies import oracle, photographs  # import torch

        config = read_yaml(config_file)
        data = oracle.data_key(config)
        drawn = oracle.exists_for(config)
        if data in known or not (drawn or photographs.exist_for(config)):
            continue
        known.add(data)
        number = len(known)
        directory = output / f"oracle-{number}"
        name = config["data"]["class_path"].rsplit(".", 1)[-1]
        console.print(f"Measuring the upper bound of {name}")
        with printed_to(directory / "output.log"):
            scores = (oracle if drawn else photographs).measure(config, directory)
        measured = json.loads((directory / "scores" / "test.json").read_text())
        entry = {"run": f"oracle-{number}", "oracle": drawn or "photographs"}
        entry |= {"data": data, "scores": scores}
        append_result(output, entry | {"protocol": measured["protocol"]})


@contextmanager
def printed_to(log: Path) -> Iterator[None]:
    """Write to a file what this process prints, whoever opened the stream."""
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(number) for number in (1, 2)]
    with log.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, original in zip((1, 2), kept, strict=True):
                os.dup2(original, number)
                os.close(original)


def main(args: Sequence[str] | None = None) -> int:
    """Run by a command line; the exit code is 0 if every run of the sweep has scores."""
    try:
        given = arguments_of(run, sys.argv[1:] if args is None else args, PROGRAM)
        return 0 if run(**given) else 1
    except (UserError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
