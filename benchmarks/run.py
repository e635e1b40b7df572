"""Run a sweep: ``python -m benchmarks.run FILE [--output DIR] [--backend local|slurm|wandb]``."""

import json
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Literal

import filelock
from rich.console import Console
from rich.markup import escape

from benchmarks import slurm as cluster
from benchmarks.attempt import run_point, what_ran
from benchmarks.results import Row, append_result, latest_rows, read_results, set_aside
from benchmarks.sweep import Point, load, read_sweep
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
        jobs: Runs at a time, of backend local; each still writes output.log in its directory.
        slurm: KEY=VALUE, resources of a job as submitit names them: partition=gpu time=600.

    Returns:
        Whether every run of the sweep has scores.
    """
    if jobs < 1 or (jobs > 1 and backend != "local"):
        raise UsageError(f"--jobs must be at least 1, and goes with backend local; got {jobs}")
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
            if backend == "slurm":
                cluster.run_all(points, output, file.stem, resources)
            else:
                run_all(points, output, file.stem, jobs)
            names = {point.name for point in points}
            rows = [row for row in latest_rows(output) if row["run"] in names]
            add_oracles(output, rows)
            from benchmarks import report  # imports torch

            report.write(output, title=file.stem)
    except filelock.Timeout as error:
        message = f"Another runner is at work in {output}; choose another --output."
        raise UserError(message) from error
    failed = [row for row in rows if "scores" not in row]
    if failed:
        count = "All" if len(failed) == len(points) else f"{len(failed)} of"
        console.print(f"{count} {len(points)} runs failed. The first: {failed[0].get('error')}")
    return len(rows) == len(points) and not failed


def run_all(points: list[Point], output: Path, sweep: str, jobs: int = 1) -> None:
    """Run what has no scores yet, so many at a time."""
    done = {row["run"] for row in latest_rows(output) if "scores" in row}
    adding, stopping = threading.Lock(), threading.Event()

    def run_one(number: int, point: Point) -> None:
        title = f"[bold]\\[{number}/{len(points)}] {escape(point.name)}"
        if point.name in done:
            console.rule(f"{title}[/] done before")
            return
        console.rule(title)
        row = run_point(point, output, sweep, stopping, watched=jobs == 1)
        with adding:
            if not stopping.is_set():
                append_result(output, row)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            begun = [pool.submit(run_one, number, point) for number, point in enumerate(points, 1)]
            for ended in wait(begun, return_when=FIRST_EXCEPTION).done:
                ended.result()
        finally:  # an exception, or this process is told to stop
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
        console.rule(f"[bold]upper bound of {config['data']['class_path'].rsplit('.', 1)[-1]}")
        scores = (oracle if drawn else photographs).measure(config, directory)
        measured = json.loads((directory / "scores" / "test.json").read_text())
        entry = {"run": f"oracle-{number}", "oracle": drawn or "photographs"}
        entry |= {"data": data, "scores": scores}
        append_result(output, entry | {"protocol": measured["protocol"]})


def main(args: Sequence[str] | None = None) -> int:
    """Run by a command line; the exit code is 0 if every run of the sweep has scores."""
    try:
        given = arguments_of(run, sys.argv[1:] if args is None else args, PROGRAM)
        return 0 if run(**given) else 1
    except (UserError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
