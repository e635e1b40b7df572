"""Run a sweep: ``python -m benchmarks.run FILE [--output DIR] [--backend local|slurm|wandb]``.

Each run is a process of its own. When it is done, its scores go to ``DIR/results.jsonl`` and
``DIR/results.csv``, one line a run. Rerun the command to resume: the run in progress continues from
its last checkpoint. A run that fails is recorded with its error and does not stop the rest. With
``--jobs`` several small runs share a GPU; each still writes ``output.log`` in its directory.
``slurm`` submits the runs as an array job and waits for them; ``wandb`` creates the sweep and
prints the command of its agents.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NoReturn

import filelock
import yaml
from rich.console import Console
from rich.markup import escape

from benchmarks import slurm
from benchmarks.attempt import run_point
from benchmarks.results import Row, append_result, latest_rows, mend, read_results
from benchmarks.sweep import Point, load, read_sweep
from semsynth.errors import UserError, require_writable

console = Console()


def main(args: Sequence[str] | None = None) -> int:
    """Run what has not been run, then the oracle, then write the report.

    Returns:
        0 if every run of the sweep has scores, else 1.
    """
    options = parse(args)
    try:
        points = read_sweep(options.file)
        if options.backend == "wandb":
            return create_wandb_sweep(options.file)
        resources = slurm.parse_resources(options.slurm)
        require_writable(options.output, "--output")
    except UserError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, stop)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(options.output / "runner.lock", timeout=0):
            mend(options.output)
            if options.backend == "slurm":
                slurm.run_all(points, options.output, options.file.stem, resources)
            else:
                run_all(points, options.output, options.file.stem, options.jobs)
            names = {point.name for point in points}
            rows = [row for row in latest_rows(options.output) if row["run"] in names]
            add_oracles(options.output, rows)
            from benchmarks import report  # imports torch

            report.write(options.output, title=options.file.stem)
    except filelock.Timeout:
        sys.exit(f"Another runner is at work in {options.output}; choose another --output.")
    return 0 if len(rows) == len(points) and all("scores" in row for row in rows) else 1


def parse(args: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="a W&B sweep file")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"))
    parser.add_argument("--backend", choices=("local", "slurm", "wandb"), default="local")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, of backend local")
    parser.add_argument(
        "--slurm",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="resources of a job, as submitit names them: partition=gpu time=600 gpus_per_node=4",
    )
    options = parser.parse_args(args)
    if options.jobs < 1 or (options.jobs > 1 and options.backend != "local"):
        parser.error(f"--jobs must be at least 1, and goes with backend local; got {options.jobs}")
    return options


def run_all(points: list[Point], output: Path, sweep: str, jobs: int = 1) -> None:
    """Run what has no scores yet, so many at a time."""
    done = {row["run"] for row in latest_rows(output) if "scores" in row}
    adding, stopping = threading.Lock(), threading.Event()

    def run(number: int, point: Point) -> None:
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
            begun = [pool.submit(run, number, point) for number, point in enumerate(points, 1)]
            for ended in wait(begun, return_when=FIRST_EXCEPTION).done:
                ended.result()
        finally:  # an exception, or this process is told to stop
            stopping.set()
            pool.shutdown(cancel_futures=True)


def stop(*_: Any) -> NoReturn:
    """End in order on SIGTERM: the run in progress is stopped first."""
    sys.exit(143)


def create_wandb_sweep(file: Path) -> int:
    """Create the sweep on the server of W&B and print the command of its agents."""
    import wandb

    try:
        identity = wandb.sweep(load(file), project=wandb.setup().settings.project or "semsynth")
    except (wandb.errors.UsageError, wandb.errors.CommError) as error:
        sys.exit(f"W&B did not take the sweep: {error}")
    console.print(f"Start agents, on as many machines as you like: wandb agent {identity}")
    return 0


def add_oracles(output: Path, rows: list[Row]) -> None:
    """Measure the best achievable scores, once for each data set with a known renderer."""
    known = {row["data"] for row in read_results(output) if row.get("oracle")}
    for row in rows:
        config_file = Path(row["run_dir"]) / "config.yaml"
        if "scores" not in row or not config_file.is_file():
            continue
        from benchmarks.studies import oracle  # imports torch

        config = yaml.safe_load(config_file.read_text())
        data = oracle.data_key(config)
        if data in known or not oracle.exists_for(config):
            continue
        known.add(data)
        console.rule(f"[bold]oracle of {config['data']['class_path'].rsplit('.', 1)[-1]}")
        scores = oracle.measure(config, output / "oracle")
        measured = json.loads((output / "oracle" / "scores" / "test.json").read_text())
        entry = {"run": f"oracle-{len(known)}", "oracle": True, "data": data, "scores": scores}
        append_result(output, entry | {"protocol": measured["protocol"]})


if __name__ == "__main__":
    sys.exit(main())
