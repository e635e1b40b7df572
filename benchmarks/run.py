"""Run a sweep on this machine: ``python -m benchmarks.run FILE [--output DIR]``.

Each run is a process of its own. Its scores go to ``DIR/results.jsonl`` when it is done, one line a
run; run again, the command goes on where it stopped. A run that fails is recorded with its error
and does not stop the rest.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from benchmarks import oracle, report
from benchmarks.results import append_result, read_results
from benchmarks.sweep import Point, SweepError, read_sweep

console = Console()


def main(args: Sequence[str] | None = None) -> int:
    """Run what has not been run, then the oracle, then write the report.

    Returns:
        0 if every run of the sweep has scores, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.run")
    parser.add_argument("file", type=Path, help="a W&B sweep file")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"))
    options = parser.parse_args(args)
    try:
        points = read_sweep(options.file)
    except SweepError as error:
        sys.exit(str(error))
    done = {row["run"] for row in read_results(options.output) if "scores" in row}
    for number, point in enumerate(points, start=1):
        title = f"[bold]\\[{number}/{len(points)}] {point.name}"
        if point.name in done:
            console.rule(f"{title}[/] done before")
            continue
        console.rule(title)
        append_result(options.output, run_point(point, options.output))
    rows = latest(read_results(options.output), points)
    add_oracles(options.output, rows)
    report.write(options.output, title=options.file.stem)
    return 0 if all("scores" in row for row in rows) else 1


def run_point(point: Point, output: Path) -> dict[str, Any]:
    """Run one point and return its row: its scores, or what went wrong."""
    run_dir = output / "runs" / point.name
    started = time.monotonic()
    command = [*point.command, f"--run_dir={run_dir}", "--overwrite=True"]
    code = subprocess.run(command, check=False).returncode
    row: dict[str, Any] = {
        "run": point.name,
        "run_dir": str(run_dir),
        "parameters": point.parameters,
        "varied": point.varied,
        "seconds": round(time.monotonic() - started, 1),
    }
    scores = run_dir / "scores" / "test.json"
    if code != 0 or not scores.is_file():
        return row | {"error": f"exit code {code}: {' '.join(command)}"}
    return row | json.loads(scores.read_text())


def latest(rows: list[dict[str, Any]], points: list[Point]) -> list[dict[str, Any]]:
    """The last row of each point of the sweep that has one."""
    by_name = {row["run"]: row for row in rows}
    return [by_name[point.name] for point in points if point.name in by_name]


def add_oracles(output: Path, rows: list[dict[str, Any]]) -> None:
    """Measure the best achievable scores, once for each data set with a known renderer."""
    known = {row["data"] for row in read_results(output) if row.get("oracle")}
    for row in rows:
        config_file = Path(row["run_dir"]) / "config.yaml"
        if "scores" not in row or not config_file.is_file():
            continue
        config = yaml.safe_load(config_file.read_text())
        data = oracle.data_key(config)
        if data in known or not oracle.exists_for(config):
            continue
        known.add(data)
        console.rule(f"[bold]oracle of {config['data']['class_path'].rsplit('.', 1)[-1]}")
        scores = oracle.measure(config, output / "oracle")
        measured = json.loads((output / "oracle" / "scores" / "test.json").read_text())
        entry = {"run": "oracle", "oracle": True, "data": data, "scores": scores}
        append_result(output, entry | {"protocol": measured["protocol"]})


if __name__ == "__main__":
    sys.exit(main())
